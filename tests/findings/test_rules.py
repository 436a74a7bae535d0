"""Findings: what a person on call should be told, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spinach.stats import (
    FailureGroup,
    HistogramStats,
    LimitStats,
    LostWorker,
    NamespaceSnapshot,
    QueueStats,
    RecentCounts,
)
from spinach.stats.workers import WorkerInfo, WorkerStats
from spinach_ops.findings.rules import findings

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


def lost_at(ago: float) -> LostWorker:
    info = replace(worker().info, id="9876543210", details={"pid": 4711, "queues": ["mail"]})
    return LostWorker(info, NOW - ago)


def test_a_lost_worker_says_what_became_of_its_jobs() -> None:
    """How many went back to the queues since then, and whether some failed in doubt."""
    counts = {MINUTE: {("mail", "send", "recovered"): 3}, MINUTE - 9: {("mail", "send", "recovered"): 70}}
    in_doubt = replace(BOOM, error_type="spinach.exc.WorkerLost", last_seen=NOW - 4)
    snapshot = replace(CALM, lost=(lost_at(5),), recent=RecentCounts(MINUTE, counts))
    assert told(snapshot)["worker_lost"].endswith(
        "; since then 3 jobs of dead workers went back to the queues"
    )
    assert (
        "others must not run twice and failed" in told(replace(snapshot, failing=(in_doubt,)))["worker_lost"]
    )


def test_a_worker_that_joined_again_was_not_killed() -> None:
    """A process that was suspended comes back under another id; nobody needs to look for a killed one."""
    snapshot = replace(CALM, lost=(lost_at(5),))
    (finding,) = findings(snapshot)
    assert finding.remedy.startswith("the same process joined again as worker host/01234567")
    (finding,) = findings(replace(snapshot, workers=(running(1.0, queue="mail"),), lost=(
        replace(lost_at(5), info=replace(lost_at(5).info, name="elsewhere")),
    )))  # fmt: skip
    assert finding.remedy.startswith("see on its host whether it was killed")


def test_nobody_who_listens_is_an_error_at_once() -> None:
    """A worker that crashed a moment ago counts as live; that nobody is connected tells."""
    assert "no_workers" in told(replace(CALM, connected=0))


def test_only_a_late_worker_is_named() -> None:
    """A healthy worker is between two heartbeats most of the time: it must not be blamed."""
    healthy = told(replace(CALM, connected=0))["workers_not_connected"]
    assert healthy.endswith("which one shows within 15 s, when its heartbeat is late")
    late = told(replace(CALM, connected=0, workers=(worker(seen=17.0),)))["workers_not_connected"]
    assert "late: worker host/01234567, pid 4711, no heartbeat for 17 s" in late


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


MINUTE = int(NOW // 60)
BOOM = FailureGroup("send", "app.Boom", 0, NOW - 90, NOW - 5, "id", "it broke", attempts=6)


def ended(**minutes: tuple[int, int, int]) -> NamespaceSnapshot:
    """A namespace in which attempts of a task succeeded, were retried, and failed, by minutes ago."""
    names = ("succeeded", "retried", "failed")
    counts = {
        MINUTE - int(ago[1:]): {("mail", "send", name): n for name, n in zip(names, of, strict=True)}
        for ago, of in minutes.items()
    }
    return replace(CALM, recent=RecentCounts(MINUTE, counts), failing=(BOOM,))


def test_a_task_that_mostly_fails_is_told_with_its_error_while_it_is_still_retried() -> None:
    """More than half of at least ten attempts of the last minutes: before its first dead letter."""
    assert told(ended(_0=(4, 6, 0))) == {
        "task_fails": "6 of 10 attempts ended in an error in the last 2 minutes; the newest with app.Boom "
        "(it broke), first seen 1 min 30 s ago"
    }
    assert told(ended(_0=(6, 5, 0))) == {}
    # Rare attempts are looked for further back.
    assert (
        "of 12 attempts ended in an error in the last 5 minutes"
        in told(ended(_0=(0, 3, 0), _1=(0, 3, 0), _3=(0, 6, 0)))["task_fails"]
    )


def test_a_long_history_hides_no_fault_and_a_repair_ends_it() -> None:
    """What the counters say since they began does not matter, only the last minutes do."""
    history = {("mail", "send", "succeeded"): 10**6}
    assert "task_fails" in told(replace(ended(_0=(0, 20, 0)), counters=history))
    # Repaired two minutes ago: no warning any more, and for how long it has been quiet.
    repaired = findings(ended(_0=(20, 0, 0), _1=(40, 0, 0), _2=(10, 90, 3)))
    assert [(finding.code, finding.severity) for finding in repaired] == [("failed_before", "info")]
    assert (
        "93 of 163 attempts ended in an error in the last 15 minutes, 3 jobs for good, none in the last "
        in (repaired[0].evidence)
    )
    assert "none in the last 2 minutes" in repaired[0].evidence
    # Half an hour later nothing is left to say.
    assert told(ended(_0=(20, 0, 0), _20=(0, 99, 9))) == {}


def test_jobs_that_failed_for_good_are_a_warning_while_they_fail() -> None:
    """Also where most attempts of the task succeed."""
    assert told(ended(_0=(90, 0, 1)))["failed_lately"].startswith(
        "1 job failed for good in the last 2 minutes"
    )
    assert set(told(ended(_0=(90, 0, 0), _5=(90, 0, 1)))) == {"failed_before"}


def test_a_task_that_asks_to_run_again_does_not_fail() -> None:
    """A task may raise `RetryException` until what it waits for is there."""
    asks = replace(BOOM, error_type="spinach.task.RetryException")
    assert told(replace(ended(_0=(0, 20, 0)), failing=(asks,))) == {}
    assert "task_fails" in told(replace(ended(_0=(0, 20, 1)), failing=(asks,)))


def test_a_fault_that_came_with_a_start_of_workers_says_so() -> None:
    """Workers of the task that started shortly before the first error: a deploy may have brought it."""
    details = {**worker().info.details, "tasks": ["send"]}
    info = replace(worker().info, started_at=BOOM.first_seen - 8, details=details)
    started = WorkerStats.of(info, NOW, running=1, reserved=0)
    found = told(replace(ended(_0=(0, 20, 0)), workers=(started,)))
    assert found["task_fails"].endswith("first seen 1 min 30 s ago, 8.0 s after a worker of it started")
