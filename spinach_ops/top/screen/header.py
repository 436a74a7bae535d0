"""The lines above and below the table: connection, totals, findings, tabs, keys. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...findings.rules import OLDEST_CRITICAL_SECONDS, OLDEST_WARNING_SECONDS
from ...polling.connection import Connection, State
from ...polling.trends import Mark, SmoothedRates
from ..boards import TABS, find_tab
from ..boards.explain import list_findings
from ..view.format import (
    draw_sparkline,
    format_age,
    format_count,
    format_duration,
    format_rate,
    format_short,
    format_size,
    format_time,
)
from ..view.table import Line, Span, StyleName, cut_line, justify_line, make_span, measure_line
from ..view.view_model import Location, ViewModel
from .keys import bar

_NAME: Final = "spinach-top"
_MARKS: Final[dict[State, tuple[str, StyleName]]] = {
    "connecting": ("◐ CONNECTING", "warn"),
    "live": ("● LIVE", "good"),
    "slow": ("◐ SLOW", "warn"),
    "lost": ("○ LOST", "bad"),
}
_WIDE: Final = 120
_MEDIUM: Final = 100
_SPACE: Final = Span("  ")
# All of it is in the line below.
_SHORT_REASON: Final = 30


@dataclass(frozen=True, slots=True)
class Status:
    """What the first line tells beside the view.

    Attributes:
        namespace: Whose jobs.
        address: Of the server, without credentials.
        version: Of this tool.
        connection: How it stands with the server.
        now: Monotonic seconds, as the connection counts.
        interval_seconds: Between two polls.
        frozen_seconds: For how long the display is frozen, None when it is not.
    """

    namespace: str
    address: str
    version: str
    connection: Connection
    now: float
    interval_seconds: float
    frozen_seconds: float | None = None


def status(view: ViewModel | None, status: Status, width: int) -> Line:
    """Return the first line: where, how it stands, since when, what a poll costs."""
    state = status.connection.state(status.now, status.interval_seconds)
    name = f" {_NAME} {status.version} " if width >= _WIDE else f" {_NAME} "
    title = (Span(name, "accent"), Span(" "), make_span(status.namespace, "strong"))
    address = make_span(f" @{status.address}", "dim")
    state_line = (_SPACE, *_state(state, status, view))
    if state == "lost":
        where = (*title, address) if width >= _WIDE else title
        return cut_line((*where, *state_line), width)
    if status.frozen_seconds is not None:
        state_line = (
            *state_line,
            _SPACE,
            Span(f"FROZEN {format_age(status.frozen_seconds)}", "warn", "freeze"),
        )
    costs = _costs(view, width)
    # What is dropped first where room is scarce: the address, then what a poll costs; never the mark.
    for left, right in (
        ((*title, address, *state_line), costs),
        ((*title, *state_line), costs),
        ((*title, *state_line), costs[-1:]),
    ):
        if measure_line(left) + measure_line(right) < width:
            return justify_line(left, right, width)
    return justify_line(cut_line((*title, *state_line), width - 4), costs[-1:], width)


def _state(state: State, status: Status, view: ViewModel | None) -> Line:
    mark, style = _MARKS[state]
    connection = status.connection
    if state == "lost":
        since = status.now - (connection.lost_since or status.now)
        last = f" · last data {format_time(view.snapshot.at, view.now)}" if view else ""
        left = max(0.0, (connection.retry_at or status.now) - status.now)
        retry = (
            "trying"
            if connection.looking_since is not None
            else f"retry in {left:.0f}s (#{connection.failures})"
        )
        return (
            Span(f"{mark} {format_age(since)}", style),
            make_span(f" · {connection.why or connection.reason[:_SHORT_REASON]}", style),
            make_span(f" · {retry}{last}", "dim"),
        )
    if state == "slow":
        waits = status.now - (connection.looking_since or status.now)
        return (Span(f"{mark} {format_age(waits)}", style),)
    if state == "connecting":
        return (Span(mark, style),)
    return (Span(f"{mark} {status.interval_seconds:g}s", style),)


def _costs(view: ViewModel | None, width: int) -> Line:
    if view is None:
        return (Span("RO ", "dim"),)
    seen, costs = view.snapshot, view.snapshot.costs
    trips, at = f"{costs.round_trips} rt {format_duration(costs.seconds)}", format_time(seen.at, view.now)
    if width >= _WIDE:
        skew = seen.server.clock_skew_seconds if seen.server else None
        time = f"{at} UTC" + (f" (skew {skew * 1e3:+.0f}ms)" if skew is not None else "")
        return (Span(f"{time}   {trips} · {costs.commands} cmds   ", "dim"), Span("READ-ONLY ", "dim"))
    return (Span(f"{at}  {trips}  ", "dim"), Span("RO ", "dim"))


def numbers(view: ViewModel, width: int) -> Line:
    """Return the second line: how many jobs are where, and how old the oldest is."""
    seen = view.snapshot
    late = f" ({format_short(seen.overdue)} late)" if seen.overdue else ""
    workers = f"{'?' if seen.connected is None else seen.connected}/{len(seen.workers)}"
    missing = seen.connected is not None and seen.connected < len(seen.workers)
    figures: list[tuple[str, str, StyleName]] = [
        ("QUEUED", f"{'' if seen.queues_are_read else '≥'}{format_count(seen.queued)}", "strong"),
        ("RUNNING", format_count(seen.running), "strong"),
        ("WORKERS", f"{'!' if missing else ''}{workers}", "warn" if missing else "strong"),
        ("OLDEST", *_oldest_of_all(view)),
        ("SCHED", f"{format_count(seen.scheduled)}{late}", "warn" if late else "strong"),
        ("FAILED", format_count(seen.failed), "bad" if seen.failed else "strong"),
    ]
    if seen.reserved:
        figures.append(("RESERVED", format_count(seen.reserved), "strong"))
    if seen.server is not None and width >= _WIDE:
        limit = f"/{format_size(seen.server.memory_max_bytes)}" if seen.server.memory_max_bytes else ""
        figures.append(
            (
                "SERVER",
                f"{seen.server.version or '?'} {format_size(seen.server.memory_used_bytes)}{limit}",
                "",
            )
        )
    return _figures(figures, width)


def _figures(figures: Sequence[tuple[str, str, StyleName]], width: int) -> Line:
    """Return as many figures as fit whole."""
    line: Line = ()
    for label, value, style in figures:
        longer = (*line, Span(("  " if line else " ") + f"{label} ", "dim"), make_span(value, style))
        if measure_line(longer) > width:
            break
        line = longer
    return line


def _oldest_of_all(view: ViewModel) -> tuple[str, StyleName]:
    ages = [queue.oldest_seconds for queue in view.snapshot.queues if queue.depth != 0]
    known = [seconds for seconds in ages if seconds is not None]
    if ages and not known:
        return "?", "strong"
    text, style = _oldest(max(known) + view.stale_seconds if known else None)
    return (text if len(known) == len(ages) else f"≥{text}"), style


def _oldest(seconds: float | None) -> tuple[str, StyleName]:
    if seconds is None:
        return "-", "strong"
    if seconds > OLDEST_CRITICAL_SECONDS:
        return f"!!{format_age(seconds)}", "bad"
    return (
        (f"!{format_age(seconds)}", "warn")
        if seconds > OLDEST_WARNING_SECONDS
        else (format_age(seconds), "strong")
    )


def flow(view: ViewModel, width: int) -> Line:
    """Return the third line: rates in and out, time until all is done, the backlog of the last minutes."""
    smoothed = view.trends.smoothed
    mark: Mark = max((rates.mark for rates in smoothed.values()), key=("", "≥").index, default="")
    came = sum(rates.in_per_second for rates in smoothed.values())
    left = sum(rates.out_per_second for rates in smoothed.values())
    figures: list[tuple[str, str, StyleName]] = [
        ("IN", f"{mark}{format_rate(came)}/s" if smoothed else "-", "strong"),
        ("OUT", f"{mark}{format_rate(left)}/s" if smoothed else "-", "strong"),
    ]
    ended = view.trends.smoothed_tasks
    if ended and width >= _MEDIUM:
        exact = "" if view.snapshot.exact else "≥"
        figures.append(
            ("DONE", f"{exact}{format_rate(sum(one.ended for one in ended.values()))}/s", "strong")
        )
    if smoothed and mark != "≥":
        change = SmoothedRates(came, left, mark).change or 0.0
        figures.append(("Δ", f"{change:+.1f}/s" if change else "0/s", "warn" if change > 0 else "good"))
        figures.append(("DRAIN", _drain(view.snapshot.queued, change), ""))
    line = _figures(figures, width)
    room = min(60, width - measure_line(line) - 16)
    if room < 8:
        return line
    span = view.trends.span_seconds
    bars = draw_sparkline(view.trends.backlog.buckets(room, view.now, span))
    return justify_line(
        line, (Span(f"BACKLOG {span / 60:.0f}m ", "dim"), Span(bars, "accent"), Span(" ")), width
    )


def _drain(queued: int, change: float) -> str:
    if not queued:
        return "done"
    if change < 0:
        return format_age(queued / -change)
    return "never" if change > 0 else "even"


def alerts(view: ViewModel, status: Status, width: int) -> Line:
    """Return the line of findings, the worst first; while the server is lost, the reason."""
    connection = status.connection
    if connection.state(status.now, status.interval_seconds) == "lost":
        why = f"{connection.why}: " if connection.why else ""
        return cut_line((Span(" !! no data: ", "bad"), make_span(f"{why}{connection.reason}", "bad")), width)
    found = [finding for finding in list_findings(view) if finding.severity != "info"]
    if not found:
        return (Span(" ok ", "good"), Span("nothing is wrong, as far as can be seen", "dim"))
    style: StyleName = "bad" if any(finding.severity == "error" for finding in found) else "warn"
    number = f" {'!!' if style == 'bad' else '!'} {len(found)} finding{'' if len(found) == 1 else 's'}: "
    texts = " · ".join(f"{finding.subject}: {finding.evidence}" for finding in found[:5])
    right = (Span(" e explain ", "key", "go('explain')"),) if width >= 60 else ()
    left = (Span(number, style, "go('explain')"), make_span(texts, style, "go('explain')"))
    return justify_line(cut_line(left, width - measure_line(right) - 1), right, width)


def tabs(view: ViewModel | None, location: Location, width: int) -> Line:
    """Return the tabs, with how much is behind them where there is room."""
    for form in (_tab_with_number, _tab, _short_tab):
        spans: list[Span] = []
        for board in TABS:
            is_here = board.name == find_tab(location)
            badge = _badge(board.name, view)
            text = (_tab if is_here and form is _short_tab else form)(str(board.number), board.title, badge)
            pad = " " if form is _tab_with_number else ""
            style: StyleName = "head" if is_here else "dim"
            spans += [Span(" "), Span(f"{pad}{text}{pad}", style, f"go('{board.name}')")]
        if measure_line(tuple(spans)) <= width:
            break
    explain = Span(" Explain ", "head")
    if find_tab(location) == "explain" and measure_line((*spans, explain)) <= width:
        spans.append(explain)
    return cut_line(tuple(spans), width)


def _tab_with_number(number: str, title: str, badge: str) -> str:
    return f"{number} {title} {badge}".rstrip()


def _tab(number: str, title: str, badge: str) -> str:
    del badge
    return f"{number} {title}"


def _short_tab(number: str, title: str, badge: str) -> str:
    del badge
    return f"{number} {title[:3]}"


def _badge(name: str, view: ViewModel | None) -> str:
    if view is None:
        return ""
    seen = view.snapshot
    numbers_of = {
        "queues": len(seen.queues),
        "workers": len(seen.workers),
        "jobs": seen.running,
        "scheduled": seen.scheduled,
        "periodic": None if seen.periodic is None else len(seen.periodic),
        "limits": None if seen.limits is None else len(seen.limits),
        "failures": seen.failed,
    }
    number = numbers_of.get(name)
    return format_short(number) if number is not None else ""


def keys_line(width: int) -> Line:
    """Return the bar at the bottom: the keys one needs first, as far as they fit whole."""
    more = (Span(" ^p ", "key", "command_palette"), Span("More", "dim"))
    line: Line = ()
    for key in bar():
        text = (Span(f" {key.shown.split()[0]} ", "key", key.action), Span(key.label, "dim", key.action))
        if measure_line((*line, *text, *more)) > width:
            break
        line = (*line, *text)
    return (*line, *more) if measure_line((*line, *more)) <= width else line


def one_line(view: ViewModel | None, status: Status, width: int) -> Line:
    """Return all that fits a screen which is too small for anything else."""
    state = status.connection.state(status.now, status.interval_seconds)
    mark, style = _MARKS[state]
    head = (make_span(status.namespace, "strong"), Span(f" {mark}", style))
    return cut_line((*head, *(numbers(view, 400) if view else ())), width)
