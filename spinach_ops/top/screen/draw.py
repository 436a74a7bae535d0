"""Draws a whole screen as lines, for the terminal and for `--snapshot`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..view.format import to_ascii
from ..view.table import Line, Span, cut_line, pad_line, wrap_paragraph
from ..view.view_model import ViewModel
from . import header, queue_panel
from .header import Status
from .navigation import Navigation

_SMALLEST = (40, 10)
_LOW = 18


@dataclass(frozen=True, slots=True)
class DrawnScreen:
    """The lines of a screen.

    Attributes:
        head: Over the table.
        table: Heading and rows.
        bar: The line at the bottom.
        cursor: Which line of the table is under the cursor.
        side: Beside the table, none where there is no room.
    """

    head: tuple[Line, ...]
    table: tuple[Line, ...] = ()
    bar: Line = ()
    cursor: int | None = None
    side: tuple[Line, ...] = ()

    def text(self, width: int, height: int) -> str:
        """Return the screen as text, without trailing spaces."""
        space = height - len(self.head) - (1 if self.bar else 0)
        table = [*self.table, *[()] * space][:space]
        if self.side:
            left = width - queue_panel.WIDTH
            table = [(*pad_line(line, left), *beside) for line, beside in zip(table, self.side, strict=False)]
        lines = [*self.head, *table, *([self.bar] if self.bar else [])]
        return "\n".join("".join(one.text for one in cut_line(line, width)).rstrip() for line in lines)


def draw(
    view: ViewModel | None,
    navigation: Navigation,
    status: Status,
    *,
    width: int,
    height: int,
    now: float = 0.0,
    last_key_at: float = float("-inf"),
    ascii_only: bool = False,
) -> DrawnScreen:
    """Return the screen.

    Args:
        view: What is shown; None before the first poll.
        navigation: Which board is shown, and where in it the cursor is.
        status: State of the connection and of the polls.
        width: Columns of the terminal.
        height: Lines of the terminal.
        now: Monotonic seconds.
        last_key_at: When a key was pressed last, in the same seconds.
        ascii_only: Whether the terminal shows ASCII only.
    """
    if width < _SMALLEST[0] or height < _SMALLEST[1]:
        return _in_ascii(DrawnScreen((header.one_line(view, status, width),)), ascii_only)
    if view is None:
        words = status.connection.reason or f"asking {status.address} ..."
        head: tuple[Line, ...] = (
            header.status(view, status, width),
            header.tabs(view, navigation.location, width),
        )
        return _in_ascii(
            DrawnScreen(head, ((), *wrap_paragraph(words, width)), header.keys_line(width)), ascii_only
        )
    rows = navigation.rows(view, now=now, last_key_at=last_key_at)
    head = _head(view, navigation, status, width, height, len(rows))
    space = height - len(head) - 1
    has_side = width >= queue_panel.LEAST_WIDTH and navigation.location.board == "queues" and bool(rows)
    # The table first: it finds the row that is under the cursor.
    table, cursor = navigation.table(view, rows, width - (queue_panel.WIDTH if has_side else 0), space)
    beside = queue_panel.lines(view, navigation, space) if has_side else []
    return _in_ascii(
        DrawnScreen(head, tuple(table), header.keys_line(width), cursor, tuple(beside)), ascii_only
    )


def _head(
    view: ViewModel, navigation: Navigation, status: Status, width: int, height: int, shown: int
) -> tuple[Line, ...]:
    lines = [header.status(view, status, width), header.numbers(view, width)]
    if height >= _LOW:
        lines.append(header.flow(view, width))
    lines += [header.alerts(view, status, width), header.tabs(view, navigation.location, width)]
    caption = navigation.caption(view, width, shown)
    return (*lines, caption) if caption else tuple(lines)


def _in_ascii(drawn: DrawnScreen, ascii_only: bool) -> DrawnScreen:
    if not ascii_only:
        return drawn
    bar = in_ascii([drawn.bar])[0]
    return DrawnScreen(in_ascii(drawn.head), in_ascii(drawn.table), bar, drawn.cursor, in_ascii(drawn.side))


def in_ascii(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return lines in ASCII, as wide as they were."""
    return tuple(tuple(Span(to_ascii(one.text), one.style, one.action) for one in line) for line in lines)
