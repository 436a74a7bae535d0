"""Old workers and old clients in the same namespace: they lose what they do not know, and nothing is made up
for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fleet import Fleet, make_fleet
from tests.old_package import old_python
from tests.servers import Server
from tests.tracing.conftest import Traces, attributes, links, parent
from tests.waiting import wait_until

__all__ = ["make_fleet", "old_python"]


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: Callable[..., Fleet], old_python: Path) -> Fleet:
    return make_fleet(valkey_server, old_python)


@pytest.mark.slow
def test_a_retry_by_an_old_worker_gives_a_root(fleet: Fleet, traces: Traces) -> None:
    """It drops the headers: the next attempt, by a worker of ours, has no link and no origin, and is no
    error.
    """
    engine = fleet.engine()
    traces.watch(engine)
    old = fleet.old(number=1)
    engine.schedule("flaky", "tag", 1, 3)
    wait_until(lambda: fleet.lines("raised"), "the old worker retries")
    assert old.stop() == 0
    engine.start_workers(1, block=False)
    fleet.wait_for_ends(["tag"])
    span = traces.one("process flaky")
    engine.stop_workers()
    assert (parent(span), links(span)) == (None, [])
    facts = attributes(span)
    assert (facts["spinach.job.attempt"], facts["spinach.job.outcome"]) == (2, "succeeded")
    assert "spinach.job.origin" not in facts


@pytest.mark.slow
def test_a_job_of_an_old_client_gives_a_root(fleet: Fleet, traces: Traces) -> None:
    """It has no headers; its retries by workers of ours link to each other all the same."""
    engine = fleet.engine()
    traces.watch(engine)
    engine.start_workers(1, block=False)
    fleet.client("old", [{"task": "flaky", "args": ["tag", 1, 0]}])
    fleet.wait_for_ends(["tag"])
    first, second = traces.some("process flaky", 2)
    engine.stop_workers()
    assert (parent(first), links(first)) == (None, [])
    assert "spinach.job.origin" not in attributes(first)
    assert first.context is not None
    assert (parent(second), links(second)) == (
        None, [((first.context.trace_id, first.context.span_id), "previous")],
    )  # fmt: skip
    assert attributes(second)["spinach.job.origin"] == "retry"


@pytest.mark.slow
def test_an_old_worker_runs_a_traced_job(fleet: Fleet, traces: Traces) -> None:
    """Headers in a job's text do not disturb it."""
    engine = fleet.engine()
    traces.watch(engine)
    fleet.old(number=1)
    engine.schedule("safe", "tag")
    fleet.wait_for_ends(["tag"])
    assert len(traces.named("send safe")) == 1
