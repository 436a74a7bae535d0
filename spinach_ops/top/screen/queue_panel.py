"""The panel beside the queues on wide terminals: next jobs, tasks and depth of one queue. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

from spinach.stats import JobInfo, Page, QueueStats, Wanted

from ..boards.jobs import task_cell
from ..view.format import downsample, draw_graph, format_age, format_count, format_rate
from ..view.table import Line, Span, fit_text, make_span, pad_line
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
    if width < LEAST_WIDTH or navigation.location.board != "queues" or not navigation.viewport.key:
        return ()
    return (Wanted("queue", navigation.viewport.key, _MIXED),)


def lines(view: ViewModel, navigation: Navigation, height: int) -> list[Line]:
    """Return the panel's lines, none where no queue is selected."""
    queue = next((one for one in view.snapshot.queues if one.name == navigation.viewport.key), None)
    if queue is None:
        return []
    room = WIDTH - 3
    page = view.find_page("queue")
    found: list[Line] = [(make_span(f" {fit_text(queue.name, room)} ", "head"),), *_facts(view, queue), ()]
    if page is None or page.wanted.of != queue.name:
        found.append((Span(" reading ...", "dim"),))
    else:
        found += [*_next(view, queue, page, room), (), *_mix(page, room)]
    if len(found) + _GRAPH_ROWS + 2 <= height:
        found += [(), *_depth(view, queue, room)]
    return [pad_line((Span("│", "dim"), *line), WIDTH) for line in [*found, *[()] * height][:height]]


def _facts(view: ViewModel, queue: QueueStats) -> list[Line]:
    rates = view.trends.smoothed.get(queue.name)
    change = rates.change if rates else None
    texts = []
    if rates and queue.depth and rates.out_per_second > 0:
        texts.append(f"new jobs wait ≈{format_age(queue.depth / rates.out_per_second)}")
    if change:
        texts.append(f"{'grows' if change > 0 else 'shrinks'} by {format_rate(abs(change))}/s")
    if queue.paused:
        texts.append("paused")
    serving = sum(queue.name in worker.queues and worker.state != "dead" for worker in view.snapshot.workers)
    texts.append(f"{serving} worker{'' if serving == 1 else 's'}")
    return [(make_span(f" {' · '.join(texts)}", "dim"),)]


def _next(view: ViewModel, queue: QueueStats, page: Page, room: int) -> list[Line]:
    shown = page.jobs[:_NEXT]
    if not shown:
        return [(Span(" no job waits here", "dim"),)]
    found: list[Line] = [(Span(f" next {len(shown)} of {format_count(queue.depth)}", "strong"),)]
    for number, job in enumerate(shown, 1):
        found.append(_job(view, number, job, room))
    return found


def _job(view: ViewModel, number: int, job: JobInfo, room: int) -> Line:
    task = task_cell(job)
    since = format_age(None if job.ready_since is None else view.now - job.ready_since)
    return (
        Span(f" {number:>2}  ", "dim"),
        Span(fit_text(task.text, room - 24), task.style),
        Span(fit_text(since, 8, "right")),
        make_span(f"  {job.id[:8]}", "dim"),
    )


def _mix(page: Page, room: int) -> list[Line]:
    tasks = Counter(job.task_name or "?" for job in page.jobs)
    if not tasks:
        return []
    max_width = tasks.most_common(1)[0][1]
    found: list[Line] = [(Span(f" by task, of the first {len(page.jobs)}", "strong"),)]
    for name, number in tasks.most_common(_TASKS):
        bar = "█" * max(1, round(number / max_width * 16))
        found.append(
            (
                make_span(f" {fit_text(name, room - 26)} "),
                Span(f"{number:>4} "),
                Span(fit_text(bar, 18), "accent"),
            )
        )
    return found


def _depth(view: ViewModel, queue: QueueStats, room: int) -> list[Line]:
    span = view.trends.span_seconds
    values = view.trends.depth(queue.name).buckets(_GRAPH_POINTS, view.now, span)
    top = max((value for value in values if value is not None), default=0.0)
    title = (
        Span(f" depth over {span / 60:.0f} min", "strong"),
        Span(f", highest {format_count(top)}", "dim"),
    )
    rows = draw_graph(downsample(values, room - 2), _GRAPH_ROWS)
    return [title, *((Span(f" {row}", "accent"),) for row in rows)]
