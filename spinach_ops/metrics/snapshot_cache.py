"""Takes snapshots on demand: one poll serves all callers within a few seconds; callers wait until a deadline.

A poll runs in a thread of its own. While a server hangs, that thread waits; no scrape waits beyond its
deadline, and no second thread starts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from time import monotonic
from typing import Final

from spinach.exc import BrokerUnavailable
from spinach.stats import NamespaceSnapshot

DEFAULT_CACHE_SECONDS: Final = 3.0

TakeSnapshot = Callable[["NamespaceSnapshot | None"], NamespaceSnapshot]


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a poll brought.

    Attributes:
        snapshot: What it read; None if the namespace could not be read.
        reason: Why not: one of `catalog.SNAPSHOT_REASONS`.
        message: Why not, for people.
    """

    snapshot: NamespaceSnapshot | None
    reason: str = ""
    message: str = ""


class SnapshotCache:
    """Polls a namespace when a caller asks.

    Args:
        take: Takes a snapshot, given the previous one.
        cache_seconds: How long one poll serves every caller.
        name: Name of the thread.
    """

    def __init__(
        self, take: TakeSnapshot, *, cache_seconds: float = DEFAULT_CACHE_SECONDS, name: str = "snapshot"
    ) -> None:
        self._take = take
        self._cache_seconds = cache_seconds
        self._name = name
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._running: Future[PollResult] | None = None
        self._previous: NamespaceSnapshot | None = None
        self._latest: Future[PollResult] = Future()
        self._fresh_until = 0.0

    def start_poll(self) -> Future[PollResult]:
        """Return the running poll, or the latest one while it is fresh, or else start one."""
        if self._process != os.getpid():
            self._reset_after_fork()
        with self._lock:
            if monotonic() < self._fresh_until:
                return self._latest
            if self._running is None:
                self._running = Future()
                threading.Thread(
                    target=self._run, args=(self._running,), name=self._name, daemon=True
                ).start()
            return self._running

    def read(self, deadline_seconds: float) -> PollResult:
        """Return a snapshot that is at most `cache_seconds` old, or why there is none within the deadline."""
        return wait_for_result(self.start_poll(), deadline_seconds)

    def _reset_after_fork(self) -> None:
        """Forget the poll of the parent process: its thread, and a holder of the lock, are not here."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._running = None
        self._previous = None

    def _run(self, poll: Future[PollResult]) -> None:
        result = self._poll()
        with self._lock:
            # The next poll may continue from this snapshot only; after a failure it starts from nothing.
            self._previous = result.snapshot
            self._latest, self._fresh_until = poll, monotonic() + self._cache_seconds
            self._running = None
            poll.set_result(result)

    def _poll(self) -> PollResult:
        try:
            return PollResult(self._take(self._previous))
        except BrokerUnavailable as error:
            return PollResult(None, error.kind, str(error))
        except Exception as error:
            return PollResult(None, "malformed", f"{type(error).__name__}: {error}")


def wait_for_result(poll: Future[PollResult], deadline_seconds: float) -> PollResult:
    """Return what a poll brings, or a result that says it did not end within the deadline."""
    try:
        return poll.result(max(0.0, deadline_seconds))
    except FutureTimeout:
        return PollResult(None, "timeout", f"no answer within {max(0.0, deadline_seconds):.1f} s")
