"""The thread that looks: it never stops, never piles up, and says how it stands."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from spinach.brokers.base import Broker
from spinach.brokers.memory import MemoryBroker
from spinach.exc import BrokerUnavailable
from spinach.stats import NamespaceSnapshot, Wanted
from spinach_ops.polling.poller import Poll, Poller
from spinach_ops.polling.polling_thread import PollingThread, Report
from tests.brokers.helpers import queued

PATIENCE_SECONDS = 10.0


class Moody(Poller):
    """A poller that fails, hangs or works as a test says."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker, interval_seconds=0.01)
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.looks = 0

    def poll(self, wanted: Sequence[Wanted] = ()) -> Poll:
        self.looks += 1
        assert self.gate.wait(PATIENCE_SECONDS)
        if self.error is not None:
            raise self.error
        return super().poll(wanted)


@contextmanager
def watching(poller: Poller, interval: float = 0.01) -> Iterator[tuple[PollingThread, queue.Queue[Report]]]:
    reports: queue.Queue[Report] = queue.Queue()
    polling_thread = PollingThread(poller, reports.put, interval_seconds=interval)
    polling_thread.start()
    try:
        yield polling_thread, reports
    finally:
        polling_thread.stop()


def until(reports: queue.Queue[Report], *, is_live: bool) -> Report:
    while True:
        report = reports.get(timeout=PATIENCE_SECONDS)
        if (report.poll is not None) is is_live:
            return report


@pytest.fixture
def broker() -> Broker:
    broker = MemoryBroker()
    broker.namespace = "ns"
    return broker


@pytest.mark.parametrize("error", [BrokerUnavailable("gone"), RuntimeError("a bug")])
def test_it_goes_on_whatever_happens(
    broker: Broker, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A look that fails, even by a bug, is reported with its reason, and the next one that works brings it
    back.
    """
    poller = Moody(broker)
    with watching(poller) as (polling_thread, reports):
        until(reports, is_live=True)
        poller.error = error
        lost = until(reports, is_live=False)
        assert str(error) in lost.connection.reason
        assert lost.connection.state(0, 1) == "lost"
        poller.error = None
        polling_thread.poll_now()  # does not wait for the pause to end
        back = until(reports, is_live=True)
        assert back.connection.came_back
        assert not until(reports, is_live=True).connection.came_back
    assert ("unexpectedly" in caplog.text) is isinstance(error, RuntimeError)


def test_looks_do_not_pile_up(broker: Broker) -> None:
    """While a look hangs no other begins, however often one is asked for, and it counts as slow."""
    poller = Moody(broker)
    with watching(poller) as (polling_thread, reports):
        until(reports, is_live=True)
        poller.gate.clear()
        polling_thread.poll_now()
        while polling_thread.connection.looking_since is None or poller.gate.is_set():
            threading.Event().wait(0.001)
        looks = poller.looks
        for _ in range(20):
            polling_thread.poll_now()
        since = polling_thread.connection.looking_since
        assert polling_thread.connection.state(since + 5, 0.01) == "slow"
        assert poller.looks - looks <= 1
        poller.gate.set()
        until(reports, is_live=True)


def test_a_new_page_is_fetched_at_once(broker: Broker) -> None:
    """Who wants another page does not wait for the interval."""
    broker.enqueue([queued(1)])
    with watching(Poller(broker), interval=3600) as (polling_thread, reports):
        until(reports, is_live=True)
        polling_thread.want([Wanted("queue", "q")])
        report = until(reports, is_live=True)
        assert report.poll is not None
        assert len(report.poll.snapshot.pages[0].jobs) == 1
    broker.flush()


def test_nothing_is_reported_of_a_namespace_left(broker: Broker) -> None:
    """A look at a namespace that somebody has left meanwhile is not reported, and the next one is of the new
    one.
    """
    poller = Moody(broker)
    other = MemoryBroker()
    other.namespace = "other"
    with watching(poller, interval=3600) as (polling_thread, reports):
        until(reports, is_live=True)
        poller.gate.clear()
        polling_thread.poll_now()
        while poller.looks < 2:
            threading.Event().wait(0.001)
        polling_thread.turn_to(Poller(other))
        poller.gate.set()
        report = until(reports, is_live=True)
        assert report.poll is not None
        assert report.poll.snapshot.namespace == "other"


class Forgetful(MemoryBroker):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.namespace = "ns"
        self.asked: list[dict[str, object]] = []

    def snapshot(self, **asked: object) -> NamespaceSnapshot:  # type: ignore[override]
        self.asked.append(asked)
        if len(self.asked) == 2:
            raise BrokerUnavailable("gone")
        return super().snapshot(**asked)  # type: ignore[arg-type]


def test_queues_are_remembered_over_a_loss() -> None:
    """After a loss the keys are not searched again: queues that were found are asked for by name."""
    broker = Forgetful()
    broker.enqueue([queued(1, queue="found")])
    poller = Poller(broker, discover=True)
    poller.poll()
    with pytest.raises(BrokerUnavailable):
        poller.poll()
    poll = poller.poll()
    assert [asked["discover"] for asked in broker.asked] == [True, False, False]
    assert broker.asked[2]["queues"] == ["found"]
    assert broker.asked[2]["known"] is None
    assert poll.rates == {}
    broker.flush()


def test_the_first_page_of_large_jobs_is_short() -> None:
    """A queue whose first job was seen to be large is opened with a short page at once."""
    broker = MemoryBroker()
    broker.namespace = "large"
    broker.enqueue([queued("x" * 600_000) for _ in range(20)])
    poller = Poller(broker)
    poller.poll()
    (page,) = poller.poll([Wanted("queue", "q", 100)]).snapshot.pages
    assert len(page.jobs) == 1
    broker.flush()


def test_a_page_of_large_jobs_is_short() -> None:
    """Where jobs are large, fewer of them are asked for from the next look on."""
    broker = Forgetful()
    broker.asked += [{}, {}]
    broker.enqueue([queued("x" * 400_000) for _ in range(5)])
    poller = Poller(broker)
    assert len(poller.poll([Wanted("queue", "q")]).snapshot.pages[0].jobs) == 5
    assert len(poller.poll([Wanted("queue", "q")]).snapshot.pages[0].jobs) == 2
    broker.flush()
