"""One job or dead letter in full, as lines of a given width: fields, arguments as JSON, traceback. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import chop_cells

from spinach.job import JobStatus
from spinach.stats import FailedJob, HeldJob, JobInfo

from ...text import printable
from ..boards.jobs import HIDDEN, due
from ..view.format import format_count, format_size, format_time
from ..view.table import Line, Span, StyleName, make_span
from ..view.view_model import Item, ViewModel, list_items

_LABEL: Final = 12
_FACTS: Final = {"at", "at_us", "enqueued_at", "id", "max_retries", "queue", "retries", "status", "task_args",
                 "task_kwargs", "task_name"}  # fmt: skip

Field = tuple[str, str, StyleName]


@dataclass(slots=True)
class FollowedItem:
    """The job or failure that is shown, found again by its key in each poll.

    Attributes:
        key: Of its row.
        item: As it was last seen.
        seen_at: When that was, epoch seconds.
    """

    key: str
    item: Item
    seen_at: float

    @classmethod
    def of(cls, view: ViewModel, key: str) -> FollowedItem | None:
        """Return the thing of a row, None when it is on no page any more."""
        item = find(view, key)
        return None if item is None else cls(key, item, view.now)

    @property
    def is_failure(self) -> bool:
        """Whether it failed for good."""
        return isinstance(self.item, FailedJob)

    @property
    def title(self) -> str:
        """What it is, with its id."""
        thing = self.item.job if isinstance(self.item, HeldJob) else self.item
        return f"{'Failure' if self.is_failure else 'Job'} {thing.id}"

    def lines(self, view: ViewModel, *, width: int, show_arguments: bool) -> list[Line]:
        """Return all that is known of it, and whether it moved on."""
        found = find(view, self.key)
        if found is not None:
            self.item, self.seen_at = found, view.now
        lines = describe_item(self.item, view, width=width, show_arguments=show_arguments)
        if found is not None:
            return lines
        seen = format_time(self.seen_at, view.now)
        words = f" It left the window after {seen}: it ran, moved on, or is further away."
        return [(make_span(words, "warn"),), (), *lines]


def find(view: ViewModel, key: str) -> Item | None:
    """Return the thing of a row in the pages that came along, None when it left them."""
    found = [thing for page in view.snapshot.pages for name, thing in list_items(page) if name == key]
    return found[0] if found else None


def describe_item(item: Item, view: ViewModel, *, width: int, show_arguments: bool) -> list[Line]:
    """Return everything that is known of a job or a failure.

    Args:
        item: The job or failure.
        view: Whose time and workers it refers to.
        width: Lines are wrapped at.
        show_arguments: Whether the arguments may be shown.
    """
    if isinstance(item, FailedJob):
        return _of_failure(item, view, width, show_arguments)
    job = item.job if isinstance(item, HeldJob) else item
    fields: list[Field] = _of_job(job, view)
    if isinstance(item, HeldJob):
        fields += [("worker", view.worker_label(item.worker_id), ""), ("worker id", item.worker_id, "dim")]
        if item.reserved:
            fields.append(("reserved", "fetched, not started", "warn"))
    return [*format_fields(fields, width), (), *_payload(job.raw, width, show_arguments)]


def _of_failure(failed: FailedJob, view: ViewModel, width: int, show_arguments: bool) -> list[Line]:
    job = JobInfo.read(failed.raw)
    fields: list[Field] = [
        ("task", failed.task_name or "?", "strong"),
        ("error", failed.error_type or failed.reason, "bad"),
        ("message", failed.message, "bad"),
        ("reason", failed.reason, ""),
        ("failed", due(failed.failed_at, view.now), ""),
        ("attempts", format_count(failed.attempts), ""),
        ("queue", failed.queue or "?", ""),
        ("worker", view.worker_label(failed.worker) if failed.worker else "?", ""),
    ]
    known = {name for name, _, _ in fields}
    fields += [one for one in _of_job(job, view) if one[0] not in known]
    trace = failed.traceback or "no traceback is kept"
    return [
        *format_fields(fields, width), (), _title("traceback"), *_traceback(trace, width),
        (), *_payload(failed.raw, width, show_arguments),
    ]  # fmt: skip


def _of_job(job: JobInfo, view: ViewModel) -> list[Field]:
    fields: list[Field] = [("task", job.task_name or "?", "strong"), ("id", job.id or "?", "")]
    if job.error:
        fields.append(("malformed", job.error, "bad"))
    fields += [
        ("queue", job.queue or "?", ""),
        ("status", _status(job.raw), ""),
        ("date", due(job.at, view.now), ""),
        ("enqueued", due(job.enqueued_at, view.now) if job.enqueued_at else "not told by its producer", ""),
        (
            "retries",
            f"{format_count(job.retries)} used of {format_count(job.max_retries)}",
            "warn" if job.retries else "",
        ),
        ("size", f"{format_size(len(job.raw))} ({len(job.raw):,} bytes)", ""),
    ]
    return fields


def _status(raw: bytes) -> str:
    number = _fields(raw).get("status")
    try:
        return JobStatus(number if type(number) is int else -1).name.lower().replace("_", " ")
    except ValueError:
        return "?"


def _fields(raw: bytes) -> dict[str, object]:
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return fields if type(fields) is dict else {}


def _payload(raw: bytes, width: int, show_arguments: bool) -> list[Line]:
    fields = _fields(raw)
    if not fields:
        return [
            _title("text"),
            *_wrapped(raw.decode(errors="replace") if show_arguments else HIDDEN, width, ""),
        ]
    lines: list[Line] = []
    more = {name: value for name, value in fields.items() if name not in _FACTS}
    for title, value in (
        ("arguments", fields.get("task_args")),
        ("keyword arguments", fields.get("task_kwargs")),
        ("more", more or None),
    ):
        if value is None:
            continue
        # What other producers added may be as private as arguments.
        text = json.dumps(value, indent=2, ensure_ascii=False) if show_arguments else f"{HIDDEN} a shows them"
        shown = _wrapped(text if value else "none", width - 1, "" if show_arguments else "dim")
        lines += [_title(title), *((Span(" "), *line) for line in shown), ()]
    return lines


def _traceback(text: str, width: int) -> list[Line]:
    """Return a traceback, with places and the error told apart from code by their tone."""
    lines: list[Line] = []
    for line in text.splitlines():
        style: StyleName = "" if line.startswith(" ") else "bad"
        if line.startswith("  File "):
            style = "accent"
        elif line.startswith("Traceback ") or not line.strip(" ^~"):
            style = "dim"
        lines += [(Span(" "), *wrapped) for wrapped in _wrapped(line, width - 1, style)]
    return lines


def _title(text: str) -> Line:
    return (Span(f" {text} ", "head"),)


def format_fields(fields: Sequence[Field], width: int) -> list[Line]:
    """Return labels with their texts, wrapped and whole."""
    lines: list[Line] = []
    for label, value, style in fields:
        first, *rest = _wrapped(value, width - _LABEL - 2, style) or [()]
        lines.append((make_span(f" {label:<{_LABEL}} ", "dim"), *first))
        lines += [(Span(" " * (_LABEL + 2)), *line) for line in rest]
    return lines


def _wrapped(text: str, width: int, style: StyleName) -> list[Line]:
    """Return a text in lines of at most so many columns; nothing is left out."""
    lines: list[Line] = []
    for line in text.replace("\t", "    ").splitlines():
        shown = printable(line)
        if shown.isascii():
            parts = [shown[start : start + width] for start in range(0, len(shown), max(1, width))]
        else:
            parts = chop_cells(shown, max(2, width))
        lines += [(Span(part, style),) for part in parts or [""]]
    return lines
