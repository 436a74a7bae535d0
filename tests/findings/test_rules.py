"""Findings: what a person on call should be told, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spinach.stats import FailureGroup, HistogramStats, LimitStats, LostWorker, NamespaceSnapshot, QueueStats
from spinach.stats.workers import WorkerInfo, WorkerStats
from spinach_ops.findings.rules import findings, recent_failures

NOW = 1_000_000.0


def worker(state: str = "running", seen: float = 1.0) -> WorkerStats:
    details = {"heartbeat": 10, "state": state, "slots": 2, "queues": ["mail"], "pid": 4711}
    info = WorkerInfo("0123456789", "host", NOW - 500, NOW - seen, 60.0, "1.0", details)
    return WorkerStats.of(info, NOW, running=1, reserved=0)


CALM = NamespaceSnapshot(
    "ns", NOW, queues=(QueueStats("mail", depth=3, oldest_seconds=1.0, next_task="send"),),
    workers=(worker(),), connected=1,
    scheduled=0, overdue=0, overdue_seconds=0.0, running=1, reserved=0, limits=(), periodic=(), failed=0,
    exact=True,
)  # fmt: skip


def told(snapshot: NamespaceSnapshot) -> dict[str, str]:
    return {finding.code: finding.evidence for finding in findings(snapshot)}


def test_nothing_is_wrong_with_a_calm_namespace() -> None:
    """Jobs that have just come, and a live worker on their queue."""
    assert told(CALM) == {}


@pytest.mark.parametrize("gone", [worker("stopping"), worker("quiet"), worker(seen=45.0), worker(seen=100.0)])
def test_workers_that_take_no_jobs_are_no_workers(gone: WorkerStats) -> None:
    """One that stops, is quiet, silent or dead still listens; jobs that wait for it are an error all the
    same.
    """
    found = told(replace(CALM, workers=(gone,)))
    assert gone.state in found["no_workers"]
    assert "3 jobs queued" in found["no_workers"]
    assert "no_workers" not in told(replace(CALM, workers=(gone, worker())))


def test_a_worker_whose_loop_a_job_blocks_is_an_error() -> None:
    """It beats and holds jobs, and runs nothing."""
    found = told(replace(CALM, workers=(worker("blocked"), worker()), connected=2))
    assert list(found) == ["worker_blocked"]
    assert "no_workers" in told(replace(CALM, workers=(worker("blocked"),)))


def running(*seconds: float, slots: int = 2, queue: str = "mail") -> WorkerStats:
    """A worker of a queue, with jobs that have run for so long."""
    longest = [
        {"id": f"job-{at}", "task_name": "send", "queue": queue, "started_at": NOW - at} for at in seconds
    ]
    details = {**worker().info.details, "longest": longest, "slots": slots, "queues": [queue]}
    info = replace(worker().info, details=details)
    return WorkerStats.of(info, NOW, running=len(seconds), reserved=0)


# 99 % of the attempts of the queue ended within half a second.
SHORT = {"mail": HistogramStats((50, 50, 0, 0, 0, 0, 0, 0, 0, 0), 12.0)}
MINUTES = {"mail": HistogramStats((0, 0, 0, 0, 0, 0, 100, 0, 0, 0), 9000.0)}


def test_a_job_that_runs_long_is_named() -> None:
    """Task, worker, job, since when, and what is usual for its queue."""
    found = told(replace(CALM, runs=SHORT, workers=(running(100.0, 1.0),)))
    assert found == {
        "job_runs_long": "task send has run for 1 min 40 s on worker host/01234567 (job job-100.); "
        "99 % of the attempts of this queue end within 500 ms"
    }


def test_jobs_that_hang_in_all_slots_are_an_error_and_the_cause_of_an_old_queue() -> None:
    """Of every worker of the queue; the queue that waits behind them points to them."""
    old = replace(CALM, runs=SHORT, queues=(QueueStats("mail", depth=3, oldest_seconds=400.0),))
    hang = replace(old, workers=(running(500.0, 450.0),))
    (first, second) = findings(hang)
    assert {first.code, second.code} == {"slots_held", "queue_old"}
    assert "hold all slots of the queue" in told(hang)["slots_held"]
    assert "jobs that run long hold all its slots" in told(hang)["queue_old"]
    one_free = told(replace(hang, connected=2, workers=(running(500.0, 450.0), running(500.0, 1.0))))
    assert set(one_free) == {"job_runs_long", "queue_old"}
    assert "hold" not in one_free["queue_old"]


@pytest.mark.parametrize(
    "calm",
    [
        replace(CALM, runs=SHORT, workers=(running(59.0),)),
        replace(CALM, runs=MINUTES, workers=(running(800.0),)),
        replace(CALM, runs={}, workers=(running(299.0),)),
        replace(CALM, runs=None, workers=(running(299.0),)),
        replace(CALM, runs=SHORT, workers=(running(),)),
    ],
    ids=["under a minute", "usual for it", "nothing known", "counters unread", "nothing runs"],
)
def test_jobs_that_only_look_long(calm: NamespaceSnapshot) -> None:
    """A queue of long jobs is no fault, nor is one whose first jobs run."""
    assert told(calm) == {}


def test_nobody_who_listens_is_an_error_at_once() -> None:
    """A worker that crashed a moment ago counts as live; that nobody is connected tells."""
    assert "no_workers" in told(replace(CALM, connected=0))
    assert (
        "longest silent: worker host/01234567, pid 4711"
        in told(replace(CALM, connected=0))["workers_not_connected"]
    )


def test_a_worker_that_was_lost_is_named_for_a_while() -> None:
    """Host, id and process of a worker that was declared dead in the last quarter of an hour."""
    lost = LostWorker(worker(seen=70.0).info, NOW - 5)
    found = told(replace(CALM, lost=(lost, LostWorker(lost.info, NOW - 901))))
    assert found == {
        "worker_lost": "was declared dead 5.0 s ago, pid 4711, after 1 min 5 s without a heartbeat"
    }


def test_an_old_queue_is_told_with_its_cause() -> None:
    """A first job that is ready for a minute is a warning, for five an error; a full limit at the head is
    named.
    """
    old = replace(CALM, queues=(QueueStats("mail", depth=3, oldest_seconds=120.0, next_task="send"),))
    assert "waited for a worker for 2 min 0 s" in told(old)["queue_old"]
    held = replace(old, limits=(LimitStats("send", 1, 1),))
    assert "the limit of its task send is full (1 of 1 run)" in told(held)["queue_held_back"]
    free = replace(old, limits=(LimitStats("send", 2, 1), LimitStats("other", 1, 1)))
    assert "queue_old" in told(free)
    severities = {
        finding.severity
        for seconds in (120.0, 400.0)
        for finding in findings(replace(CALM, queues=(QueueStats("mail", depth=1, oldest_seconds=seconds),)))
    }
    assert severities == {"warning", "error"}


def test_a_task_that_mostly_fails_is_told_while_it_is_still_retried() -> None:
    """More than half of at least ten attempts ended in an error: nothing of it stands among the failed jobs
    yet.
    """
    counters = {
        ("mail", "send", "succeeded"): 4,
        ("mail", "send", "retried"): 5,
        ("mail", "send", "failed"): 1,
    }
    assert told(replace(CALM, counters=counters))["task_fails"].startswith(
        "6 of 10 attempts ended in an error"
    )
    counters["mail", "send", "succeeded"] = 6
    assert told(replace(CALM, counters=counters)) == {}


def test_only_what_failed_lately_is_told() -> None:
    """What failed in the last quarter of an hour; older failures are history."""
    group = FailureGroup("send", "app.Boom", 3, NOW - 5000, NOW - 60, "id", "it broke")
    (finding,) = recent_failures([group, replace(group, last_seen=NOW - 901)], NOW)
    assert (
        finding.evidence == "3 jobs failed for good with app.Boom, first 1 h 23 min ago, last 1 min 0 s ago"
    )
