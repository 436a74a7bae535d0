"""What the tools show of a fleet of the published package alone, and of a mixed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from spinach_ops.top.tui.app import TopApp
from tests.fleet import Fleet
from tests.servers import Server
from tests.top import schema
from tests.top.driving import drive, shows, until
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet], valkey_server: Server, old_python: Path) -> Fleet:
    return make_fleet(valkey_server, old_python)


def look(fleet: Fleet, *arguments: str, lines: int = 1) -> list[dict[str, Any]]:
    """Run `spinach-top` as a process and return what it printed, checked against its schema."""
    command = [sys.executable, "-m", "spinach_ops.top.cli", "-n", fleet.namespace, "--json", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SPINACH_REDIS_URL": fleet.server.url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    looks = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(looks) == lines
    for one in looks:
        schema.check(one)
    return looks


def test_a_fleet_of_old_workers_alone(fleet: Fleet) -> None:
    """With 0.0.25 workers and clients only, queued, waiting, running, late, workers and limits are right."""
    for _ in range(2):
        fleet.old(number=2)
    fleet.client("old", [{"task": "safe", "args": [f"running-{number}", 60]} for number in range(4)])
    wait_until(lambda: len(fleet.starts()) == 4, "four jobs run")
    entries = [{"task": "safe", "args": [f"queued-{number}", 0]} for number in range(3)]
    later = [{"task": "once", "args": [f"later-{number}"], "after": 600} for number in range(5)]
    fleet.client("old", [*entries, *later])
    # An old worker fetches one job beyond its threads: it stands in its running hash like the others.
    wait_until(lambda: sum(len(jobs) for jobs in fleet.running().values()) >= 4, "jobs are held")
    held = wait_until(lambda: _settled(fleet), "the workers fetch no more")

    (shown,) = look(fleet, "--once")
    totals = shown["totals"]
    assert totals == {
        "queued": 7 - held, "running": held, "reserved": 0, "waiting": 5, "late": 0, "failed": 0,
    }  # fmt: skip
    assert shown["connected"] == 2
    assert [worker["state"] for worker in shown["workers"]] == ["live", "live"]
    assert {worker["id"] for worker in shown["workers"]} == set(fleet.registered())
    assert sum(worker["running"] for worker in shown["workers"]) == held
    assert {(worker["slots"], worker["version"]) for worker in shown["workers"]} == {(None, None)}
    (queue,) = shown["queues"]
    assert (queue["name"], queue["depth"]) == ("spinach", 7 - held)
    assert shown["findings"] == []


def _settled(fleet: Fleet) -> int:
    """Return how many jobs are held, once all of the seven are either held or queued and nothing moves."""
    held = sum(len(jobs) for jobs in fleet.running().values())
    queued = int(fleet.redis.llen(fleet.key("spinach")))
    later = int(fleet.redis.zcard(fleet.key("_future-jobs")))
    return held if held + queued == 7 and later == 5 else 0


def test_rates_on_an_old_fleet_are_exact(fleet: Fleet) -> None:
    """While the last job of the first look is still queued, in and out are exact without any worker of
    ours.
    """
    fleet.client("old", [{"task": "once", "args": [f"{number}"]} for number in range(20)])
    _, second = look(fleet, "--count", "2", "-i", "0.3", lines=2)
    (queue,) = second["queues"]
    assert (queue["depth"], queue["in_per_second"], queue["out_per_second"], queue["exact"]) == (
        20,
        0.0,
        0.0,
        True,
    )


def test_a_killed_old_worker_shows_at_once(fleet: Fleet) -> None:
    """A killed old worker is still registered, and no longer connected: that is a finding within a second."""
    kept, killed = fleet.old(), fleet.old()
    killed.kill()
    wait_until(lambda: look(fleet, "--once")[0]["connected"] == 1, "the server notices the broken connection")
    (shown,) = look(fleet, "--once")
    assert len(shown["workers"]) == 2
    assert "workers_not_connected" in {finding["code"] for finding in shown["findings"]}
    assert kept.stop() == 0


def test_a_mixed_fleet_is_marked(fleet: Fleet) -> None:
    """With workers of both packages the versions are told apart, and that counters are incomplete."""
    fleet.old()
    fleet.ours()
    (shown,) = look(fleet, "--once")
    assert sorted(worker["version"] is None for worker in shown["workers"]) == [False, True]
    assert shown["connected"] == 2
    (finding,) = (finding for finding in shown["findings"] if finding["code"] == "mixed_versions")
    assert "upstream" in finding["evidence"]


def test_the_screen_on_an_old_fleet(fleet: Fleet) -> None:
    """The screen shows an old fleet's queues, workers and jobs, and says what it cannot know of failures and
    tasks.
    """
    fleet.old(number=2)
    fleet.client("old", [{"task": "safe", "args": [f"running-{number}", 60]} for number in range(6)])
    wait_until(lambda: len(fleet.starts()) == 2, "two jobs run")

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "● LIVE", "WORKERS 1/1", "spinach"))
        await pilot.press("2")
        await until(pilot, shows(app, "● live", "not said"))
        await pilot.press("enter")
        await until(pilot, shows(app, "running jobs of worker", "safe"))
        for key in ("7", "8"):
            await pilot.press(key)
            await until(pilot, shows(app, "cannot be known"))

    drive(fleet.server.url, fleet.namespace, story)
