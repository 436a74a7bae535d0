"""What the screen shows and where it comes from: polls one namespace at a time, and keeps the last report.

It draws nothing and knows no key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spinach.brokers.base import Broker
from spinach.const import VERSION
from spinach.stats import Wanted

from ...polling.poller import Poller
from ...polling.polling_thread import PollingThread, Report
from ...polling.trends import History
from ..screen.header import Status
from ..view.view_model import ViewModel

Connect = Callable[[str], Broker]


class PolledNamespace:
    """Polls a namespace in a thread of its own.

    Args:
        connect: Makes a broker for a namespace.
        namespace: The first namespace.
        deliver: Called in the thread with each report; `accept` takes it in the thread of the screen.
        interval_seconds: Between two polls.
        queues: Names of queues to read in any case.
        now: A monotonic clock.

    Attributes:
        namespace: The namespace.
        polling_thread: The thread; its interval may be changed.
        trends: What was remembered of earlier polls.
    """

    def __init__(
        self,
        connect: Connect,
        namespace: str,
        deliver: Callable[[Report], None],
        *,
        interval_seconds: float,
        queues: Sequence[str],
        now: Callable[[], float],
    ) -> None:
        self.namespace = namespace
        self.trends = History()
        self._connect = connect
        self._broker = connect(namespace)
        self._interval_seconds = interval_seconds
        self._queues = queues
        self._now = now
        self._seen: Report | None = None
        self._seen_at = now()
        self._frozen: tuple[Report, float] | None = None
        self._focused_interval: float | None = None
        self.polling_thread = PollingThread(
            self._poller(), deliver, interval_seconds=interval_seconds, now=now
        )

    def _poller(self) -> Poller:
        return Poller(
            self._broker,
            interval_seconds=self._interval_seconds,
            queues=self._queues,
            discover=True,
        )

    @property
    def has_connection(self) -> bool:
        """Whether the last poll succeeded."""
        return self.polling_thread.connection.failures == 0

    def connect_again(self) -> Broker:
        """Return another broker for the namespace."""
        return self._connect(self.namespace)

    def turn_to(self, namespace: str) -> None:
        """Poll another namespace.

        Raises:
            UsageError: It cannot be connected to; the old one is still polled.
            ValueError: The name is not valid.
        """
        self._broker = self._connect(namespace)
        self.namespace, self.trends = namespace, History()
        self._seen = self._frozen = None
        self.polling_thread.turn_to(self._poller())

    def want(self, pages: Sequence[Wanted]) -> None:
        """Read these pages in the next polls."""
        self.polling_thread.want(tuple(pages))

    def accept(self, report: Report) -> bool:
        """Keep a report if it is about the namespace that is shown; return whether it is."""
        if report.poller.broker is not self._broker:
            return False
        if report.poll is not None:
            self.trends.add(report.poll.snapshot, report.poll.rates, gap=report.connection.came_back)
            self._seen, self._seen_at = report, self._now()
        return True

    def freeze(self) -> None:
        """Freeze what is shown, or go on."""
        self._frozen = (self._seen, self._now()) if self._frozen is None and self._seen else None

    def slow_down(self, factor: int) -> None:
        """Poll less often, until `speed_up`."""
        self._focused_interval = self.polling_thread.interval_seconds
        self.polling_thread.interval_seconds = self._focused_interval * factor

    def speed_up(self) -> None:
        """Poll as often as before `slow_down`, and at once."""
        if self._focused_interval is not None:
            self.polling_thread.interval_seconds = self._focused_interval
        self._focused_interval = None

    def view(self, *, show_arguments: bool) -> ViewModel | None:
        """Return what is shown; None before the first report."""
        report = self._frozen[0] if self._frozen else self._seen
        if report is None or report.poll is None:
            return None
        is_stale = not self.has_connection and self._frozen is None
        return ViewModel(
            report.poll.snapshot,
            self.trends,
            stale_seconds=self._now() - self._seen_at if is_stale else 0.0,
            show_arguments=show_arguments,
        )

    def status(self) -> Status:
        """Return the state of the connection and of the polls."""
        now = self._now()
        return Status(
            namespace=self.namespace,
            address=self._broker.address,
            version=VERSION,
            connection=self.polling_thread.connection,
            now=now,
            interval_seconds=self.polling_thread.interval_seconds,
            frozen_seconds=now - self._frozen[1] if self._frozen else None,
        )
