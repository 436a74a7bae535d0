"""The pages of a snapshot: jobs, dead letters and failure groups, read in the same round trips.

Cost: one command for scheduled jobs, two for a queue or failure groups; two per worker for running jobs, of
    at most 50 workers; for dead letters one, and one more for those that the snapshot before does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ....stats import NamespaceSnapshot
from ....stats.jobs import FailedJob, FailureGroup, HeldJob, JobInfo, Page, Wanted
from ... import dead_letters
from ..connection import pairs
from ..keys import Keys
from ..parking import in_order_of_parking
from . import replies
from .jobs import GROUP_FIELDS, erring_groups, groups_of
from .pipeline import Pipeline, Request

_MAX_HOLDERS: Final = 50
# More than a worker reserves; a field has some 40 bytes.
_MAX_RESERVED: Final = 500


@dataclass(slots=True)
class _PageRequests:
    """What was asked for one page.

    Attributes:
        wanted: The page.
        listed: Lists the entries: jobs of a queue, scheduled jobs, ids of dead letters, groups.
        holders: For each worker, the jobs that it holds, and which of them are reserved.
        new: Ids of dead letters that the snapshot before does not have.
        records: The records of those.
        parked: Lists the parked jobs of a queue, which come before the others.
        erring: Lists groups of attempts that ended in an error.
    """

    wanted: Wanted
    listed: Request | None = None
    holders: dict[str, tuple[Request, Request]] = field(default_factory=dict)
    new: list[bytes] = field(default_factory=list)
    records: Request | None = None
    parked: Request | None = None
    erring: Request | None = None


class WantedPages:
    """Reads the pages that the caller of a snapshot wants.

    Args:
        keys: The namespace's keys.
        pipeline: Collects the commands.
        known: The snapshot before: its workers are asked at once, its dead letters are not read again.
        wanted: The pages.
    """

    def __init__(
        self, keys: Keys, pipeline: Pipeline, known: NamespaceSnapshot | None, wanted: Sequence[Wanted]
    ) -> None:
        self._keys = keys
        self._pipeline = pipeline
        self._known = known
        self._pages = [_PageRequests(one) for one in wanted]
        pages = known.pages if known else ()
        self._letters = {(one.id, one.failed_at): one for page in pages for one in page.failed}

    def ask(self) -> None:
        """Ask for what needs no answer first."""
        for page in self._pages:
            if page.wanted.kind == "running":
                self._ask_holders(page, self._known_holders(page.wanted))
            else:
                page.listed = self._pipeline.ask(*self._command(page.wanted))
            if page.wanted.kind == "queue" and not page.wanted.from_tail:
                parked = self._keys.parked(page.wanted.of)
                page.parked = self._pipeline.ask("ZRANGE", parked, 0, page.wanted.limit - 1)
            if page.wanted.kind == "groups":
                page.erring = self._pipeline.ask("HSCAN", self._keys.attempt_errors, 0, "COUNT", GROUP_FIELDS)

    def ask_about_new(self, workers: Iterable[str]) -> None:
        """Ask about the workers and the dead letters that the first answers name."""
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
                    page.records = self._pipeline.ask("HMGET", self._keys.failed_data, *page.new)

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

    def _known_holders(self, wanted: Wanted) -> list[str]:
        if wanted.of:
            return [wanted.of]
        if self._known is None:
            return []
        orphans = [orphan.id for orphan in self._known.orphans]
        busy = [worker.info.id for worker in self._known.workers if worker.running or worker.reserved]
        return [*orphans, *busy, *(worker.info.id for worker in self._known.workers)]

    def _ask_holders(self, page: _PageRequests, names: Iterable[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in page.holders]
        new = new[: _MAX_HOLDERS - len(page.holders)]
        share = max(10, page.wanted.limit // max(1, len(new)))
        for name in new:
            page.holders[name] = (
                self._pipeline.ask("HSCAN", self._keys.running(name), 0, "COUNT", share),
                self._pipeline.ask("HSCAN", self._keys.reserved(name), 0, "COUNT", _MAX_RESERVED),
            )

    # --- answers ---------------------------------------------------------------------------------

    def pages(self) -> tuple[Page, ...]:
        """Return the pages, in the order of `wanted`."""
        return tuple(self._page(page) for page in self._pages)

    def _page(self, page: _PageRequests) -> Page:
        wanted = page.wanted
        if wanted.kind == "running":
            return Page(wanted, held=self._held(page))
        reply = self._pipeline.answer(page.listed, None)
        if reply is None:
            return Page(wanted, is_readable=False)
        if wanted.kind == "failed":
            return Page(wanted, failed=self._failed(page))
        if wanted.kind == "groups":
            erring: Any = self._pipeline.answer(page.erring, (0, []))
            return Page(
                wanted, groups=tuple(FailureGroup.merged(groups_of(reply[1]), erring_groups(erring[1])))
            )
        texts = [*in_order_of_parking(self._pipeline.answer(page.parked, [])), *reply]
        return Page(wanted, jobs=tuple(JobInfo.read(text) for text in texts[: wanted.limit]))

    def _listed(self, page: _PageRequests) -> list[tuple[bytes, Any]]:
        return list(pairs(self._pipeline.answer(page.listed, [])))

    def _held(self, page: _PageRequests) -> tuple[HeldJob, ...]:
        found = []
        for name, (running, reserved) in page.holders.items():
            waiting = replies.hash_of(self._pipeline.answer(reserved, None))
            for job_id, text in replies.hash_of(self._pipeline.answer(running, None)).items():
                found.append(_held_job(name, text, is_reserved=job_id in waiting))
        # A hash has no order: sort, so that jobs keep their places from poll to poll.
        found.sort(key=lambda held: (held.worker_id, held.job.at or 0.0, held.job.id))
        return tuple(found[: page.wanted.limit])

    def _failed(self, page: _PageRequests) -> tuple[FailedJob, ...]:
        records: list[bytes | None] = self._pipeline.answer(page.records, [])
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


def _held_job(worker_id: str, text: bytes, *, is_reserved: bool) -> HeldJob:
    job = JobInfo.read(text)
    # Of a reserved job the text has the date of the reservation.
    return HeldJob(worker_id, replace(job, started_at=None) if is_reserved else job, is_reserved)
