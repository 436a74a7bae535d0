"""What the parts of the Redis broker share: connection, keys, clock, and this worker's identity."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.exceptions import NoScriptError

from ...clock import ServerClock
from ...exc import MalformedJob
from ...logger import SafeLogger
from ...stats import FailedJob
from .. import dead_letters
from ..limits import MAX_SAMPLE_CHARACTERS
from . import scripts
from .connection import Argument, Connection
from .counter_fields import group_field
from .keys import Keys
from .scripts import NAMES_OF_KEYS, Script

logger = SafeLogger(__name__)

# A producer of nonsense could otherwise fill the memory of the process.
_MAX_REPORTED: Final = 1_000


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
    _shared_keys: dict[str, str] = field(init=False)
    _reported: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._shared_keys = {name: getattr(self.keys, name) for name in NAMES_OF_KEYS}

    def run(
        self,
        script: Script,
        *,
        more_keys: Sequence[str] = (),
        records: Sequence[Argument] = (),
        **named: Argument,
    ) -> Any:
        """Run a script by its digest; send its text when the server does not know it.

        Args:
            script: The script.
            more_keys: Keys that follow those it declares.
            records: Arguments that follow those it declares.
            **named: Values of the keys and arguments it declares; those named as a key of the namespace, and
                the counters of the present minute, are known.

        Raises:
            TypeError: `named` has more or fewer names than the script declares.
            KeyError: it has others.
        """
        if len(named) != len(script.given):
            raise TypeError(f"{script.name}.lua takes {sorted(script.given)}, not {sorted(named)}")
        named.update(self._shared_keys)
        if script.counts_by_minute:
            named["counters_of_minute"] = self.keys.counters_of_minute(int(self.clock.now() // 60))
        keys = [named[name] for name in script.keys]
        arguments = [named[name] for name in script.arguments]
        sent = (len(keys) + len(more_keys), *keys, *more_keys, *arguments, *records)
        try:
            return self.connection.call("EVALSHA", script.sha, *sent, operation=script.name)
        except NoScriptError:
            # The server did not run it, so sending it now runs it once.
            return self.connection.call("EVAL", script.text, *sent, operation=script.name)

    def observe_time(self, reply: Sequence[bytes]) -> float:
        """Learn the server's time from a reply to TIME, and return it."""
        now = int(reply[0]) + int(reply[1]) / 1e6
        self.clock.observe(now)
        return now

    def set_aside(
        self,
        source: str,
        place: str,
        *,
        kind: str,
        member: bytes,
        error: MalformedJob,
        raw: bytes,
        held: bytes | None = None,
    ) -> None:
        """Move something malformed to the dead letters, once, with a log line.

        Args:
            source: The key that holds it.
            place: The same for a person.
            kind: Type of the key: ``zset``, ``hash`` or ``list``.
            member: Its member or field.
            error: What is wrong with it.
            raw: Its bytes as they were written.
            held: The bytes that the hash must hold, where they differ from `raw`.
        """
        letter = dead_letters.malformed(raw, error, place, self.clock.now(), self.worker_id)
        moved = self.run(
            scripts.SET_ASIDE, source=source, kind=kind, member=member,
            expected=raw if held is None else held,
            record=dead_letters.to_record(letter), **letter_arguments(letter),
        )  # fmt: skip
        if moved:
            logger.error("Set aside as malformed: %s", letter.message, extra={"action": "set_aside"})

    def report_once(self, message: str, *, level: int = logging.ERROR) -> None:
        """Log something that each call would otherwise repeat."""
        if message not in self._reported and len(self._reported) < _MAX_REPORTED:
            self._reported.add(message)
            logger.log(level, message)


def letter_arguments(letter: FailedJob) -> dict[str, Any]:
    """Return what a script is told of a dead letter beside its record."""
    return {
        "letter_id": letter.id,
        "group": group_field(letter.task_name, letter.error_type),
        "message": letter.message[:MAX_SAMPLE_CHARACTERS].encode("utf-8", "replace"),
    }
