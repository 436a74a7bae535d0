"""The lines above and below the table: connection, totals, findings, tabs, keys. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...findings.rules import OLDEST_CRITICAL_SECONDS, OLDEST_WARNING_SECONDS
from ...polling.connection import Connection, State
from ...polling.trends import Mark, Pace
from ..boards import TABS, tab_of
from ..boards.explain import everything
from ..view.format import age, clock, count, milliseconds, per_second, short, size, spark
from ..view.table import Line, Piece, Tone, cut_line, piece, spread, width_of
from ..view.view_model import Place, ViewModel
from .keys import bar

_NAME: Final = "spinach-top"
_MARKS: Final[dict[State, tuple[str, Tone]]] = {
    "connecting": ("◐ CONNECTING", "warn"),
    "live": ("● LIVE", "good"),
    "slow": ("◐ SLOW", "warn"),
    "lost": ("○ LOST", "bad"),
}
_WIDE: Final = 120
_MEDIUM: Final = 100
_SPACE: Final = Piece("  ")
# All of it is in the line below.
_SHORT_REASON: Final = 30


@dataclass(frozen=True, slots=True)
class Situation:
    """What the first line tells beside the view.

    Attributes:
        namespace: Whose jobs.
        address: Of the server, without credentials.
        version: Of this tool.
        connection: How it stands with the server.
        now: Monotonic seconds, as the connection counts.
        interval_seconds: Between two looks.
        frozen_seconds: For how long the display is frozen, None when it is not.
    """

    namespace: str
    address: str
    version: str
    connection: Connection
    now: float
    interval_seconds: float
    frozen_seconds: float | None = None


def status(view: ViewModel | None, situation: Situation, width: int) -> Line:
    """Return the first line: where, how it stands, since when, what a look costs."""
    state = situation.connection.state(situation.now, situation.interval_seconds)
    name = f" {_NAME} {situation.version} " if width >= _WIDE else f" {_NAME} "
    title = (Piece(name, "accent"), Piece(" "), piece(situation.namespace, "strong"))
    address = piece(f" @{situation.address}", "dim")
    state_line = (_SPACE, *_state(state, situation, view))
    if state == "lost":
        where = (*title, address) if width >= _WIDE else title
        return cut_line((*where, *state_line), width)
    if situation.frozen_seconds is not None:
        state_line = (*state_line, _SPACE, Piece(f"FROZEN {age(situation.frozen_seconds)}", "warn", "freeze"))
    costs = _costs(view, width)
    # What is dropped first where room is scarce: the address, then what a look costs; never the mark.
    for left, right in (
        ((*title, address, *state_line), costs),
        ((*title, *state_line), costs),
        ((*title, *state_line), costs[-1:]),
    ):
        if width_of(left) + width_of(right) < width:
            return spread(left, right, width)
    return spread(cut_line((*title, *state_line), width - 4), costs[-1:], width)


def _state(state: State, situation: Situation, view: ViewModel | None) -> Line:
    mark, tone = _MARKS[state]
    connection = situation.connection
    if state == "lost":
        since = situation.now - (connection.lost_since or situation.now)
        last = f" · last data {clock(view.snapshot.at)}" if view else ""
        left = max(0.0, (connection.retry_at or situation.now) - situation.now)
        retry = (
            "trying"
            if connection.looking_since is not None
            else f"retry in {left:.0f}s (#{connection.failures})"
        )
        return (
            Piece(f"{mark} {age(since)}", tone),
            piece(f" · {connection.why or connection.reason[:_SHORT_REASON]}", tone),
            piece(f" · {retry}{last}", "dim"),
        )
    if state == "slow":
        waits = situation.now - (connection.looking_since or situation.now)
        return (Piece(f"{mark} {age(waits)}", tone),)
    if state == "connecting":
        return (Piece(mark, tone),)
    return (Piece(f"{mark} {situation.interval_seconds:g}s", tone),)


def _costs(view: ViewModel | None, width: int) -> Line:
    if view is None:
        return (Piece("RO ", "dim"),)
    seen, costs = view.snapshot, view.snapshot.costs
    trips = f"{costs.round_trips} rt {milliseconds(costs.seconds)}"
    if width >= _WIDE:
        skew = seen.server.clock_skew_seconds if seen.server else None
        time = f"{clock(seen.at)} UTC" + (f" (skew {skew * 1e3:+.0f}ms)" if skew is not None else "")
        return (Piece(f"{time}   {trips} · {costs.commands} cmds   ", "dim"), Piece("READ-ONLY ", "dim"))
    return (Piece(f"{clock(seen.at)}  {trips}  ", "dim"), Piece("RO ", "dim"))


def numbers(view: ViewModel, width: int) -> Line:
    """Return the second line: how many jobs are where, and how old the oldest is."""
    seen = view.snapshot
    late = f" ({short(seen.overdue)} late)" if seen.overdue else ""
    workers = f"{'?' if seen.connected is None else seen.connected}/{len(seen.workers)}"
    missing = seen.connected is not None and seen.connected < len(seen.workers)
    figures: list[tuple[str, str, Tone]] = [
        ("QUEUED", f"{'' if seen.queues_are_read else '≥'}{count(seen.queued)}", "strong"),
        ("RUNNING", count(seen.running), "strong"),
        ("WORKERS", f"{'!' if missing else ''}{workers}", "warn" if missing else "strong"),
        ("OLDEST", *_oldest_of_all(view)),
        ("SCHED", f"{count(seen.scheduled)}{late}", "warn" if late else "strong"),
        ("FAILED", count(seen.failed), "bad" if seen.failed else "strong"),
    ]
    if seen.reserved:
        figures.append(("RESERVED", count(seen.reserved), "strong"))
    if seen.server is not None and width >= _WIDE:
        limit = f"/{size(seen.server.memory_max_bytes)}" if seen.server.memory_max_bytes else ""
        figures.append(
            ("SERVER", f"{seen.server.version or '?'} {size(seen.server.memory_used_bytes)}{limit}", "")
        )
    return _figures(figures, width)


def _figures(figures: Sequence[tuple[str, str, Tone]], width: int) -> Line:
    """Return as many figures as fit whole."""
    line: Line = ()
    for label, value, tone in figures:
        longer = (*line, Piece(("  " if line else " ") + f"{label} ", "dim"), piece(value, tone))
        if width_of(longer) > width:
            break
        line = longer
    return line


def _oldest_of_all(view: ViewModel) -> tuple[str, Tone]:
    ages = [queue.oldest_seconds for queue in view.snapshot.queues if queue.depth != 0]
    known = [seconds for seconds in ages if seconds is not None]
    if ages and not known:
        return "?", "strong"
    text, tone = _oldest(max(known) + view.aged if known else None)
    return (text if len(known) == len(ages) else f"≥{text}"), tone


def _oldest(seconds: float | None) -> tuple[str, Tone]:
    if seconds is None:
        return "-", "strong"
    if seconds > OLDEST_CRITICAL_SECONDS:
        return f"!!{age(seconds)}", "bad"
    return (f"!{age(seconds)}", "warn") if seconds > OLDEST_WARNING_SECONDS else (age(seconds), "strong")


def flow(view: ViewModel, width: int) -> Line:
    """Return the third line: rates in and out, the time until all is done, the backlog of the last minutes."""
    paces = view.history.paces
    mark: Mark = max((pace.mark for pace in paces.values()), key=("", "≈", "≥").index, default="")
    came = sum(pace.in_per_second for pace in paces.values())
    left = sum(pace.out_per_second for pace in paces.values())
    figures: list[tuple[str, str, Tone]] = [
        ("IN", f"{mark}{per_second(came)}/s" if paces else "-", "strong"),
        ("OUT", f"{mark}{per_second(left)}/s" if paces else "-", "strong"),
    ]
    ended = view.history.task_paces
    if ended and width >= _MEDIUM:
        exact = "" if view.snapshot.exact else "≥"
        figures.append(("DONE", f"{exact}{per_second(sum(one.ended for one in ended.values()))}/s", "strong"))
    if paces and mark != "≥":
        change = Pace(came, left, mark).change or 0.0
        figures.append(("Δ", f"{change:+.1f}/s" if change else "0/s", "warn" if change > 0 else "good"))
        figures.append(("DRAIN", _drain(view.snapshot.queued, change), ""))
    line = _figures(figures, width)
    room = min(60, width - width_of(line) - 16)
    if room < 8:
        return line
    span = view.history.span_seconds
    bars = spark(view.history.backlog.buckets(room, view.now, span))
    return spread(
        line, (Piece(f"BACKLOG {span / 60:.0f}m ", "dim"), Piece(bars, "accent"), Piece(" ")), width
    )


def _drain(queued: int, change: float) -> str:
    if not queued:
        return "done"
    if change < 0:
        return age(queued / -change)
    return "never" if change > 0 else "even"


def alerts(view: ViewModel, situation: Situation, width: int) -> Line:
    """Return the line of findings, the worst first; while the server is lost, the reason."""
    connection = situation.connection
    if connection.state(situation.now, situation.interval_seconds) == "lost":
        why = f"{connection.why}: " if connection.why else ""
        return cut_line((Piece(" !! no data: ", "bad"), piece(f"{why}{connection.reason}", "bad")), width)
    found = [finding for finding in everything(view) if finding.severity != "info"]
    if not found:
        return (Piece(" ok ", "good"), Piece("nothing is wrong, as far as can be seen", "dim"))
    tone: Tone = "bad" if found[0].severity == "error" else "warn"
    number = f" {'!!' if tone == 'bad' else '!'} {len(found)} finding{'' if len(found) == 1 else 's'}: "
    texts = " · ".join(f"{finding.subject}: {finding.evidence}" for finding in found[:5])
    right = (Piece(" e explain ", "key", "go('explain')"),) if width >= 60 else ()
    left = (Piece(number, tone, "go('explain')"), piece(texts, tone, "go('explain')"))
    return spread(cut_line(left, width - width_of(right) - 1), right, width)


def tabs(view: ViewModel | None, place: Place, width: int) -> Line:
    """Return the tabs, with how much is behind them where there is room."""
    for form in (_tab_with_number, _tab, _short_tab):
        pieces: list[Piece] = []
        for board in TABS:
            is_here = board.name == tab_of(place)
            badge = _badge(board.name, view)
            text = (_tab if is_here and form is _short_tab else form)(str(board.number), board.title, badge)
            pad = " " if form is _tab_with_number else ""
            tone: Tone = "head" if is_here else "dim"
            pieces += [Piece(" "), Piece(f"{pad}{text}{pad}", tone, f"go('{board.name}')")]
        if width_of(tuple(pieces)) <= width:
            break
    explain = Piece(" Explain ", "head")
    if tab_of(place) == "explain" and width_of((*pieces, explain)) <= width:
        pieces.append(explain)
    return cut_line(tuple(pieces), width)


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
    return short(number) if number is not None else ""


def keys_line(width: int) -> Line:
    """Return the bar at the bottom: the keys one needs first, as far as they fit whole."""
    more = (Piece(" ^p ", "key", "command_palette"), Piece("More", "dim"))
    line: Line = ()
    for key in bar():
        text = (Piece(f" {key.shown.split()[0]} ", "key", key.action), Piece(key.label, "dim", key.action))
        if width_of((*line, *text, *more)) > width:
            break
        line = (*line, *text)
    return (*line, *more) if width_of((*line, *more)) <= width else line


def one_line(view: ViewModel | None, situation: Situation, width: int) -> Line:
    """Return all that fits a screen which is too small for anything else."""
    state = situation.connection.state(situation.now, situation.interval_seconds)
    mark, tone = _MARKS[state]
    head = (piece(situation.namespace, "strong"), Piece(f" {mark}", tone))
    return cut_line((*head, *(numbers(view, 400) if view else ())), width)
