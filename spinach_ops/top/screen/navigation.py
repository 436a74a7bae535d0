"""Where the operator is and what they chose: location, cursor, order, filter. Knows no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ..boards import Board, find_board
from ..boards.jobs import next_view
from ..view.table import (
    Line,
    Row,
    Span,
    cut_line,
    fit_columns,
    make_row_line,
    make_span,
    pad_line,
    wrap_paragraph,
)
from ..view.view_model import Location, ViewModel
from .filters import BadFilter, parse_filter
from .sorting import Ranking, Sort, sort_rows

_MAX_DEPTH: Final = 20
# The cursor at the left, a space at the right.
_MARGINS: Final = 3


@dataclass(slots=True)
class Viewport:
    """A cursor that stays on its row, and the part of the rows that is seen.

    Attributes:
        key: Of the row under the cursor, empty for the first.
        index: Where that row was last.
        top: The first row that is seen.
        is_chosen: Whether somebody put it there; until then it is on the first row, whichever that is.
    """

    key: str = ""
    index: int = 0
    top: int = 0
    is_chosen: bool = False

    def follow(self, keys: Sequence[str], height: int) -> None:
        """Find the cursor's row among the rows as they are now; where it is gone, stay at its place."""
        if not self.is_chosen:
            self.index = 0
        elif self.key in keys:
            self.index = keys.index(self.key)
        self.index = max(0, min(self.index, len(keys) - 1))
        self.key = keys[self.index] if keys else self.key
        self.top = max(0, min(self.top, self.index, len(keys) - height))
        if self.index >= self.top + height:
            self.top = self.index - height + 1

    def move(self, keys: Sequence[str], steps: int) -> None:
        """Move the cursor by rows."""
        if keys:
            self.is_chosen = True
            self.index = max(0, min(self.index + steps, len(keys) - 1))
            self.key = keys[self.index]


