"""Health: a loop that hangs shows, an outage of the broker is no reason to be restarted."""

from __future__ import annotations

import json
import threading
import urllib.error
from dataclasses import replace

import pytest

from spinach import Engine
from spinach.runtime.vitals import ServiceVitals, Vitals
from spinach_ops import serve
from spinach_ops.web.health import liveness, readiness
from tests.prometheus import fetch
from tests.waiting import wait_until


def service(name: str, silent: float = 1.0, interval: float = 10.0, **facts: bool) -> ServiceVitals:
    return ServiceVitals(
        name,
        facts.get("expected", True),
        facts.get("alive", True),
        0.0,
        silent,
        interval,
        0,
        facts.get("asking", False),
    )


VITALS = Vitals("running", 4, 1, 0.0, 0.0, 2.0, 0.1, 0, (service("arbiter"), service("heartbeat")))


def with_arbiter(silent: float = 1.0, interval: float = 10.0, **facts: bool) -> Vitals:
    return replace(VITALS, services=(service("arbiter", silent, interval, **facts), service("heartbeat")))


def test_a_worker_whose_loops_move_is_alive_and_ready() -> None:
    """All is well."""
    assert liveness(VITALS).ok
    assert readiness(VITALS).ok


def test_a_loop_that_ended_or_hangs_is_named() -> None:
    """Neither a thread that is gone nor one silent for three of its intervals passes."""
    for vitals in (with_arbiter(alive=False), with_arbiter(40), with_arbiter(40, asking=True)):
        health = liveness(vitals)
        assert [check.name for check in health.checks if not check.ok] == ["arbiter"]
    assert liveness(with_arbiter(40, interval=60)).ok


def test_a_loop_that_hangs_elsewhere_shows_in_an_outage_too() -> None:
    """Only who waits for the broker is excused while that answers nobody; a heartbeat that hangs hides
    nothing.
    """
    outage = replace(with_arbiter(400, asking=True), heartbeat_seconds=400.0, answered_seconds=400.0)
    assert liveness(outage).ok
    assert [check.name for check in readiness(outage).checks if not check.ok] == ["broker"]
    hung = replace(with_arbiter(400), heartbeat_seconds=400.0, answered_seconds=400.0)
    assert not liveness(hung).ok


def test_a_loop_that_was_told_to_stop_may_end() -> None:
    """A graceful stop is no failure of the loops that have ended already."""
    assert liveness(replace(with_arbiter(100, expected=False, alive=False), state="stopping")).ok


@pytest.mark.parametrize(
    ("state", "failing"),
    [("starting", {"started", "takes_jobs"}), ("quiet", {"takes_jobs"}), ("stopping", {"takes_jobs"})],
)
def test_only_a_worker_that_takes_jobs_is_ready(state: str, failing: set[str]) -> None:
    """Starting, quiet and stopping workers are alive and not ready."""
    vitals = replace(VITALS, state=state)
    assert liveness(vitals).ok
    assert {check.name for check in readiness(vitals).checks if not check.ok} == failing


def test_without_workers_a_process_is_alive_and_not_ready() -> None:
    """A client, or a worker that has stopped."""
    assert liveness(None).ok
    assert not readiness(None).ok


def test_a_slow_heartbeat_is_waited_for() -> None:
    """Where workers beat rarely by configuration, readiness goes by that."""
    slow = replace(VITALS, services=(service("arbiter"), service("heartbeat", interval=100)))
    assert readiness(replace(slow, heartbeat_seconds=120.0)).ok
    assert not readiness(replace(slow, heartbeat_seconds=151.0)).ok


def test_a_worker_that_stops_shows_as_stopping(engine: Engine) -> None:
    """While running jobs finish, the process is alive, not ready, and its metrics say stopping."""
    release, begun = threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        release.wait(30)

    engine.task(waits, name="waits")
    server = serve(engine, port=0)
    engine.start_workers(2, block=False)
    engine.schedule("waits")
    wait_until(begun.is_set)
    stopping = threading.Thread(target=engine.stop_workers)
    stopping.start()
    stopping_series = f'spinach_worker_state{{spinach_namespace="{engine.namespace}",state="stopping"}} 1.0'
    wait_until(lambda: stopping_series in fetch(f"{server.url}/metrics"))
    page = fetch(f"{server.url}/metrics")
    assert f'spinach_worker_slots_busy{{spinach_namespace="{engine.namespace}"}} 1.0' in page
    assert json.loads(fetch(f"{server.url}/healthz"))["status"] == "ok"
    with pytest.raises(urllib.error.HTTPError, match="503"):
        fetch(f"{server.url}/readyz")
    release.set()
    stopping.join(30)
    assert "spinach_worker_state{" not in fetch(f"{server.url}/metrics")
    server.close()
