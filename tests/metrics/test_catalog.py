"""The catalog is the one list: what it says of names and labels holds, and the documentation follows it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from spinach_ops.metrics import catalog
from spinach_ops.metrics.catalog import Metric

REPOSITORY = Path(__file__).resolve().parents[2]
LABELS = {
    "spinach_namespace", "queue", "task", "outcome", "state", "status", "operation", "service", "error_type",
    "version",
    "reason", "signal", "worker", "python", "redis_client",
}  # fmt: skip


@pytest.mark.parametrize("metric", catalog.METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_the_rules(metric: Metric) -> None:
    """Counters, and only they, end in `_total`; units are base units; labels are allowed ones; the help is a
    sentence.
    """
    assert metric.name.startswith("spinach_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert set(metric.labels) <= LABELS
    assert metric.help.endswith(".")
    assert "_milli" not in metric.name
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)
    if "worker" in metric.labels:
        assert metric.name == "spinach_worker_heartbeat_age_seconds"


def test_names_are_unique_and_no_family_shares_one() -> None:
    """Each name stands once."""
    names = [metric.base_name for metric in catalog.METRICS]
    assert len(names) == len(set(names))


def test_the_documentation_lists_every_metric() -> None:
    """The page is what `make docs` writes."""
    write_docs = runpy.run_path(str(REPOSITORY / "scripts" / "write_docs.py"))
    text = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert write_docs["page"](text) == text
    assert all(f"`{metric.name}`" in text for metric in catalog.METRICS)