@dataclass(slots=True)
class Navigation:
    """What one person does with the screen.

    Attributes:
        filters: Text of the filter, by board.
        sorts: Order that was asked for, by board.
    """

    filters: dict[str, str] = field(default_factory=dict)
    sorts: dict[str, Sort] = field(default_factory=dict)
    _places: list[Location] = field(default_factory=lambda: [Location()])
    _viewports: dict[Location, Viewport] = field(default_factory=dict)
    _ranking: Ranking = field(default_factory=Ranking)
    _keys: list[str] = field(default_factory=list)

    @property
    def location(self) -> Location:
        """Where one is."""
        return self._places[-1]

    @property
    def board(self) -> Board:
        """What is shown there."""
        return find_board(self.location)

    @property
    def viewport(self) -> Viewport:
        """The cursor there."""
        return self._viewports.setdefault(self.location, Viewport())

    def go(self, board: str) -> None:
        """Go to a tab; the jobs are those of the selected queue or worker."""
        selected, here = self.viewport.key, self.location
        if board == "jobs" and here.board in ("queues", "workers") and selected:
            view = "head" if here.board == "queues" else "running"
            self.enter(Location("jobs", subject=selected, which_jobs="head" if view == "head" else "running"))
        elif board == "explain":
            self.enter(Location(board))
        elif here != Location(board):
            self._places = [Location(board)]

    def enter(self, location: Location) -> None:
        """Go to a place from which one can come back."""
        self.choose()
        if location != self.location:
            self._places = [*self._places[-_MAX_DEPTH:], location]

    def choose(self) -> None:
        """Keep the cursor on the row where it is."""
        self.viewport.is_chosen = True

    def back(self) -> bool:
        """End the filter, else go back; return whether there was anything to do."""
        if self.filters.pop(self.location.board, ""):
            return True
        if len(self._places) > 1:
            self._places.pop()
            return True
        return False

    def home(self) -> None:
        """Forget what belongs to one namespace, and keep the screen with its order and filter."""
        self._places = [Location(self._places[0].board)]
        self._viewports.clear()

    def turn(self) -> None:
        """Change between the first and the last jobs of a queue."""
        self._places[-1] = next_view(self.location)

    def sort_by(self, column: str) -> None:
        """Sort by a column; by the same again turns the order round."""
        before = self.sorts.get(self.board.name)
        text_first = next((one.align == "left" for one in self.board.columns if one.name == column), False)
        descending = not before.descending if before and before.column == column else not text_first
        self.sorts[self.board.name] = Sort(column, descending)

    def next_sort(self) -> None:
        """Sort by the column after the one by which it is sorted; after the last, as the board has it."""
        names = [column.name for column in self.board.columns]
        before = self.sorts.pop(self.board.name, None)
        number = names.index(before.column) + 1 if before and before.column in names else 0
        if number < len(names):
            self.sort_by(names[number])

    def invert(self) -> None:
        """Turn the order round."""
        before = self.sorts.get(self.board.name)
        if before is not None:
            self.sorts[self.board.name] = Sort(before.column, not before.descending)

    # --- what is shown ---------------------------------------------------------------------------

    def rows(self, view: ViewModel, *, now: float = 0.0, last_key_at: float = float("-inf")) -> list[Row]:
        """Return the rows that are shown, in their order.

        Args:
            view: What they are of.
            now: Monotonic seconds.
            last_key_at: When a key was pressed last.
        """
        board, name = self.board, self.board.name
        rows: Sequence[Row] = board.rows(view, self.location)
        try:
            test = parse_filter(self.filters.get(name, ""), board.columns)
        except BadFilter:  # it was told when it was typed
            test = _all
        sort = self.sorts.get(name)
        found = sort_rows(board, [row for row in rows if test(row)], sort)
        if board.ranked or sort is not None:
            what = (self.location, sort)
            found = self._ranking.arrange(found, what=what, now=now, last_key_at=last_key_at)
        self._keys = [row.key for row in found]
        return found

    def move(self, steps: int) -> None:
        """Move the cursor among the rows that were shown last."""
        self.viewport.move(self._keys, steps)

    def table(
        self, view: ViewModel, rows: Sequence[Row], width: int, height: int
    ) -> tuple[list[Line], int | None]:
        """Return the table's lines, heading first, and which of them is under the cursor."""
        board, places = self.board, fit_columns(self.board.columns, width - _MARGINS)
        viewport, space = self.viewport, max(1, height - 1)
        viewport.follow(self._keys, space)
        lines = [pad_line(self._heading(places), width)]
        if not rows:
            words = (
                "No row matches the filter."
                if self.filters.get(board.name)
                else board.empty(view, self.location)
            )
            return [*lines, (), *wrap_paragraph(words, width)], None
        for number, row in enumerate(rows[viewport.top : viewport.top + space], viewport.top):
            mark = Span("▸ ", "accent") if number == viewport.index else Span("  ")
            lines.append((mark, *make_row_line(board.columns, places, row.cells)))
        return lines, 1 + viewport.index - viewport.top

    def _heading(self, places: Sequence[tuple[int, int]]) -> Line:
        board, sort = self.board, self.sorts.get(self.board.name)
        spans = [Span("  ", "head")]
        for number, (index, width) in enumerate(places):
            column = board.columns[index]
            name = column.name
            if sort is not None and sort.column == name:
                name = f"{name}{'▼' if sort.descending else '▲'}"[-max(width, 2) :]
            text = name[:width].rjust(width) if column.align != "left" else name[:width].ljust(width)
            spans.append(Span(("  " if number else "") + text, "head", f"sort_by({column.name!r})"))
        return tuple(spans)

    def caption(self, view: ViewModel, width: int, shown: int) -> Line:
        """Return the line above the table: its subject, filter and order; empty when there is none."""
        board = self.board
        texts = [board.caption(view, self.location)]
        text_filter, sort = self.filters.get(board.name), self.sorts.get(board.name)
        spans: list[Span] = [make_span(f" {text} ", "dim") for text in texts if text]
        if text_filter:
            spans.append(make_span(f" filter {text_filter}: {shown} shown, esc ends ", "warn"))
        if sort is not None:
            spans.append(make_span(f" sorted by {sort.column} {'▼' if sort.descending else '▲'} ", "dim"))
        return cut_line(tuple(spans), width)


def _all(row: Row) -> bool:
    del row
    return True
