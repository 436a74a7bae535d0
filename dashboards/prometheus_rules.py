"""Rules of Prometheus as values, their text as YAML, and the parts of PromQL that they share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

N: Final = "spinach_namespace"
NQ: Final = f"{N}, queue"
NT: Final = f"{N}, task"
# Counters in Redis are complete only while every registered worker counts.
EXACT: Final = f"on ({N}) (max by ({N}) (spinach_fleet_counters_exact) == 1)"
MIXED: Final = f"on ({N}) (max by ({N}) (spinach_fleet_counters_exact) == 0)"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a recording rule, or an alert when it has a severity."""

    name: str
    expr: str
    severity: str = ""
    lasting: str = ""
    keep_firing: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together."""

    name: str
    rules: tuple[Rule, ...]
    interval: str = ""


def level(metric: str, by: str = N) -> str:
    """Return a gauge of the namespace, whichever reader it comes from."""
    return f"max by ({by}) ({metric})"


def grown(selector: str, window: str, by: str, counted_by: str) -> str:
    """Return by how much a counter in Redis grew; several readers do not add up.

    Args:
        selector: The counter.
        window: Over how long.
        by: Labels of the result.
        counted_by: Labels that tell its series apart, without those of the reader.
    """
    return f"sum by ({by}) (max by ({counted_by}) (increase({selector}[{window}])))"


def grown_from_nothing(selector: str, window: str, by: str, counted_by: str) -> str:
    """Return by how much a counter grew, where a series that is new counts from 0; as `grown` otherwise.

    The first time that something happens its series appears with a count, which `increase` does not see. A series is
    new when it was not there a window ago although the namespace could be read: else it may be the reader that is new.
    Where tasks are folded a reader that starts may choose others: then nothing counts as new.
    """
    series = f"max by ({counted_by}) ({selector})"
    before = f"max by ({counted_by}) ({selector} offset {window})"
    grew = f"max by ({counted_by}) (increase({selector}[{window}]))"
    was_read = f"on ({N}) (max by ({N}) (spinach_redis_up offset {window}) == 1)"
    folded = f'on ({N}) (max by ({N}) (spinach_snapshot_truncated{{reason="tasks"}}) > 0)'
    return (
        f"(\n  sum by ({by}) (({series} unless {before}) or {grew}) and {was_read} unless {folded}\n"
        f"  or\n  sum by ({by}) ({grew})\n)"
    )


def to_yaml(groups: Iterable[Group], opening: str) -> str:
    """Return the text of a file of rules."""
    lines = [*(f"# {line}" for line in opening.splitlines()), "groups:"]
    for group in groups:
        lines.append(f"  - name: {group.name}")
        if group.interval:
            lines.append(f"    interval: {group.interval}")
        lines.append("    rules:")
        for rule in group.rules:
            lines += [f"      {line}" for line in _rule_lines(rule)]
    return "\n".join(lines) + "\n"


def _rule_lines(rule: Rule) -> Iterator[str]:
    yield f"- {'alert' if rule.severity else 'record'}: {rule.name}"
    yield "  expr: |-"
    yield from (f"    {line}" for line in rule.expr.splitlines())
    if rule.lasting:
        yield f"  for: {rule.lasting}"
    if rule.keep_firing:
        yield f"  keep_firing_for: {rule.keep_firing}"
    if rule.severity:
        yield "  labels:"
        yield f"    severity: {rule.severity}"
        yield "  annotations:"
        # A string of JSON is one of YAML.
        yield from (
            f"    {name}: {json.dumps(text, ensure_ascii=False)}" for name, text in rule.annotations.items()
        )
