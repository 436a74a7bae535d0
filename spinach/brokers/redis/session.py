"""What the parts of the Redis broker share: connection, keys, clock, and this worker's identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

from ...clock import ServerClock
from ...exc import MalformedJob
from ...job import Job
from .. import dead_letters
from . import scripts
from .connection import Argument, Connection
from .counter_fields import group_field
from .keys import Keys
from .scripts import Script

logger = getLogger(__name__)


@dataclass(slots=True)
class Session:
    """One broker's view of one namespace.

    Attributes:
        connection: The connection.
        keys: The namespace's keys.
        clock: Follows the server's clock.
        worker_id: Id under which this process is registered, empty for a client.
    """

    connection: Connection
    keys: Keys
    clock: ServerClock
    worker_id: str = ""
    _reported: set[str] = field(default_factory=set)

    def run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """Run a script."""
        return scripts.run(self.connection, script, keys, arguments)

    @property
    def minute_key(self) -> str:
        """Key of the counters of the present minute, by the server's clock."""
        return self.keys.counters_of_minute(int(self.clock.now() // 60))

    def observe_time(self, reply: Sequence[bytes]) -> float:
        """Learn the server's time from a reply to TIME, and return it."""
        now = int(reply[0]) + int(reply[1]) / 1e6
        self.clock.observe(now)
        return now

    def set_aside(
        self, key: str, kind: str, member: bytes, error: MalformedJob, raw: bytes, held: bytes | None = None
    ) -> None:
        """Move something malformed from its place to the dead letters, once, with a log line.

        Args:
            key: Where it stands.
            kind: ``zset``, ``hash`` or ``list``.
            member: Its member or field.
            error: What is wrong with it.
            raw: Its bytes, as somebody wrote them.
            held: The bytes that must stand there (``hash``), where they are others.
        """
        letter = dead_letters.malformed(raw, error, key, self.clock.now(), self.worker_id)
        moved = self.run(
            scripts.SET_ASIDE,
            [key, self.keys.failed, self.keys.failed_data, self.keys.failure_groups, self.keys.counters],
            kind, member, raw if held is None else held, letter.id, dead_letters.to_record(letter),
            group_field("", letter.error_type), letter.message,
        )  # fmt: skip
        if moved:
            logger.error("Set aside as malformed: %s", letter.message, extra={"action": "set_aside"})

    def report_once(self, message: str) -> None:
        """Log an error that would otherwise be repeated at every look."""
        if message not in self._reported and len(self._reported) < 1000:
            self._reported.add(message)
            logger.error(message)


def decoded(raw: bytes) -> Job:
    """Return the job of stored bytes.

    Raises:
        MalformedJob: they are not a job's.
    """
    return Job.deserialize(raw)
