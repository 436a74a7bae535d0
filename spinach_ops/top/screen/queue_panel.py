"""The panel beside the queues on wide terminals: next jobs, mix of tasks and depth of the selected queue. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from spinach.stats import JobInfo, Page, QueueStats, Wanted

from ..boards.jobs import task_cell
from ..view.format import age, count, graph, per_second, squeezed
from ..view.table import Line, Piece, fit, padded, piece
from ..view.view_model import ViewModel
from .navigation import Navigation

LEAST_WIDTH: Final = 140
WIDTH: Final = 50
_NEXT: Final = 10
_MIXED: Final = 100
_TASKS: Final = 5
_GRAPH_ROWS: Final = 8
_GRAPH_POINTS: Final = 60


def wanted(navigation: Navigation, width: int) -> tuple[Wanted, ...]:
    """Return the page that the panel needs, nothing where there is none."""
    if width < LEAST_WIDTH or navigation.place.board != "queues" or not navigation.viewport.key:
        return ()
    return (Wanted("queue", navigation.viewport.key, _MIXED),)


def lines(view: ViewModel, navigation: Navigation, height: int) -> list[Line]:
    """Return the panel's lines, none where no queue is selected."""
    queue = next((one for one in view.snapshot.queues if one.name == navigation.viewport.key), None)
    if queue is None:
        return []
    room = WIDTH - 3
    page = view.page("queue")
    found: list[Line] = [(piece(f" {fit(queue.name, room)} ", "head"),), *_facts(view, queue), ()]
    if page is None or page.wanted.of != queue.name:
        found.append((Piece(" reading ...", "dim"),))
    else:
        found += [*_next(view, queue, page, room), (), *_mix(page, room)]
    if len(found) + _GRAPH_ROWS + 2 <= height:
        found += [(), *_depth(view, queue, room)]
    return [padded((Piece("│", "dim"), *line), WIDTH) for line in [*found, *[()] * height][:height]]


def _facts(view: ViewModel, queue: QueueStats) -> list[Line]:
    pace = view.history.paces.get(queue.name)
    change = pace.change if pace else None
    texts = []
    if pace and queue.depth and pace.out_per_second > 0:
        texts.append(f"new jobs wait ≈{age(queue.depth / pace.out_per_second)}")
    if change:
        texts.append(f"{'grows' if change > 0 else 'shrinks'} by {per_second(abs(change))}/s")
    if queue.paused:
        texts.append("paused")
    serving = sum(queue.name in worker.queues and worker.state != "dead" for worker in view.snapshot.workers)
    texts.append(f"{serving} worker{'' if serving == 1 else 's'}")
    return [(piece(f" {' · '.join(texts)}", "dim"),)]


def _next(view: ViewModel, queue: QueueStats, page: Page, room: int) -> list[Line]:
    shown = page.jobs[:_NEXT]
    if not shown:
        return [(Piece(" no job waits here", "dim"),)]
    found: list[Line] = [(Piece(f" next {len(shown)} of {count(queue.depth)}", "strong"),)]
    for number, job in enumerate(shown, 1):
        found.append(_job(view, number, job, room))
    return found


def _job(view: ViewModel, number: int, job: JobInfo, room: int) -> Line:
    task = task_cell(job)
    since = age(None if job.ready_since is None else view.now - job.ready_since)
    return (
        Piece(f" {number:>2}  ", "dim"),
        Piece(fit(task.text, room - 24), task.tone),
        Piece(fit(since, 8, "right")),
        piece(f"  {job.id[:8]}", "dim"),
    )


def _mix(page: Page, room: int) -> list[Line]:
    tasks = Counter(job.task_name or "?" for job in page.jobs)
    if not tasks:
        return []
    most = tasks.most_common(1)[0][1]
    found: list[Line] = [(Piece(f" by task, of the first {len(page.jobs)}", "strong"),)]
    for name, number in tasks.most_common(_TASKS):
        bar = "█" * max(1, round(number / most * 16))
        found.append(
            (piece(f" {fit(name, room - 26)} "), Piece(f"{number:>4} "), Piece(fit(bar, 18), "accent"))
        )
    return found


def _depth(view: ViewModel, queue: QueueStats, room: int) -> list[Line]:
    span = view.history.span_seconds
    values = view.history.depth(queue.name).buckets(_GRAPH_POINTS, view.now, span)
    top = max((value for value in values if value is not None), default=0.0)
    title = (Piece(f" depth over {span / 60:.0f} min", "strong"), Piece(f", highest {count(top)}", "dim"))
    rows = graph(squeezed(values, room - 2), _GRAPH_ROWS)
    return [title, *((Piece(f" {row}", "accent"),) for row in rows)]
