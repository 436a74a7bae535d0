"""Causes before symptoms."""

from __future__ import annotations

from dataclasses import replace

from spinach.stats import LostWorker, NamespaceSnapshot, QueueStats
from spinach_ops.findings.rules import findings

from .test_rules import CALM, NOW, SHORT, running, worker


def order(snapshot: NamespaceSnapshot) -> list[tuple[str, str]]:
    """Return the code of each finding, with that of what explains it."""
    return [(one.code, one.explained_by.code if one.explained_by else "") for one in findings(snapshot)]


OLD = QueueStats("mail", depth=3, oldest_seconds=400.0, next_task="send")


def test_a_lost_worker_explains_the_queue_that_only_it_served() -> None:
    """One cause and what follows from it, not three findings of the same weight."""
    lost = replace(worker().info, id="lost", details={"queues": ["mail"]})
    other = running(1.0, queue="other")
    snapshot = replace(CALM, queues=(OLD,), workers=(other,), lost=(LostWorker(lost, NOW - 30),), connected=0)
    assert order(replace(snapshot, connected=1)) == [
        ("worker_lost", ""), ("queue_old", "worker_lost"), ("queue_without_consumer", "worker_lost"),
    ]  # fmt: skip


def test_jobs_that_hang_explain_the_queue_that_waits_for_them() -> None:
    """The queue is old because they hold its slots."""
    snapshot = replace(CALM, queues=(OLD,), runs=SHORT, workers=(running(100.0, 90.0),))
    assert order(snapshot) == [("slots_held", ""), ("queue_old", "slots_held")]


def test_what_only_looks_alike_is_not_explained() -> None:
    """A worker that died and served another queue explains nothing of this one."""
    lost = replace(worker().info, id="lost", details={"queues": ["other"]})
    snapshot = replace(CALM, queues=(OLD,), lost=(LostWorker(lost, NOW - 30),))
    assert order(snapshot) == [("queue_old", ""), ("worker_lost", "")]


def test_a_finding_says_in_json_what_explains_it() -> None:
    """By code and subject, so that a program can put them together."""
    snapshot = replace(CALM, queues=(OLD,), runs=SHORT, workers=(running(100.0, 90.0),))
    cause, symptom = (finding.document() for finding in findings(snapshot))
    assert cause["explained_by"] is None
    assert symptom["explained_by"] == {"code": "slots_held", "subject": "queue mail"}
