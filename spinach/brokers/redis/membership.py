"""A worker's life in the namespace: it joins, beats, leaves."""

from __future__ import annotations

import json
import os
import platform
import socket
import uuid
from collections.abc import Mapping
from typing import Any, Final

from ...exc import LeaseRevoked, NewerLayout
from ..base import WorkerProfile, WorkerState
from . import keys as layout
from . import scripts
from .session import Session

# The sight comes last, so that a script can put the server's time there.
_SIGHT: Final = '"last_seen_at": '


class Membership:
    """Registers this process as a worker.

    Args:
        session: The broker's session.
        version: Release that is announced.
    """

    def __init__(self, session: Session, version: str) -> None:
        self._session = session
        self._version = version
        self._facts: dict[str, Any] = {}
        self._announced: Mapping[str, str] = {}

    def join(self, profile: WorkerProfile, *, dead_after: float, beat_every: float) -> None:
        """Register under a new id.

        Raises:
            NewerLayout: a newer release wrote in this namespace; nothing is written.
        """
        session, keys = self._session, self._session.keys
        session.observe_time(session.connection.call("TIME"))
        worker_id = str(uuid.uuid4())
        facts = {
            "id": worker_id,
            "name": socket.gethostname(),
            "started_at": int(session.clock.now()),
            "namespace": keys.namespace,
            "pid": os.getpid(),
            "version": self._version,
            "python": platform.python_version(),
            "queues": [profile.queue],
            "slots": profile.slots,
            "kind": profile.kind,
            "tasks": list(profile.task_names)[:100],
            "heartbeat": beat_every,
            "dead_after": dead_after,
        }
        newer = session.run(
            scripts.JOIN,
            [keys.brokers, keys.brokers_by_sight, keys.brokers_seen, keys.layout],
            worker_id, _text(facts, profile.announced, WorkerState("starting")), layout.LAYOUT_VERSION, layout.MAX_BROKERS_SEEN,
        )  # fmt: skip
        if newer:
            raise NewerLayout(
                f"namespace {keys.namespace!r} was written by a newer release (layout {newer}, this one knows "
                f"{layout.LAYOUT_VERSION}); update this worker"
            )
        self._facts, self._announced = facts, profile.announced
        session.worker_id = worker_id

    def beat(self, state: WorkerState) -> None:
        """Say that this worker is alive.

        Raises:
            LeaseRevoked: it was declared dead.
        """
        # Taken once: another thread may join anew during the call, and then that lease is not the lost one.
        session, facts = self._session, self._facts
        now = int(session.clock.now())
        alive = session.run(
            scripts.BEAT,
            [session.keys.brokers, session.keys.brokers_by_sight],
            facts["id"], f"{_text(facts, self._announced, state)}{now}}}", now,
        )  # fmt: skip
        if not alive:
            raise LeaseRevoked(facts["id"])

    def leave(self) -> None:
        """Unregister."""
        session, keys = self._session, self._session.keys
        session.run(
            scripts.LEAVE,
            [
                keys.brokers, keys.brokers_by_sight, keys.brokers_seen,
                keys.running(session.worker_id), keys.reserved(session.worker_id),
            ],
            session.worker_id, keys.notifications,
        )  # fmt: skip


def _text(facts: dict[str, Any], announced: Mapping[str, str], state: WorkerState) -> str:
    """Return the registry entry up to the value of `last_seen_at`."""
    facts = {**announced, **facts, "state": state.state, "busy": state.busy, "fetched": state.fetched}
    return f"{json.dumps(facts)[:-1]}, {_SIGHT}"
