"""What the screen is made of: spans of text with a style, lines of spans, rows and columns. Pure.

Text from Redis must become a `Cell` or a `Span` through `make_cell` or `make_span`: they escape what a
terminal would obey.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size

from ...text import printable
from .format import downsample, draw_sparkline, narrow_number

StyleName = Literal["", "dim", "good", "warn", "bad", "accent", "strong", "head", "key"]
Align = Literal["left", "right"]

# Bounds the work for a huge name; its column cuts it further.
_MAX_TEXT: Final = 400
_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a line in one style.

    Attributes:
        text: Safe to show.
        style: How the text looks; a sign or a word must say the same.
        action: The action that a click runs, empty for none.
    """

    text: str
    style: StyleName = ""
    action: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: Safe to show.
        style: How the text looks.
        value: What rows are sorted and filtered by; rows without a value come last.
        bars: Values over time, drawn as bars instead of the text.
    """

    text: str = ""
    style: StyleName = ""
    value: float | str | None = None
    bars: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its heading.
        help: What it shows, for the help.
        width: Its width; the smallest one when it has a share.
        share: Its part of the width that is left over, relative to other columns.
        max_width: Its largest width, 0 for no limit.
        priority: Narrow terminals drop the columns with the smallest number first.
        align: The side to which the text is aligned.
    """

    name: str
    help: str
    width: int
    share: int = 0
    max_width: int = 0
    priority: int = 5
    align: Align = "right"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        key: Identifies the row from poll to poll.
        cells: One per column of its board.
        rank: How urgent the row is; the highest comes first unless the operator sorts.
    """

    key: str
    cells: tuple[Cell, ...]
    rank: float = 0.0


def make_span(text: str, style: StyleName = "", action: str = "") -> Span:
    """Return a span of a text from any source, made safe to show."""
    return Span(printable(text, _MAX_TEXT), style, action)


def make_cell(text: str, style: StyleName = "", value: float | str | None = None) -> Cell:
    """Return a cell of a text from any source, made safe to show; without a value its text sorts it."""
    shown = printable(text, _MAX_TEXT)
    return Cell(shown, style, shown if value is None else value)


UNKNOWN: Final = Cell("?", "dim")
NONE: Final = Cell("-", "dim")


def fit_text(text: str, width: int, align: Align = "left", cut: str = "…") -> str:
    """Return a text cut or filled to a width in terminal columns; an ellipsis marks a cut."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - cell_len(cut))) + cut[: max(0, width)] if width else ""
    space = " " * (width - size)
    return space + text if align == "right" else text + space


def fit_columns(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """Return the columns that fit into a width, as (index, width); the first is always among them."""
    shown = list(range(len(columns)))
    while len(shown) > 1 and _needed(columns, shown) > width:
        # Of columns with the same priority the last is dropped first.
        shown.remove(min(reversed(shown[1:]), key=lambda index: columns[index].priority))
    widths = {index: min(width, columns[index].width) for index in shown}
    spare = max(0, width - _needed(columns, shown))
    growing = [index for index in shown if columns[index].share]
    while spare and growing:
        # One terminal column per share and round: at most a few hundred rounds.
        for index in growing:
            extra = min(spare, columns[index].share, (columns[index].max_width or width) - widths[index])
            widths[index] += max(0, extra)
            spare -= max(0, extra)
        growing = [index for index in growing if widths[index] < (columns[index].max_width or width)]
    return list(widths.items())


def _needed(columns: Sequence[Column], shown: Sequence[int]) -> int:
    return sum(columns[index].width for index in shown) + _GAP * (len(shown) - 1)


def make_row_line(
    columns: Sequence[Column], places: Sequence[tuple[int, int]], cells: Sequence[Cell]
) -> Line:
    """Return a row's pieces, in columns."""
    spans = []
    for number, (index, width) in enumerate(places):
        gap, cell = " " * _GAP if number else "", cells[index]
        spans.append(Span(gap + _cell_text(cell, width, columns[index].align), cell.style))
    return tuple(spans)


def _cell_text(cell: Cell, width: int, align: Align) -> str:
    if cell.bars:
        return draw_sparkline(downsample(cell.bars, width)).rjust(width)
    is_number = align == "right" and isinstance(cell.value, int | float)
    return fit_text(narrow_number(cell.text, width) if is_number else cell.text, width, align)


def measure_line(line: Line) -> int:
    """Return the width of a line in terminal columns."""
    return sum(cell_len(span.text) for span in line)


def plain_text(line: Line) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in line)


def cut_line(line: Line, width: int) -> Line:
    """Return a line cut to a width in terminal columns."""
    left, found = width, []
    for span in line:
        size = cell_len(span.text)
        if size > left:
            found.append(Span(fit_text(span.text, left), span.style, span.action))
            break
        found.append(span)
        left -= size
    return tuple(found)


def justify_line(left: Line, right: Line, width: int) -> Line:
    """Return a line with one part at each side; without room for both, the left one alone."""
    space = width - measure_line(left) - measure_line(right)
    if space < 1:
        return cut_line(left, width)
    return (*left, Span(" " * space), *right)


def pad_line(line: Line, width: int) -> Line:
    """Return a line cut or filled to a width; the style of its last span fills it."""
    missing = width - measure_line(line)
    return (
        cut_line(line, width)
        if missing <= 0
        else (*line, Span(" " * missing, line[-1].style if line else ""))
    )


def wrap_paragraph(text: str, width: int) -> list[Line]:
    """Return a text from any source as lines that break between words and fit the width."""
    parts = textwrap.wrap(printable(text, _MAX_TEXT), max(1, width - 2 * _GAP))
    return [cut_line((Span(" " * _GAP + part, "dim"),), width) for part in parts]
