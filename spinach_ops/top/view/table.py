"""What the screen is made of: pieces of text with a tone, cells, rows, columns, and lines of them. Pure.

Whatever comes from Redis becomes a `Cell` or a `Piece` here and passes `printable`: nothing else reaches the
screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size

from ...text import printable
from .format import narrower, spark, squeezed

Tone = Literal["", "dim", "good", "warn", "bad", "accent", "strong", "head", "key"]
Align = Literal["left", "right"]

# A name is cut by its column; this only bounds the work for one that is huge.
_MAX_TEXT: Final = 400
_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a line.

    Attributes:
        text: Safe to show.
        tone: How it looks; never the only bearer of a meaning.
        action: What a click on it does, empty for nothing.
    """

    text: str
    tone: Tone = ""
    action: str = ""


Line = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: Safe to show.
        tone: How it looks.
        value: What rows are sorted and filtered by; None is the least.
        bars: Values over time that are drawn instead of the text, as wide as the column is.
    """

    text: str = ""
    tone: Tone = ""
    value: float | str | None = None
    bars: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its heading.
        help: What it shows, for the help.
        width: Its width, or the least one where it has a share.
        share: How much of the width that is left over it takes, relative to the others.
        most: Its greatest width, 0 for any.
        keep: Columns with a small number are dropped first where room is scarce.
        align: To which side.
    """

    name: str
    help: str
    width: int
    share: int = 0
    most: int = 0
    keep: int = 5
    align: Align = "right"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        key: By which it is found again in the next look.
        cells: One per column of its board.
        rank: Rows with a higher one come first unless somebody sorts: what is wrong.
    """

    key: str
    cells: tuple[Cell, ...]
    rank: float = 0.0


def piece(text: str, tone: Tone = "", action: str = "") -> Piece:
    """Return a piece of a text from anywhere."""
    return Piece(printable(text, _MAX_TEXT), tone, action)


def cell(text: str, tone: Tone = "", value: float | str | None = None) -> Cell:
    """Return a cell of a text from anywhere; without a value it is sorted by its text."""
    shown = printable(text, _MAX_TEXT)
    return Cell(shown, tone, shown if value is None else value)


UNKNOWN: Final = Cell("?", "dim")
NONE: Final = Cell("-", "dim")


def fit(text: str, width: int, align: Align = "left", cut: str = "…") -> str:
    """Return a text in exactly so many terminal columns; a cut is marked."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - cell_len(cut))) + cut[: max(0, width)] if width else ""
    space = " " * (width - size)
    return space + text if align == "right" else text + space


def layout(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """Return which columns fit, as (index, width); the first always does."""
    shown = list(range(len(columns)))
    while len(shown) > 1 and _needed(columns, shown) > width:
        # Of equals the last goes first.
        shown.remove(min(reversed(shown[1:]), key=lambda index: columns[index].keep))
    widths = {index: min(width, columns[index].width) for index in shown}
    spare = max(0, width - _needed(columns, shown))
    open_ended = [index for index in shown if columns[index].share]
    while spare and open_ended:
        # A column for each share in turn: few enough that it need not be clever.
        for index in open_ended:
            extra = min(spare, columns[index].share, (columns[index].most or width) - widths[index])
            widths[index] += max(0, extra)
            spare -= max(0, extra)
        open_ended = [index for index in open_ended if widths[index] < (columns[index].most or width)]
    return list(widths.items())


def _needed(columns: Sequence[Column], shown: Sequence[int]) -> int:
    return sum(columns[index].width for index in shown) + _GAP * (len(shown) - 1)


def row_line(columns: Sequence[Column], places: Sequence[tuple[int, int]], cells: Sequence[Cell]) -> Line:
    """Return a row's pieces, in columns."""
    pieces = []
    for number, (index, width) in enumerate(places):
        gap, one = " " * _GAP if number else "", cells[index]
        pieces.append(Piece(gap + _in_column(one, width, columns[index].align), one.tone))
    return tuple(pieces)


def _in_column(one: Cell, width: int, align: Align) -> str:
    if one.bars:
        return spark(squeezed(one.bars, width)).rjust(width)
    is_number = align == "right" and isinstance(one.value, int | float)
    return fit(narrower(one.text, width) if is_number else one.text, width, align)


def width_of(line: Line) -> int:
    """Return how many terminal columns a line takes."""
    return sum(cell_len(one.text) for one in line)


def plain(line: Line) -> str:
    """Return a line's text."""
    return "".join(one.text for one in line)


def cut_line(line: Line, width: int) -> Line:
    """Return a line that takes at most so many columns."""
    left, found = width, []
    for one in line:
        size = cell_len(one.text)
        if size > left:
            found.append(Piece(fit(one.text, left), one.tone, one.action))
            break
        found.append(one)
        left -= size
    return tuple(found)


def spread(left: Line, right: Line, width: int) -> Line:
    """Return a line with one part at each side; the right one goes where there is no room."""
    space = width - width_of(left) - width_of(right)
    if space < 1:
        return cut_line(left, width)
    return (*left, Piece(" " * space), *right)


def padded(line: Line, width: int) -> Line:
    """Return a line of exactly this width, its last tone to the end."""
    missing = width - width_of(line)
    return (
        cut_line(line, width)
        if missing <= 0
        else (*line, Piece(" " * missing, line[-1].tone if line else ""))
    )


def paragraph(text: str, width: int) -> list[Line]:
    """Return a text from anywhere in lines that break between words and take at most so many columns."""
    parts = textwrap.wrap(printable(text, _MAX_TEXT), max(1, width - 2 * _GAP))
    return [cut_line((Piece(" " * _GAP + part, "dim"),), width) for part in parts]
