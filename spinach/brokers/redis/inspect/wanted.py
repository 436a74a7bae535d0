"""The part of a snapshot that is about single things: pages of jobs and failures, in the same round trip.

Cost: one command for a queue, scheduled jobs or failure groups; two per worker for running jobs, of at most 50 workers;
for dead letters one, and one more for those that were not in the snapshot before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ....stats import NamespaceSnapshot
from ....stats.jobs import FailedJob, HeldJob, JobInfo, Page, Wanted
from ... import dead_letters
from ..connection import pairs
from ..keys import Keys
from . import parts
from .pages import GROUP_FIELDS, groups_of
from .reader import Question, Reader

_MAX_HOLDERS: Final = 50
# A reserved job is a field of two bytes, and no worker reserves more than it has places for.
_RESERVED: Final = 500


@dataclass(slots=True)
class _Asked:
    """The questions for one page.

    Attributes:
        wanted: The page.
        listed: What lists the entries: of a queue, of scheduled jobs, ids of dead letters, groups.
        holders: Jobs in the hands of each worker, and which of them are reserved.
        new: Ids of dead letters that were not seen before.
        records: Their records.
    """

    wanted: Wanted
    listed: Question | None = None
    holders: dict[str, tuple[Question, Question]] = field(default_factory=dict)
    new: list[bytes] = field(default_factory=list)
    records: Question | None = None


class WantedPages:
    """Asks for the pages that somebody wants to see beside a snapshot.

    Args:
        keys: The namespace's keys.
        reader: Gathers the questions.
        known: The snapshot before: whose workers are asked at once, and whose dead letters are not read again.
        wanted: The pages.
    """

    def __init__(
        self, keys: Keys, reader: Reader, known: NamespaceSnapshot | None, wanted: Sequence[Wanted]
    ) -> None:
        self._keys = keys
        self._reader = reader
        self._known = known
        self._pages = [_Asked(one) for one in wanted]
        pages = known.pages if known else ()
        self._letters = {(one.id, one.failed_at): one for page in pages for one in page.failed}

    def ask(self) -> None:
        """Ask for what can be asked for at once."""
        for page in self._pages:
            if page.wanted.kind == "running":
                self._ask_holders(page, self._holders_known(page.wanted))
            else:
                page.listed = self._reader.ask(*self._command(page.wanted))

    def learn(self, workers: Iterable[str]) -> None:
        """Ask about the workers and the dead letters that turned out to be there."""
        names = list(workers)
        for page in self._pages:
            if page.wanted.kind == "running" and not page.wanted.of:
                self._ask_holders(page, names)
            elif page.wanted.kind == "failed":
                letters_known = self._letters
                page.new = [
                    name for name, at in self._listed(page) if (_text(name), float(at)) not in letters_known
                ]
                if page.new:
                    page.records = self._reader.ask("HMGET", self._keys.failed_data, *page.new)

    def _command(self, wanted: Wanted) -> tuple[str | int, ...]:
        keys, last = self._keys, wanted.limit - 1
        match wanted.kind:
            case "queue" if wanted.from_tail:
                return ("LRANGE", keys.queue(wanted.of), -wanted.limit, -1)
            case "queue":
                return ("LRANGE", keys.queue(wanted.of), 0, last)
            case "scheduled":
                return ("ZRANGE", keys.future, 0, last)
            case "failed":
                return ("ZREVRANGE", keys.failed, 0, last, "WITHSCORES")
            case _:
                return ("HSCAN", keys.failure_groups, 0, "COUNT", GROUP_FIELDS)

    def _holders_known(self, wanted: Wanted) -> list[str]:
        if wanted.of:
            return [wanted.of]
        if self._known is None:
            return []
        orphans = [orphan.id for orphan in self._known.orphans]
        busy = [worker.info.id for worker in self._known.workers if worker.running or worker.reserved]
        return [*orphans, *busy, *(worker.info.id for worker in self._known.workers)]

    def _ask_holders(self, page: _Asked, names: Iterable[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in page.holders]
        new = new[: _MAX_HOLDERS - len(page.holders)]
        share = max(10, page.wanted.limit // max(1, len(new)))
        for name in new:
            page.holders[name] = (
                self._reader.ask("HSCAN", self._keys.running(name), 0, "COUNT", share),
                self._reader.ask("HSCAN", self._keys.reserved(name), 0, "COUNT", _RESERVED),
            )

    # --- answers ---------------------------------------------------------------------------------

    def found(self) -> tuple[Page, ...]:
        """Return the pages, in the order in which they were asked for."""
        return tuple(self._found(page) for page in self._pages)

    def _found(self, page: _Asked) -> Page:
        wanted = page.wanted
        if wanted.kind == "running":
            return Page(wanted, held=self._held(page))
        reply = self._reader.answer(page.listed, None)
        if reply is None:
            return Page(wanted, is_readable=False)
        if wanted.kind == "failed":
            return Page(wanted, failed=self._failed(page))
        if wanted.kind == "groups":
            return Page(wanted, groups=tuple(groups_of(reply[1])))
        return Page(wanted, jobs=tuple(JobInfo.read(text) for text in reply[: wanted.limit]))

    def _listed(self, page: _Asked) -> list[tuple[bytes, Any]]:
        return list(pairs(self._reader.answer(page.listed, [])))

    def _held(self, page: _Asked) -> tuple[HeldJob, ...]:
        found = []
        for name, (running, reserved) in page.holders.items():
            waiting = parts.hash_of(self._reader.answer(reserved, None))
            for job_id, text in parts.hash_of(self._reader.answer(running, None)).items():
                found.append(HeldJob(name, JobInfo.read(text), job_id in waiting))
        # A hash has no order; the oldest of each worker are to stand still between two looks.
        found.sort(key=lambda held: (held.worker_id, held.job.at or 0.0, held.job.id))
        return tuple(found[: page.wanted.limit])

    def _failed(self, page: _Asked) -> tuple[FailedJob, ...]:
        records: list[bytes | None] = self._reader.answer(page.records, [])
        texts = dict(zip(page.new, records, strict=False))
        found = []
        for name, score in self._listed(page):
            record, at = texts.get(name), float(score)
            if record is not None:
                found.append(dead_letters.from_record(_text(name), record, at))
            elif (_text(name), at) in self._letters:
                found.append(self._letters[_text(name), at])
        return tuple(found)


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
