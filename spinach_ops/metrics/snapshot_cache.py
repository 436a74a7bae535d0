"""Snapshots on demand: one look serves all who ask within a few seconds, and nobody waits longer than it can afford.

The look runs in a thread of its own: a server that hangs holds up that thread alone, never a scrape for longer than
its deadline, never a second thread.
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

Look = Callable[["NamespaceSnapshot | None"], NamespaceSnapshot]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a look brought: a snapshot, or why there is none (a reason and a message)."""

    snapshot: NamespaceSnapshot | None
    reason: str = ""
    message: str = ""


class SnapshotCache:
    """Looks at a namespace when asked.

    Args:
        look: Takes the snapshot, given the one before.
        cache_seconds: For how long one look serves all who ask.
        name: Of the thread.
    """

    def __init__(
        self, look: Look, *, cache_seconds: float = DEFAULT_CACHE_SECONDS, name: str = "snapshot"
    ) -> None:
        self._look = look
        self._cache_seconds = cache_seconds
        self._name = name
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._under_way: Future[Reading] | None = None
        self._known: NamespaceSnapshot | None = None
        self._last: Future[Reading] = Future()
        self._fresh_until = 0.0

    def begin(self) -> Future[Reading]:
        """Begin a look unless one is under way or fresh enough; return what it will bring."""
        if self._process != os.getpid():
            self._begin_anew()
        with self._lock:
            if monotonic() < self._fresh_until:
                return self._last
            if self._under_way is None:
                self._under_way = self._begin()
            return self._under_way

    def read(self, deadline_seconds: float) -> Reading:
        """Return a snapshot at most as old as the cache allows, or why there is none in time."""
        return wait_for(self.begin(), deadline_seconds)

    def _begin_anew(self) -> None:
        """Forget what was under way in the parent of this process: its thread is not here, nor whoever held the lock."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._under_way = None
        self._known = None

    def _begin(self) -> Future[Reading]:
        future: Future[Reading] = Future()
        threading.Thread(target=self._take, args=(future,), name=self._name, daemon=True).start()
        return future

    def _take(self, future: Future[Reading]) -> None:
        reading = self._reading()
        with self._lock:
            # What marks the way of the queues is good for one look after it; after a failure the next begins anew.
            self._known = reading.snapshot
            self._last, self._fresh_until = future, monotonic() + self._cache_seconds
            self._under_way = None
            future.set_result(reading)

    def _reading(self) -> Reading:
        try:
            return Reading(self._look(self._known))
        except BrokerUnavailable as error:
            return Reading(None, error.kind, str(error))
        except Exception as error:
            return Reading(None, "malformed", f"{type(error).__name__}: {error}")


def wait_for(look: Future[Reading], deadline_seconds: float) -> Reading:
    """Return what a look that was begun brings, or that it did not in time."""
    try:
        return look.result(max(0.0, deadline_seconds))
    except FutureTimeout:
        return Reading(None, "timeout", f"no answer within {max(0.0, deadline_seconds):.1f} s")
