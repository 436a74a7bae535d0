"""The PromQL expressions in generated files, and the metrics and labels they name. Imports no SDK."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

# Labels that Prometheus gives, not the metric; `le` belongs to buckets.
GIVEN_LABELS: Final = frozenset({"job", "instance", "le", "__name__"})
# Looks like a metric, but is a label.
_LABELS: Final = frozenset({"spinach_namespace"})
_NAME: Final = re.compile(r"\b(spinach[_:][\w:]+)\b(\{[^}]*\})?")
_NAMES_AS_REGEX: Final = re.compile(r'\{__name__=~"([\w|:]+)"([^}]*)\}')
_MATCHED: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPED: Final = re.compile(r"\bby \(([^)]*)\)\s*\(")


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a dashboard, and the panel or annotation that has it."""

    where: str
    expr: str


def queries_in(dashboard: Mapping[str, Any]) -> Iterator[Query]:
    """Yield the expressions of panels and annotations, not of variables."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield Query(f"{panel['title']} {target['refId']}", target["expr"])
    for annotation in dashboard["annotations"]["list"]:
        yield Query(f"annotation {annotation['name']}", annotation["expr"])


def variable_queries_in(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, selector and label of each variable that asks Prometheus for a label's values."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector, _, label = (
                variable["query"].removeprefix("label_values(").removesuffix(")").rpartition(", ")
            )
            yield variable["name"], selector, label


def metrics_in(dashboard: Mapping[str, Any]) -> set[tuple[str, frozenset[str]]]:
    """Return every metric that a dashboard names, with the labels it is selected and grouped by.

    Labels that Prometheus itself adds and metrics of other projects are left out.
    """
    exprs = [query.expr for query in queries_in(dashboard)]
    exprs += [f"max by ({label}) ({selector})" for _, selector, label in variable_queries_in(dashboard)]
    return metrics_of(exprs)


def metrics_of(exprs: Iterable[str]) -> set[tuple[str, frozenset[str]]]:
    """Return every metric of this project that the expressions name; see `metrics_in`."""
    found: dict[str, set[str]] = {}
    for expr in exprs:
        _collect(expr, found)
    return {(name, frozenset(labels - GIVEN_LABELS)) for name, labels in found.items()}


def expressions_of_rules(text: str) -> list[str]:
    """Return the expressions of a file of rules that `prometheus_rules.to_yaml` wrote."""
    return re.findall(r"expr: \|-\n((?: {10}.*\n)+)", text)


def _collect(expr: str, found: dict[str, set[str]]) -> None:
    for match in _NAMES_AS_REGEX.finditer(expr):
        for name in match[1].split("|"):
            found.setdefault(name, set()).update(_MATCHED.findall(match[2]), _groups(expr, match.start()))
    without_regexes = _NAMES_AS_REGEX.sub("", expr)
    for match in _NAME.finditer(without_regexes):
        if match[1] in _LABELS:
            continue
        labels = found.setdefault(match[1], set())
        labels.update(_MATCHED.findall(match[2] or ""), _groups(without_regexes, match.start()))


def _groups(expr: str, position: int) -> set[str]:
    """Return the labels of every `by (...) (...)` that encloses a position."""
    labels: set[str] = set()
    for match in _GROUPED.finditer(expr):
        if match.end() <= position < _closing(expr, match.end()):
            labels.update(label.strip() for label in match[1].split(","))
    return labels


def _closing(expr: str, start: int) -> int:
    depth = 1
    for index in range(start, len(expr)):
        depth += {"(": 1, ")": -1}.get(expr[index], 0)
        if not depth:
            return index
    return len(expr)
