"""Rates on a fleet of the published package 0.0.25, whose workers are real processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from spinach.brokers.redis.from_url import connect
from spinach_ops.polling.poller import Poller
from tests.fleet import Fleet, make_fleet
from tests.old_package import old_python
from tests.servers import Server
from tests.waiting import wait_until

__all__ = ["make_fleet", "old_python"]


def test_a_limit_makes_rates_bounds(
    make_fleet: Callable[..., Fleet], valkey_server: Server, old_python: Path
) -> None:
    """Old workers look past jobs that a limit holds back: rates are lower bounds there, and never called
    exact.
    """
    fleet = make_fleet(valkey_server, old_python)
    fleet.old(number=2, limit=1)
    blocked = [{"task": "limited", "args": [f"blocked-{number}", 60]} for number in range(6)]
    fleet.client("old", blocked)
    wait_until(lambda: len(fleet.starts()) == 1, "the limit is reached")
    poller = Poller(connect(fleet.server.url, fleet.namespace), interval_seconds=0.2, discover=True)
    polls = [poller.poll()]
    passing = [f"passing-{number}" for number in range(4)]
    fleet.client("old", [{"task": "safe", "args": [tag, 0]} for tag in passing])
    polls.append(poller.poll())
    fleet.wait_for_ends(passing)
    for _ in range(3):
        threading.Event().wait(poller.interval_seconds)
        polls.append(poller.poll())
    told = [
        (rate, after.snapshot.at - before.snapshot.at)
        for before, after in pairwise(polls)
        for rate in after.rates.values()
    ]
    assert told
    assert not any(rate.exact for rate, _ in told)
    assert sum(rate.out_per_second * seconds for rate, seconds in told) <= len(passing) + 1
