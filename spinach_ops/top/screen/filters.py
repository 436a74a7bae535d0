"""Which rows are shown: the filter a user types, as a test of one row. Pure.

A filter is words, all of which must hold: ``text``, ``!text``, ``/regex/``, and ``depth>100 oldest>5m
state=silent`` by the heading of a column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from ...cli.numbers import parse_number
from ..view.comparisons import compare
from ..view.table import Column, Row

_CONDITION: Final = re.compile(r"([^\s<>=!]+?)(>=|<=|!=|>|<|=)(\S+)")
_MAX_PATTERN: Final = 200

Test = Callable[[Row], bool]


class BadFilter(ValueError):
    """A filter that says nothing; the message says why."""


def parse_filter(text: str, columns: Sequence[Column]) -> Test:
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
