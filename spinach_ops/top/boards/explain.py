"""What is wrong, worst first, with evidence, what to do, and a way to where it can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...findings import Finding, by_severity, findings
from ..cells import Cell, Column, Row, Tone, cell
from ..figures import age, per_second
from ..scene import OLDEST_CRITICAL_SECONDS, OLDEST_WARNING_SECONDS, Place, Scene
from .board import Board

COLUMNS: Final = (
    Column("LEVEL", "!! error, ! warning, · information", 9, keep=9, align="left"),
    Column("WHAT", "what it is about; enter: all of it, then there", 16, share=2, keep=9, align="left"),
    Column("EVIDENCE", "what was seen", 24, share=4, keep=9, align="left"),
    Column("DO", "what helps", 20, share=3, keep=5, align="left"),
)
_MARKS: Final[dict[str, tuple[str, Tone]]] = {
    "error": ("!! error", "bad"),
    "warning": ("! warning", "warn"),
    "info": ("· info", "dim"),
}


def everything(scene: Scene) -> list[Finding]:
    """Return what is wrong, errors first: the rules of all tools, and what only somebody who watches can see."""
    return by_severity([*findings(scene.snapshot), *_old_queues(scene)])


def _old_queues(scene: Scene) -> Sequence[Finding]:
    found = []
    for queue in scene.snapshot.queues:
        oldest = (queue.oldest_seconds or 0.0) + (scene.aged if queue.depth else 0.0)
        if oldest <= OLDEST_WARNING_SECONDS:
            continue
        pace = scene.history.paces.get(queue.name)
        change = (pace.change if pace else None) or 0.0
        grows = f", growing by {per_second(change)}/s" if change > 0 else ""
        found.append(
            Finding(
                "queue_old", "error" if oldest > OLDEST_CRITICAL_SECONDS else "warning", f"queue {queue.name}",
                f"its first job is ready for {age(oldest)}{grows}",
                "more workers or slots for it, or see whether a limit holds its tasks back (6)",
            )
        )  # fmt: skip
    return found


def rows(scene: Scene, place: Place) -> Sequence[Row]:
    """Return a row per finding."""
    del place
    return [
        Row(
            _key(finding),
            (
                Cell(*_MARKS[finding.severity], ("info", "warning", "error").index(finding.severity)),
                cell(finding.subject, "strong"),
                cell(finding.evidence),
                cell(finding.remedy, "dim"),
            ),
        )
        for finding in everything(scene)
    ]


def _in_full(scene: Scene, key: str) -> Sequence[tuple[str, str, Tone]]:
    for finding in everything(scene):
        if _key(finding) == key:
            mark, tone = _MARKS[finding.severity]
            return [
                ("level", mark, tone), ("what", finding.subject, "strong"), ("evidence", finding.evidence, ""),
                ("do", finding.remedy, ""), ("rule", finding.code, "dim"),
            ]  # fmt: skip
    return [("gone", "this is not so any more", "good")]


def _key(finding: Finding) -> str:
    return f"{finding.code}\n{finding.subject}"


def _leads_to(scene: Scene, place: Place, key: str) -> Place | None:
    del place
    kind, _, name = key.partition("\n")[2].partition(" ")
    if kind == "queue" and any(queue.name == name for queue in scene.snapshot.queues):
        return Place("jobs", of=name, view="head")
    if kind == "worker":
        return Place("workers")
    return Place("scheduled") if key.startswith("overdue") else None


def _caption(scene: Scene, place: Place) -> str:
    del place
    number = len(everything(scene))
    return f"{number} finding{'' if number == 1 else 's'}; enter: all of it, enter again: there"


def _empty(scene: Scene, place: Place) -> str:
    del scene, place
    return "Nothing is wrong, as far as can be seen from here."


BOARD: Final = Board(
    "explain", "Explain", COLUMNS, rows, leads_to=_leads_to, caption=_caption, empty=_empty, in_full=_in_full
)  # fmt: skip
