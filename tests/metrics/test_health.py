"""Health: a loop that hangs shows, an outage of the broker is no reason to be restarted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spinach.vitals import ServiceVitals, Vitals
from spinach_ops.health import liveness, readiness

NOW = 1_000_000.0


def service(name: str, ago: float = 1.0, interval: float = 10.0, *, alive: bool = True) -> ServiceVitals:
    return ServiceVitals(name, alive, NOW - ago, interval, 0)


VITALS = Vitals("running", 4, 1, NOW - 500, NOW - 2, 0, (service("arbiter"), service("heartbeat")))


def with_arbiter(**facts: float) -> Vitals:
    return replace(VITALS, services=(service("arbiter", **facts), service("heartbeat")))


def test_a_worker_whose_loops_move_is_alive_and_ready() -> None:
    """All is well."""
    assert liveness(VITALS, NOW).ok
    assert readiness(VITALS, NOW).ok


def test_a_loop_that_ended_or_hangs_is_named() -> None:
    """Neither a thread that is gone nor one silent for three of its intervals passes."""
    ended = replace(VITALS, services=(service("arbiter", alive=False), service("heartbeat")))
    for vitals in (ended, with_arbiter(ago=40)):
        health = liveness(vitals, NOW)
        assert not health.ok
        assert [check.name for check in health.checks if not check.ok] == ["arbiter"]
    assert liveness(with_arbiter(ago=40, interval=60), NOW).ok


def test_a_loop_that_waits_for_a_broker_that_answers_nobody_is_alive() -> None:
    """An outage must not get the fleet killed; it makes it unready."""
    outage = replace(with_arbiter(ago=400), broker_heard_at=NOW - 400)
    assert liveness(outage, NOW).ok
    health = readiness(outage, NOW)
    assert [check.name for check in health.checks if not check.ok] == ["broker"]


@pytest.mark.parametrize(
    ("state", "failing"),
    [("starting", {"started", "takes_jobs"}), ("quiet", {"takes_jobs"}), ("stopping", {"takes_jobs"})],
)
def test_only_a_worker_that_takes_jobs_is_ready(state: str, failing: set[str]) -> None:
    """Starting, quiet and stopping workers are alive and not ready."""
    vitals = replace(VITALS, state=state)
    assert liveness(vitals, NOW).ok
    assert {check.name for check in readiness(vitals, NOW).checks if not check.ok} == failing


def test_without_workers_a_process_is_alive_and_not_ready() -> None:
    """A client, or a worker that has stopped."""
    assert liveness(None, NOW).ok
    assert not readiness(None, NOW).ok


def test_a_slow_heartbeat_is_waited_for() -> None:
    """Where workers beat rarely by configuration, readiness goes by that."""
    slow = (service("arbiter"), service("heartbeat", interval=100))
    assert readiness(replace(VITALS, services=slow, broker_heard_at=NOW - 120), NOW).ok
    assert not readiness(replace(VITALS, services=slow, broker_heard_at=NOW - 151), NOW).ok
