"""Which rows are shown, and in which order: filters, sorting, and ranks that do not jump under a hand. Pure.

A filter is words, all of which must hold: ``text``, ``!text``, ``/regex/``, and ``depth>100 oldest>5m state=silent``
by the heading of a column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .boards.board import Board
from .cells import Column, Row
from .comparing import compare, parse_number

_CONDITION: Final = re.compile(r"([^\s<>=!]+?)(>=|<=|!=|>|<|=)(\S+)")
_RERANK_SECONDS: Final = 5.0
_HANDS_OFF_SECONDS: Final = 2.0
_MAX_PATTERN: Final = 200

Test = Callable[[Row], bool]


class BadFilter(ValueError):
    """A filter that says nothing; the message says why."""


def matcher(text: str, columns: Sequence[Column]) -> Test:
    """Return the test of a filter.

    Raises:
        BadFilter: a regular expression or a number in it is none.
    """
    tests = [_test(word, columns) for word in text.split()]
    return lambda row: all(test(row) for test in tests)


def _test(word: str, columns: Sequence[Column]) -> Test:
    condition = _CONDITION.fullmatch(word)
    if condition is not None:
        index = _column(condition[1], columns)
        if index is not None:
            return _comparison(index, condition[2], condition[3])
    if word.startswith("!") and len(word) > 1:
        inner = _test(word[1:], columns)
        return lambda row: not inner(row)
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        return _pattern(word[1:-1])
    wanted = word.casefold()
    return lambda row: any(wanted in cell.text.casefold() for cell in row.cells)


def _pattern(text: str) -> Test:
    try:
        pattern = re.compile(text[:_MAX_PATTERN], re.IGNORECASE)
    except re.error as error:
        raise BadFilter(f"/{text}/ is no regular expression: {error}") from None
    return lambda row: any(pattern.search(cell.text) for cell in row.cells)


def _column(name: str, columns: Sequence[Column]) -> int | None:
    wanted = _plain(name)
    names = [_plain(column.name) for column in columns]
    return names.index(wanted) if wanted in names else None


def _plain(name: str) -> str:
    """Return a heading as one types it: OUT/s is out, RUN≥ is run, DUE IN is duein."""
    return re.sub(r"/s$|[^0-9a-zA-Z#%]", "", name.strip()).casefold()


def _comparison(index: int, sign: str, text: str) -> Test:
    number = parse_number(text)
    if number is None:
        if sign not in ("=", "!="):
            raise BadFilter(f"{text!r} is no number: write 100, 5m, 2h or 12k")
        wanted = text.casefold()
        return lambda row: (wanted in _text_of(row, index)) == (sign == "=")
    limit = number
    return lambda row: compare(_number_of(row, index), sign, limit)


def _text_of(row: Row, index: int) -> str:
    value = row.cells[index].value
    return f"{row.cells[index].text}\n{value if isinstance(value, str) else ''}".casefold()


def _number_of(row: Row, index: int) -> float | None:
    value = row.cells[index].value
    return value if isinstance(value, (int, float)) else None


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
    """Keeps rows where they are between two rankings, so that a row does not move while somebody aims at it."""

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
