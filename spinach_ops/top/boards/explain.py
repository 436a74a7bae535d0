"""What is wrong, worst first, with evidence, what to do, and a way to where it can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...findings.causes import arranged
from ...findings.finding import Finding
from ...findings.rules import findings, old_queue
from ..view.format import format_rate
from ..view.table import Cell, Column, Row, StyleName, make_cell
from ..view.view_model import Location, ViewModel
from .board import Board

COLUMNS: Final = (
    Column("LEVEL", "!! error, ! warning, · information", 9, priority=9, align="left"),
    Column("WHAT", "what it is about; enter: all of it, then there", 16, share=2, priority=9, align="left"),
    Column("EVIDENCE", "what was seen", 24, share=4, priority=9, align="left"),
    Column("DO", "what helps", 20, share=3, priority=5, align="left"),
)
_MARKS: Final[dict[str, tuple[str, StyleName]]] = {
    "error": ("!! error", "bad"),
    "warning": ("! warning", "warn"),
    "info": ("· info", "dim"),
}

# Said anew here: with the age that goes on while no poll succeeds, and with what is known of growth.
_AS_IT_GOES_ON: Final = frozenset({"queue_old", "queue_held_back"})


def list_findings(view: ViewModel) -> list[Finding]:
    """Return the findings, the worst cause first: those of the rules, and those that need several polls."""
    known = [finding for finding in findings(view.snapshot) if finding.code not in _AS_IT_GOES_ON]
    return arranged([*known, *_old_queues(view)], view.snapshot)


def _old_queues(view: ViewModel) -> Sequence[Finding]:
    found = []
    for queue in view.snapshot.queues:
        rates = view.trends.smoothed.get(queue.name)
        change = (rates.change if rates else None) or 0.0
        growing = f", growing by {format_rate(change)}/s" if change > 0 else ""
        finding = old_queue(view.snapshot, queue, aged=view.stale_seconds, growing=growing)
        if finding is not None:
            found.append(finding)
    return found


def _key(finding: Finding) -> str:
    return f"{finding.code}\n{finding.subject}"


class Explain(Board):
    """What is wrong, with evidence and what to do."""

    name = "explain"
    title = "Explain"
    columns = COLUMNS
    has_text = True

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per finding."""
        return [
            Row(
                _key(finding),
                (
                    Cell(*_MARKS[finding.severity], ("info", "warning", "error").index(finding.severity)),
                    make_cell(f"{'└ ' if finding.explained_by else ''}{finding.subject}", "strong"),
                    make_cell(finding.evidence),
                    make_cell(finding.remedy, "dim"),
                ),
            )
            for finding in list_findings(view)
        ]

    def leads_to(self, view: ViewModel, location: Location, key: str) -> Location | None:
        subject = next((finding.subject for finding in list_findings(view) if _key(finding) == key), None)
        if subject is None:
            return None
        if subject.kind == "queue":
            return Location("jobs", subject=subject.name, which_jobs="head")
        return {"worker": Location("workers"), "schedule": Location("scheduled")}.get(subject.kind)

    def caption(self, view: ViewModel, location: Location) -> str:
        number = len(list_findings(view))
        return f"{number} finding{'' if number == 1 else 's'}; enter: all of it, enter again: there"

    def empty(self, view: ViewModel, location: Location) -> str:
        return "Nothing is wrong, as far as can be seen from here."

    def in_full(self, view: ViewModel, key: str) -> Sequence[tuple[str, str, StyleName]]:
        for finding in list_findings(view):
            if _key(finding) == key:
                mark, style = _MARKS[finding.severity]
                lines: list[tuple[str, str, StyleName]] = [
                    ("level", mark, style), ("what", str(finding.subject), "strong"),
                    ("evidence", finding.evidence, ""),
                    ("do", finding.remedy, ""), ("rule", finding.code, "dim"),
                ]  # fmt: skip
                if (cause := finding.explained_by) is not None:
                    lines.append(("because", f"{cause.subject}: {cause.evidence}", ""))
                return lines
        return [("gone", "this is not so any more", "good")]


BOARD: Final = Explain()
