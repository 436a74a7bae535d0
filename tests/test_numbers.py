"""Numbers that other programs wrote: a usable one is read, anything else is None."""

from __future__ import annotations

from typing import Any

import pytest

from spinach.stats.numbers import integer, number, parse_count, parse_integer, parse_number

UNUSABLE = [float("nan"), float("inf"), -float("inf"), 2**53, -(2**53), 10**400]


@pytest.mark.parametrize("value", [*UNUSABLE, True, "12", b"12", None, [1]])
def test_a_json_value_that_is_no_usable_number_is_none(value: Any) -> None:
    """JSON numbers count, texts, booleans, infinities and numbers beyond 2**53 do not."""
    assert number(value) is None


@pytest.mark.parametrize("text", [b"nan", b"inf", b"-inf", b"1e300", b"9007199254740992", b"", b"x"])
def test_a_reply_that_is_no_usable_number_is_none(text: bytes) -> None:
    """A score or a field may hold anything."""
    assert parse_number(text) is None


def test_usable_numbers_are_read() -> None:
    """Integers and floats, from JSON and from replies, negative ones included unless they count something."""
    assert [number(value) for value in (3, -2.5, 0)] == [3.0, -2.5, 0.0]
    assert [parse_number(value) for value in (b"1.5", b"-3", 7.0)] == [1.5, -3.0, 7.0]
    assert [integer(value) for value in (3, True, 3.0, "3")] == [3, None, None, None]
    assert [parse_integer(text) for text in (b"-12", b"1" * 21, b"1.0", b"")] == [-12, None, None, None]
    assert [parse_count(text) for text in (b"12", b"-1", b"x")] == [12, None, None]
