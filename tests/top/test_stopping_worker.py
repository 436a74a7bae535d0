"""Rates while a worker process of ours stops and gives back what it holds."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from itertools import pairwise

from spinach.brokers.redis.from_url import connect
from spinach_ops.polling.poller import Poll, Poller
from spinach_ops.polling.trends import History
from tests.fleet import Fleet, make_fleet
from tests.servers import Server
from tests.waiting import wait_until

__all__ = ["make_fleet"]

_JOBS = 150


def test_jobs_given_back_did_not_come(make_fleet: Callable[..., Fleet], valkey_server: Server) -> None:
    """While a worker takes the last jobs of a queue, stops and gives them back, no rate says that any
    came.
    """
    fleet = make_fleet(valkey_server)
    worker = fleet.ours(number=2)
    poller = Poller(connect(fleet.server.url, fleet.namespace), interval_seconds=1, discover=True)
    fleet.client("ours", [{"task": "safe", "args": [f"job-{number}", 0.01]} for number in range(_JOBS)])
    # The faster they are the more a worker holds beside those that run.
    wait_until(lambda: poller.poll().snapshot.reserved, "jobs are held")
    polls = [poller.poll()]
    worker.signal(signal.SIGTERM)

    def look() -> bool:
        threading.Event().wait(0.05)
        polls.append(poller.poll())
        return worker.process.poll() is not None

    wait_until(look, "the worker ends")
    polls.append(poller.poll())
    assert polls[-1].snapshot.queued
    assert all(rate.in_per_second == 0 for poll in polls for rate in poll.rates.values())
    assert sum(estimated(first, second) for first, second in pairwise(polls)) < 2


def estimated(first: Poll, second: Poll) -> float:
    """Return how many jobs came between two looks as the counters say."""
    history = History()
    history.add(first.snapshot, {})
    history.add(second.snapshot, {})
    seconds = second.snapshot.at - first.snapshot.at
    return sum(rates.in_per_second * seconds for rates in history.smoothed.values())
