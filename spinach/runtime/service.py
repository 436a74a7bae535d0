"""The contract of background duties: a service is a thread that repeats one duty until it is stopped.

A failure never ends the thread: the service logs it and repeats the tick after a jittered pause.
"""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import Context
from time import monotonic, time
from typing import ClassVar, Final

from ..brokers.messages import Contact
from ..exc import BrokerUnavailable, LeaseRevoked
from ..execution import this_thread
from ..guard import Guarded
from ..hooks import ServiceWrapper
from ..logger import SafeLogger
from .vitals import ServiceVitals

logger = SafeLogger(__name__)

_MIN_BACKOFF_SECONDS: Final = 0.1
# Long enough to spare a server in trouble, short enough that work goes on soon after an outage.
_MAX_BACKOFF_SECONDS: Final = 5.0
# A duty that only waits to be woken ticks at least so often: health checks take longer silence for a fault.
_MAX_WAIT_SECONDS: Final = 60.0


class Service(ABC):
    """One background duty in a thread of its own.

    Args:
        namespace: Whose duty it is.
        name: The end of the thread's name, after the namespace.
        on_revoked: Called with the worker id that was declared dead.

    Attributes:
        duty: Its name in metrics and health checks.
        max_backoff_seconds: The longest pause between two attempts while the broker cannot be reached.
    """

    duty: ClassVar[str]
    max_backoff_seconds: float = _MAX_BACKOFF_SECONDS

    def __init__(self, namespace: str, name: str, on_revoked: Callable[[str], None] | None = None) -> None:
        self.namespace = namespace
        self.name = f"{namespace}-{name}"
        self._on_revoked = on_revoked
        self._failures_in_a_row = 0
        self._failures_since_start = 0
        self._last_run = (time(), monotonic())
        self._interval = 0.0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, wrappers: Sequence[ServiceWrapper] = ()) -> None:
        """Start the thread.

        Args:
            wrappers: Context managers to put around the duty.
        """
        # In an empty context: a span or request of the caller must not live as long as the workers.
        self._thread = threading.Thread(
            target=Context().run, args=(self._run, wrappers), name=self.name, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end after its present tick. Does not wait."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the end of the thread; return whether it ended in time."""
        if self._thread is None:
            return True
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """Start the next tick at once."""
        if not self._wake.is_set():
            self._wake.set()

    def vitals(self, contact: Contact) -> ServiceVitals:
        """Return the vitals of this duty; `contact` says which threads wait for the broker."""
        thread, (at, since) = self._thread, self._last_run
        return ServiceVitals(
            name=self.duty,
            expected=thread is not None and not self._stopping.is_set(),
            alive=thread is not None and thread.is_alive(),
            last_run_at=at,
            silent_seconds=max(0.0, monotonic() - since),
            interval_seconds=self._interval,
            failures=self._failures_since_start,
            asking=thread is not None and thread.ident in contact.asking,
        )

    @abstractmethod
    def tick(self) -> float | None:
        """Do the duty once; return the seconds to wait before the next time, None to wait for `wake`."""

    def _run(self, wrappers: Sequence[ServiceWrapper]) -> None:
        this_thread.namespace = self.namespace
        with Guarded(wrappers, (), self.name):
            self._repeat()

    def _repeat(self) -> None:
        while not self._stopping.is_set():
            self._last_run = (time(), monotonic())
            pause = self._supervised_tick()
            self._last_run = (time(), monotonic())
            self._interval = _MAX_WAIT_SECONDS if pause is None else pause
            if self._interval > 0:
                self._wake.wait(self._interval)
            self._wake.clear()

    def _supervised_tick(self) -> float | None:
        try:
            pause = self.tick()
        except LeaseRevoked as error:
            return self._rejoin(error.worker_id)
        except BrokerUnavailable as error:
            self._log_outage(error)
            return self._backoff()
        except BaseException:
            logger.exception("%s failed; it starts again", self.name, extra={"action": "service_failed"})
            return self._backoff()
        if self._failures_in_a_row:
            logger.info("%s works again", self.name, extra={"action": "service_recovered"})
            self._failures_in_a_row = 0
        return pause

    def _rejoin(self, worker_id: str) -> float:
        try:
            if self._on_revoked is not None:
                self._on_revoked(worker_id)
        except BrokerUnavailable as error:
            self._log_outage(error)
            return self._backoff()
        return 0.0

    def _log_outage(self, error: BrokerUnavailable) -> None:
        # One warning when an outage begins; another line is logged when it ends.
        level = logger.warning if self._failures_in_a_row == 0 else logger.debug
        level("%s waits for the broker: %s", self.name, error, extra={"action": "broker_unavailable"})

    def _backoff(self) -> float:
        self._failures_in_a_row += 1
        self._failures_since_start += 1
        grown = _MIN_BACKOFF_SECONDS * 2.0 ** min(self._failures_in_a_row, 10)
        ceiling = min(self.max_backoff_seconds, grown)
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
