"""A worker's life in the namespace: it joins, sends heartbeats, leaves."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from ...exc import LeaseRevoked, NewerLayout
from .. import worker_record
from ..messages import WorkerProfile, WorkerState
from . import scripts
from .keys import LAYOUT_VERSION
from .session import Session


class Presence:
    """How long the heartbeats of this worker have arrived without a gap.

    A worker that was cut off cannot tell who died and who was cut off, too.
    """

    def __init__(self) -> None:
        self._longest_gap = math.inf
        self._arrived_at = -math.inf
        self._steady_since = -math.inf

    def begin(self, elapsed: float, beat_every: float) -> None:
        """Note that the worker joins; `elapsed` is local time that never goes back."""
        self._longest_gap = 3 * beat_every
        self._arrived_at = elapsed

    def note(self, elapsed: float) -> None:
        """Note that a heartbeat arrived."""
        if elapsed - self._arrived_at > self._longest_gap:
            self._steady_since = elapsed
        self._arrived_at = elapsed

    def steady_seconds(self, elapsed: float) -> float:
        """Return for how long there was no gap; infinity if there was none since the worker joined."""
        return 0.0 if elapsed - self._arrived_at > self._longest_gap else elapsed - self._steady_since


class Membership:
    """Registers this process as a worker.

    Args:
        session: The broker's session.

    Attributes:
        presence: How its heartbeats arrive.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.presence = Presence()
        self._facts: dict[str, Any] = {}
        self._announced: Mapping[str, str] = {}

    def join(self, profile: WorkerProfile, *, dead_after: float, beat_every: float) -> None:
        """Register under a new id.

        Args:
            profile: What the worker announces.
            dead_after: Seconds of silence after which others may call it dead.
            beat_every: Seconds between heartbeats.

        Raises:
            NewerLayout: a newer release wrote in this namespace; nothing is written.
        """
        session, namespace = self._session, self._session.keys.namespace
        session.observe_time(session.connection.call("TIME"))
        worker_id = str(uuid.uuid4())
        facts = worker_record.facts_of(
            worker_id, profile, namespace=namespace, now=session.clock.now(),
            dead_after_seconds=dead_after, heartbeat_seconds=beat_every,
        )  # fmt: skip
        newer = session.run(
            scripts.JOIN, worker_id=worker_id, layout_version=LAYOUT_VERSION,
            record_head=_record_head(facts, profile.announced, WorkerState("starting")),
        )  # fmt: skip
        if newer:
            raise NewerLayout(
                f"namespace {namespace!r} was written by a newer release (layout {newer}, this one knows "
                f"{LAYOUT_VERSION}); update this worker"
            )
        self._facts, self._announced = facts, profile.announced
        session.worker_id = worker_id
        self.presence.begin(session.clock.elapsed(), beat_every)

    def beat(self, state: WorkerState) -> None:
        """Say that this worker is alive.

        Raises:
            LeaseRevoked: it was declared dead.
        """
        # Read once: another thread may join during the call, and the lease that is lost is then the earlier
        # one.
        session, facts = self._session, self._facts
        now = int(session.clock.now())
        record = f"{_record_head(facts, self._announced, state)}{now}}}"
        if not session.run(scripts.BEAT, worker_id=facts["id"], record=record, seen_at=now):
            raise LeaseRevoked(facts["id"])
        self.presence.note(session.clock.elapsed())

    def announce_tasks(self, names: Iterable[str]) -> None:
        """Add tasks to those that the next heartbeat announces."""
        if self._facts:
            self._facts = worker_record.with_tasks(self._facts, names)

    def leave(self) -> None:
        """Unregister."""
        session, worker_id = self._session, self._session.worker_id
        session.run(
            scripts.LEAVE, worker_id=worker_id,
            running=session.keys.running(worker_id), reserved=session.keys.reserved(worker_id),
        )  # fmt: skip


def _record_head(facts: Mapping[str, Any], announced: Mapping[str, str], state: WorkerState) -> str:
    """Return the record up to the value of `last_seen_at`, which comes last: a script can add the time."""
    return f'{json.dumps(worker_record.record_of(facts, announced, state))[:-1]}, "last_seen_at": '
