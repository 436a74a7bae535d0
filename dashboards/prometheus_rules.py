"""Prometheus rules as values, their YAML, and the PromQL that they share. Pure text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

NAMESPACE: Final = "spinach_namespace"
NAMESPACE_AND_QUEUE: Final = f"{NAMESPACE}, queue"
NAMESPACE_AND_TASK: Final = f"{NAMESPACE}, task"
# Counters in Redis are complete only while every registered worker counts.
COUNTERS_EXACT: Final = f"on ({NAMESPACE}) (max by ({NAMESPACE}) (spinach_fleet_counters_exact) == 1)"
COUNTERS_INCOMPLETE: Final = f"on ({NAMESPACE}) (max by ({NAMESPACE}) (spinach_fleet_counters_exact) == 0)"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a recording rule, or an alert when it has a severity."""

    name: str
    expr: str
    severity: str = ""
    pending_for: str = ""
    keep_firing_for: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together."""

    name: str
    rules: tuple[Rule, ...]
    interval: str = ""


def gauge(metric: str, by: str = NAMESPACE) -> str:
    """Return a gauge read from the namespace, from any exporter."""
    return f"max by ({by}) ({metric})"


def increase(selector: str, window: str, by: str, counted_by: str) -> str:
    """Return by how much a counter in Redis grew; several exporters do not add up.

    Args:
        selector: The counter.
        window: Over how long.
        by: Labels of the result.
        counted_by: Labels that tell its series apart, without those of the exporter.
    """
    return f"sum by ({by}) (max by ({counted_by}) (increase({selector}[{window}])))"


def increase_from_zero(selector: str, window: str, by: str, counted_by: str) -> str:
    """Return by how much a counter grew, like `increase`, but count a new series from 0.

    PromQL's `increase` ignores the count with which a series appears. A series is new when it did not exist a
    window ago although the namespace was read then; otherwise the exporter may be new. Where the exporter
    counts tasks as `other`, a restarted one may keep different tasks, so no series counts as new.
    """
    series = f"max by ({counted_by}) ({selector})"
    before = f"max by ({counted_by}) ({selector} offset {window})"
    grew = f"max by ({counted_by}) (increase({selector}[{window}]))"
    was_read = f"on ({NAMESPACE}) (max by ({NAMESPACE}) (spinach_redis_up offset {window}) == 1)"
    folded = f'on ({NAMESPACE}) (max by ({NAMESPACE}) (spinach_snapshot_truncated{{reason="tasks"}}) > 0)'
    return (
        f"(\n  sum by ({by}) (({series} unless {before}) or {grew}) and {was_read} unless {folded}\n"
        f"  or\n  sum by ({by}) ({grew})\n)"
    )


def to_yaml(groups: Iterable[Group], comment: str) -> str:
    """Return the text of a file of rules."""
    lines = [*(f"# {line}" for line in comment.splitlines()), "groups:"]
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
    if rule.pending_for:
        yield f"  for: {rule.pending_for}"
    if rule.keep_firing_for:
        yield f"  keep_firing_for: {rule.keep_firing_for}"
    if rule.severity:
        yield "  labels:"
        yield f"    severity: {rule.severity}"
        yield "  annotations:"
        # A JSON string is a valid YAML string.
        yield from (
            f"    {name}: {json.dumps(text, ensure_ascii=False)}" for name, text in rule.annotations.items()
        )
