"""The expressions of dashboards: valid PromQL with any names, and of metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from dashboards.expressions import metrics_in, queries_in, variable_queries_in
from spinach_ops.metrics.catalog import METRICS, NAMESPACE_LABEL, Metric
from tests.dashboards.helpers import FILES, FOLDER, filled, load
from tests.prometheus import binary

ODD_NAMES = [
    "plain",
    'quo"te',
    "back\\slash",
    "a.b|c(d)[e]{f}",
    "per%cent",
    "Grüße",
    "$dollar",
    "spa ce",
    "'",
]


def exprs_of(path: Path, name: str) -> list[str]:
    dashboard = load(path)
    found = [query.expr for query in queries_in(dashboard)]
    found += [selector for _, selector, _ in variable_queries_in(dashboard)]
    return [filled(expr, namespace=name, queue=[name, "other"], task=[name], job=[name]) for expr in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_expressions_are_valid_whatever_is_chosen(path: Path, tmp_path: Path) -> None:
    """Every expression is valid PromQL, with any name of a namespace, queue, task or job."""
    promtool = binary("promtool")
    exprs = [expr for name in ODD_NAMES for expr in exprs_of(path, name)]
    # A rule may hold any expression; JSON is YAML.
    rules = [{"record": f"n{number}", "expr": expr} for number, expr in enumerate(exprs)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(exprs)} rules found" in done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_metrics_and_labels_exist(path: Path) -> None:
    """Every metric a dashboard names is in the catalogue, with the labels it is asked for."""
    known = {name: set(metric.labels) for metric in METRICS for name in exposed(metric)}
    recorded = re.findall(r"record: (\S+)", (FOLDER / "rules" / "recording.yml").read_text(encoding="utf-8"))
    known |= {name: {NAMESPACE_LABEL, "queue"} for name in recorded}
    for name, labels in metrics_in(load(path)):
        assert name in known, name
        assert labels <= known[name], name


def exposed(metric: Metric) -> list[str]:
    """Return the names under which Prometheus stores a metric."""
    if metric.kind == "histogram":
        return [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
    return [metric.name]


def test_what_a_dashboard_names_is_found() -> None:
    """Metrics are found in selectors, in groupings and in the queries of variables, without Prometheus's
    labels.
    """
    dashboard = {
        "panels": [{
            "title": "T",
            "targets": [{"refId": "A",
                "expr": 'sum by (queue, le) (rate(spinach_a_bucket{task="x",job="j"}[1m]))'}],
        }],
        "annotations": {"list": [{"name": "N",
            "expr": 'ALERTS{spinach_namespace="n"} or spinach_b{worker!="w"}'}]},
        "templating": {"list": [
            {"type": "query", "name": "v",
                "query": 'label_values({__name__=~"spinach_c|spinach_d",state="s"}, outcome)'},
        ]},
    }  # fmt: skip
    assert metrics_in(dashboard) == {
        ("spinach_a_bucket", frozenset({"queue", "task"})),
        ("spinach_b", frozenset({"worker"})),
        ("spinach_c", frozenset({"state", "outcome"})),
        ("spinach_d", frozenset({"state", "outcome"})),
    }
