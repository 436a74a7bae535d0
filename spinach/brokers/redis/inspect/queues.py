"""The part of a snapshot that is about queues: which there are, how long, how old, and where the marker went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from ....stats import NamespaceSnapshot, QueueStats
from ....stats.jobs import JobInfo
from ...limits import MAX_QUEUES as MAX_INDEXED
from ..connection import Argument
from ..keys import Keys
from . import parts
from .reader import Question, Reader

MAX_QUEUES: Final = 500
# A transaction of so many queues holds up others for a quarter of a millisecond.
_QUEUES_TOGETHER: Final = 25
# Elements that are searched for the marker, from the end; a miss takes the server 0.3 ms per thousand.
_REACH: Final = 1000
_MAX_REACH: Final = 5000


# Of a queue with larger elements the last one is not read, and the first one at some looks only.
_FAT_BYTES: Final = 65_536
_LOOKS_PER_FAT_HEAD: Final = 10


@dataclass(slots=True)
class _Asked:
    """The questions about one queue; None for what is not asked at this look."""

    depth: Question
    head: Question | None
    tail: Question | None
    marker: Question | None
    reach: int


class Queues:
    """Asks about the queues of a namespace.

    Args:
        keys: The namespace's keys.
        reader: Gathers the questions.
        known: The snapshot before: its queues are asked for at once, and its markers are looked for.
        given: Names that somebody gave.
        guessed: Names of lists that may be queues.
    """

    def __init__(
        self,
        keys: Keys,
        reader: Reader,
        known: NamespaceSnapshot | None,
        given: Iterable[str],
        guessed: Iterable[str],
    ) -> None:
        self._keys = keys
        self._reader = reader
        self._known_at = known.at if known else 0.0
        self._known = {queue.name: queue for queue in known.queues} if known else {}
        self._guessed = set(guessed).difference(given, self._known)
        self._first = [*given, *self._known, *sorted(self._guessed)]
        self._asked: dict[str, _Asked | None] = {}
        self.is_cut = False

    def ask(self) -> None:
        """Ask for the index of queues, and about those that are known."""
        self._index = self._reader.ask("SSCAN", self._keys.queues, 0, "COUNT", MAX_INDEXED + 1)
        self.ask_about(self._first)

    def ask_about(self, names: Iterable[object]) -> None:
        """Ask about queues that were not asked about before."""
        usable = dict.fromkeys(name for name in map(parts.queue_name, names) if name is not None)
        new = [name for name in usable if name not in self._asked]
        room = MAX_QUEUES - len(self._asked)
        self.is_cut = self.is_cut or len(new) > room
        rest = iter(new[:room])
        while chunk := list(islice(rest, _QUEUES_TOGETHER)):
            self._ask_about_some(chunk)

    def _ask_about_some(self, names: list[str]) -> None:
        commands = [self._commands(name) for name in names]
        questions = iter(self._reader.ask_together(*(command for each, _ in commands for command in each)))
        for name, (each, reach) in zip(names, commands, strict=True):
            depth, *more = [next(questions) for _ in each]
            head, tail, marker = [*more, None, None, None][:3]
            self._asked[name] = _Asked(depth, head, tail, marker, reach)

    def _commands(self, name: str) -> tuple[list[tuple[Argument, ...]], int]:
        key, known = self._keys.queue(name), self._known.get(name)
        commands: list[tuple[Argument, ...]] = [("LLEN", key), ("LINDEX", key, 0), ("LINDEX", key, -1)]
        if known is not None and known.element_bytes > _FAT_BYTES:
            return commands[: 1 if known.head_looks < _LOOKS_PER_FAT_HEAD - 1 else 2], 0
        if known is None or known.tail is None:
            return commands, 0
        reach = _reach_after(known)
        return [*commands, ("LPOS", key, known.tail, "RANK", -1, "MAXLEN", reach)], reach

    # --- answers ---------------------------------------------------------------------------------

    def indexed(self) -> list[bytes]:
        """Return the names in the index, as bytes."""
        page = self._reader.answer(self._index, None)
        self.is_cut = self.is_cut or parts.is_cut(page)
        return sorted(page[1]) if page else []

    def mention(self, names: Iterable[object]) -> None:
        """Note queues that exist and were not asked about: the next snapshot will."""
        for name in map(parts.queue_name, names):
            if name is not None and name not in self._asked and len(self._asked) < MAX_QUEUES:
                self._asked[name] = None

    def stats(self, now: float) -> tuple[QueueStats, ...]:
        """Return the queues by name."""
        found = []
        for name, asked in sorted(self._asked.items()):
            if asked is None:
                found.append(QueueStats(name))
            elif name not in self._guessed or self._is_queue(name, asked):
                found.append(self._stats_of(name, asked, now))
        return tuple(found)

    def _stats_of(self, name: str, asked: _Asked, now: float) -> QueueStats:
        answer = self._reader.answer
        if asked.head is None:
            return self._kept(self._known[name], answer(asked.depth, None), now)
        stats = parts.queue_stats(
            self._reader, name, now,
            depth=answer(asked.depth, None), head=answer(asked.head, None), tail=answer(asked.tail, None),
        )  # fmt: skip
        searched = asked.marker is not None and not isinstance(asked.marker.reply, Exception)
        return replace(
            stats,
            marker_position=answer(asked.marker, None),
            marker_reach=asked.reach if searched else 0,
            consistent=self._reader.together,
        )

    def _kept(self, known: QueueStats, depth: int | None, now: float) -> QueueStats:
        """Return a queue with the first element that was read some looks ago, unless it is empty meanwhile."""
        if depth is None or depth == 0:
            return QueueStats(known.name, depth, None if depth is None else 0.0)
        oldest = known.oldest_seconds
        return replace(
            known,
            depth=depth,
            oldest_seconds=None if oldest is None else max(0.0, oldest + now - self._known_at),
            tail=None,
            marker_position=None,
            marker_reach=0,
            consistent=self._reader.together,
            head_looks=known.head_looks + 1,
        )

    def _is_queue(self, name: str, asked: _Asked) -> bool:
        """Whether a list is a queue of this namespace, and not of another whose name begins alike."""
        head = self._reader.answer(asked.head, None)
        return head is None or JobInfo.read(head).queue in ("", name)


def _reach_after(known: QueueStats) -> int:
    """Return how far to look for a queue's marker: four times what came before."""
    if known.marker_reach == 0 or known.depth is None:
        return _REACH
    if known.marker_position is None:
        return _MAX_REACH
    return min(_MAX_REACH, max(_REACH, 4 * (known.depth - known.marker_position)))
