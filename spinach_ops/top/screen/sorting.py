"""In which order rows are shown, and ranks that do not jump while the user presses keys. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ..boards.board import Board
from ..view.table import Row

_RERANK_SECONDS: Final = 5.0
_HANDS_OFF_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sort:
    """By which column rows are sorted, and whether the greatest comes first."""

    column: str
    descending: bool = True


def sort_rows(board: Board, rows: Sequence[Row], sort: Sort | None) -> list[Row]:
    """Return rows in order: as somebody asked, else what is wrong first, else as the board has them."""
    names = [column.name for column in board.columns]
    if sort is not None and sort.column in names:
        return _by(rows, names.index(sort.column), descending=sort.descending)
    if not board.ranked:
        return list(rows)
    by = _by(rows, names.index(board.by), descending=True) if board.by else list(rows)
    return sorted(by, key=lambda row: -row.rank)


def _by(rows: Sequence[Row], index: int, *, descending: bool) -> list[Row]:
    known = [row for row in rows if row.cells[index].value is not None]
    unknown = [row for row in rows if row.cells[index].value is None]

    def key(row: Row) -> tuple[bool, float, str]:
        value = row.cells[index].value
        return isinstance(value, str), 0.0 if isinstance(value, str) else value or 0.0, str(value).casefold()

    # What is not known comes last, whichever way.
    return sorted(known, key=key, reverse=descending) + unknown


@dataclass(slots=True)
class Ranking:
    """Keeps the order of rows between two rankings, so that no row moves while the cursor moves to it."""

    _order: dict[str, int] = field(default_factory=dict)
    _what: object = None
    _ranked_at: float = float("-inf")

    def arrange(self, rows: Sequence[Row], *, what: object, now: float, last_key_at: float) -> list[Row]:
        """Return rows in an order that changes at most every few seconds, and never right after a key.

        Args:
            rows: In the order in which they should stand.
            what: What the order is of; another one is ranked at once.
            now: Monotonic seconds.
            last_key_at: When a key was pressed last.
        """
        due = now - self._ranked_at >= _RERANK_SECONDS and now - last_key_at >= _HANDS_OFF_SECONDS
        if due or what != self._what or not self._order:
            self._what, self._ranked_at = what, now
            self._order = {row.key: number for number, row in enumerate(rows)}
            return list(rows)
        for row in rows:
            self._order.setdefault(row.key, len(self._order))
        return sorted(rows, key=lambda row: self._order[row.key])
