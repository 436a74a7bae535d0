"""The board of workers: their heartbeats and jobs, and workers that are gone but still hold jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spinach.stats import OrphanStats, WorkerStats

from ..view.format import format_age
from ..view.table import NONE, UNKNOWN, Cell, Column, Row, StyleName, make_cell
from ..view.view_model import Location, ViewModel
from .board import Board

COLUMNS: Final = (
    Column("WORKER", "host and beginning of its id; enter: what it runs", 18, share=3, max_width=28,
        priority=9, align="left"),
    Column("STATE", "live, silent (beats late), dead, quiet, stopping, orphan (gone, holds jobs)", 8,
        priority=9, align="left"),
    Column("SEEN", "since its last heartbeat; up to 1 min is normal for 0.0.25", 6, priority=8),
    Column("RUN", "jobs it runs", 4, priority=8),
    Column("SLOTS", "jobs it can run at once", 5, priority=6),
    Column("RSVD", "jobs it fetched and did not start", 4, priority=3),
    Column("LOAD", "running jobs against slots", 8, priority=4, align="left"),
    Column("DIES IN", "when it counts as dead, while it is silent", 7, priority=4),
    Column("UP", "since it started", 6, priority=3),
    Column("PID", "process on its host", 7, priority=1),
    Column("VERSION", "release, upstream for the published package", 9, priority=2, align="left"),
    Column("QUEUES", "what it serves, as it says", 10, share=2, priority=6, align="left"),
)  # fmt: skip

_MARKS: Final[dict[str, tuple[str, StyleName, float]]] = {
    "live": ("● live", "good", 0.0),
    "quiet": ("◐ quiet", "accent", 1.0),
    "stopping": ("◐ stops", "accent", 1.0),
    "blocked": ("! blocked", "warn", 2.0),
    "silent": ("! silent", "warn", 3.0),
    "dead": ("!! dead", "bad", 4.0),
    "orphan": ("!! orph.", "bad", 5.0),
}


def _row(view: ViewModel, worker: WorkerStats) -> Row:
    info, seen = worker.info, worker.seen_seconds + view.stale_seconds
    pid = info.details.get("pid")
    text, style, rank = _MARKS[worker.state]
    return Row(
        info.id,
        (
            make_cell(f"{info.name or '?'}/{info.id[:8]}", "strong"),
            Cell(text, style, worker.state),
            Cell(format_age(seen), style if rank > 2 else "", seen),
            _count(worker.running),
            _count(worker.slots),
            _count(worker.reserved if worker.runs_this_package else None),
            _load(worker),
            _dies_in(worker, seen),
            Cell(format_age(view.now - info.started_at), "", view.now - info.started_at)
            if info.started_at
            else NONE,
            Cell(str(pid), "dim", pid) if type(pid) is int and 0 < pid < 2**31 else NONE,
            make_cell(info.version or "upstream", "dim"),
            make_cell(", ".join(worker.queues)) if worker.queues else Cell("not said", "dim"),
        ),
        rank=rank,
    )


def _orphan(orphan: OrphanStats) -> Row:
    text, style, rank = _MARKS["orphan"]
    cells = [NONE] * len(COLUMNS)
    cells[:2] = make_cell(f"?/{orphan.id[:8]}", "strong"), Cell(text, style, "orphan")
    cells[3] = _count(orphan.running)
    return Row(orphan.id, tuple(cells), rank)


def _count(number: int | None) -> Cell:
    return NONE if number is None else Cell(str(number), "" if number else "dim", number)


def _load(worker: WorkerStats) -> Cell:
    if worker.running is None or not worker.slots:
        return UNKNOWN if worker.running is None else NONE
    part = min(1.0, worker.running / worker.slots)
    bar = round(part * 8) or (1 if worker.running else 0)
    return Cell("█" * bar + "░" * (8 - bar), "warn" if part == 1.0 else "accent", part)


def _dies_in(worker: WorkerStats, seen: float) -> Cell:
    if worker.state != "silent":
        return NONE
    left = max(0.0, worker.info.dead_after_seconds - seen)
    return Cell(format_age(left), "warn", left)


class Workers(Board):
    """The registered workers, and those that left jobs behind."""

    name = "workers"
    title = "Workers"
    columns = COLUMNS
    number = 2
    ranked = True
    by = "SEEN"

    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return a row per worker, then one per orphan."""
        return [
            *(_row(view, worker) for worker in view.snapshot.workers),
            *(_orphan(orphan) for orphan in view.snapshot.orphans),
        ]

    def leads_to(self, view: ViewModel, location: Location, key: str) -> Location:
        return Location("jobs", subject=key, which_jobs="running")

    def caption(self, view: ViewModel, location: Location) -> str:
        seen = view.snapshot
        # Those that do not say how many slots they have are on neither side.
        known = [worker for worker in seen.workers if worker.slots and worker.state != "dead"]
        slots, running = sum(one.slots or 0 for one in known), sum(one.running or 0 for one in known)
        busy = f", {running} of {slots} slots busy" if known else ""
        connected = "?" if seen.connected is None else seen.connected
        return f"connected {connected}, registered {len(seen.workers)}{busy}"

    def empty(self, view: ViewModel, location: Location) -> str:
        return "No worker is registered. Start one: spinach worker package.module:engine"


BOARD: Final = Workers()
