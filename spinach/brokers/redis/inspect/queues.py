"""The queues of a snapshot: which there are, their length, their age, and the position of the marker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from ....stats import NamespaceSnapshot, QueueStats
from ....stats.jobs import JobInfo
from ....stats.numbers import parse_count
from ...limits import MAX_QUEUES as MAX_INDEXED
from ..connection import Argument
from ..keys import Keys
from ..parking import parked_text
from . import replies
from .pipeline import Pipeline, Request

MAX_QUEUES: Final = 500
# A transaction of 25 queues holds up other clients for a quarter of a millisecond.
_QUEUES_PER_TRANSACTION: Final = 25
# Elements searched for the marker, from the end; a miss takes the server 0.3 ms per thousand.
_REACH: Final = 1000
_MAX_REACH: Final = 5000


# Of a queue with larger elements the last one is not read, and the first one at every tenth poll only.
_LARGE_ELEMENT_BYTES: Final = 65_536
_POLLS_PER_LARGE_HEAD: Final = 10


@dataclass(slots=True)
class _QueueRequests:
    """What was asked about one queue; None for what this poll does not ask."""

    depth: Request
    head: Request | None
    tail: Request | None
    marker: Request | None
    reach: int


class Queues:
    """Reads the queues of a namespace.

    Args:
        keys: The namespace's keys.
        pipeline: Collects the commands.
        known: The snapshot before: its queues are asked for at once, its markers are searched for.
        given: Names that the caller gave.
        guessed: Names of lists that may be queues.
    """

    def __init__(
        self,
        keys: Keys,
        pipeline: Pipeline,
        known: NamespaceSnapshot | None,
        given: Iterable[str],
        guessed: Iterable[str],
    ) -> None:
        self._keys = keys
        self._pipeline = pipeline
        self._known_at = known.at if known else 0.0
        self._known = {queue.name: queue for queue in known.queues} if known else {}
        self._guessed = set(guessed).difference(given, self._known)
        self._first = [*given, *self._known, *sorted(self._guessed)]
        self._asked: dict[str, _QueueRequests | None] = {}
        self._first_parked: dict[str, Request] = {}
        self.is_cut = False

    def ask(self) -> None:
        """Ask for the index of queues, and about those that are known."""
        self._index = self._pipeline.ask("SSCAN", self._keys.queues, 0, "COUNT", MAX_INDEXED + 1)
        self._parked = self._pipeline.ask("HSCAN", self._keys.parked_counts, 0, "COUNT", 2 * MAX_QUEUES)
        self._ask_first_parked(name for name, queue in self._known.items() if queue.parked)
        self.ask_about(self._first)

    def ask_about_parked(self) -> None:
        """Ask for the first parked job of queues that had none in the snapshot before."""
        names = (
            replies.queue_name(name) for name in replies.hash_of(self._pipeline.answer(self._parked, None))
        )
        self._ask_first_parked(name for name in names if name is not None)

    def _ask_first_parked(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._first_parked:
                self._first_parked[name] = self._pipeline.ask("ZRANGE", self._keys.parked(name), 0, 0)

    def ask_about(self, names: Iterable[object]) -> None:
        """Ask about those queues that were not asked about yet."""
        usable = dict.fromkeys(name for name in map(replies.queue_name, names) if name is not None)
        new = [name for name in usable if name not in self._asked]
        room = MAX_QUEUES - len(self._asked)
        self.is_cut = self.is_cut or len(new) > room
        rest = iter(new[:room])
        while chunk := list(islice(rest, _QUEUES_PER_TRANSACTION)):
            self._ask_about_some(chunk)

    def _ask_about_some(self, names: list[str]) -> None:
        commands = [self._commands(name) for name in names]
        requests = iter(self._pipeline.ask_atomically(*(command for each, _ in commands for command in each)))
        for name, (each, reach) in zip(names, commands, strict=True):
            depth, *more = [next(requests) for _ in each]
            head, tail, marker = [*more, None, None, None][:3]
            self._asked[name] = _QueueRequests(depth, head, tail, marker, reach)

    def _commands(self, name: str) -> tuple[list[tuple[Argument, ...]], int]:
        key, known = self._keys.queue(name), self._known.get(name)
        commands: list[tuple[Argument, ...]] = [("LLEN", key), ("LINDEX", key, 0), ("LINDEX", key, -1)]
        if known is not None and known.element_bytes > _LARGE_ELEMENT_BYTES:
            return commands[: 1 if known.head_age_polls < _POLLS_PER_LARGE_HEAD - 1 else 2], 0
        if known is None or known.tail is None:
            return commands, 0
        reach = _reach_after(known)
        return [*commands, ("LPOS", key, known.tail, "RANK", -1, "MAXLEN", reach)], reach

    # --- answers ---------------------------------------------------------------------------------

    def indexed(self) -> list[bytes]:
        """Return the names in the index, as bytes."""
        page = self._pipeline.answer(self._index, None)
        self.is_cut = self.is_cut or replies.is_cut(page)
        return sorted(page[1]) if page else []

    def note(self, names: Iterable[object]) -> None:
        """Note queues that exist and were not asked about; the next snapshot asks."""
        for name in map(replies.queue_name, names):
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

    def _stats_of(self, name: str, asked: _QueueRequests, now: float) -> QueueStats:
        answer = self._pipeline.answer
        depth, parked = answer(asked.depth, None), self._parked_in(name)
        if depth is not None:
            depth += parked
        if asked.head is None:
            return self._with_known_head(self._known[name], depth, now)
        first: list[bytes] = answer(self._first_parked.get(name), [])
        head = parked_text(first[0]) if first else answer(asked.head, None)
        stats = replies.queue_stats(
            self._pipeline, name, now, depth=depth, head=head, tail=answer(asked.tail, None)
        )
        searched = asked.marker is not None and not isinstance(asked.marker.reply, Exception)
        position = answer(asked.marker, None)
        return replace(
            stats,
            parked=parked,
            marker_position=None if position is None else position + parked,
            marker_reach=asked.reach if searched else 0,
            consistent=self._pipeline.atomically,
        )

    def _parked_in(self, name: str) -> int:
        counts = replies.hash_of(self._pipeline.answer(self._parked, None))
        return parse_count(counts.get(name.encode(), b"0")) or 0

    def _with_known_head(self, known: QueueStats, depth: int | None, now: float) -> QueueStats:
        """Return a queue with the first element that an earlier poll read, unless it is empty now."""
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
            consistent=self._pipeline.atomically,
            head_age_polls=known.head_age_polls + 1,
        )

    def _is_queue(self, name: str, asked: _QueueRequests) -> bool:
        """Whether a list is a queue of this namespace, not of one whose name begins with this one's."""
        head = self._pipeline.answer(asked.head, None)
        return head is None or JobInfo.read(head).queue in ("", name)


def _reach_after(known: QueueStats) -> int:
    """Return how many elements to search for the marker: four times as many as came before the last poll."""
    if known.marker_reach == 0 or known.depth is None:
        return _REACH
    if known.marker_position is None:
        return _MAX_REACH
    return min(_MAX_REACH, max(_REACH, 4 * (known.depth - known.marker_position)))
