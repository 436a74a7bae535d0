"""Reads numbers that other programs wrote: what is not a usable number becomes None, never an error. Pure."""

from __future__ import annotations

from typing import Final

# No time, count or size is larger; JSON and Redis also know NaN, infinities and integers of any length.
_MAX: Final = 2**53
_MAX_INTEGER_CHARACTERS: Final = 20  # the longest integer of 64 bits, which is all that Redis counts with


def number(value: object) -> float | None:
    """Return the number in a JSON value."""
    return float(value) if type(value) in (int, float) and -_MAX < value < _MAX else None  # type: ignore[arg-type, operator]


def integer(value: object) -> int | None:
    """Return the integer in a JSON value."""
    return value if type(value) is int else None


def parse_number(text: bytes | float) -> float | None:
    """Return the number in a reply of Redis, such as a score."""
    try:
        return number(float(text))
    except ValueError:
        return None


def parse_integer(text: bytes) -> int | None:
    """Return the integer in a reply of Redis."""
    try:
        return int(text) if len(text) <= _MAX_INTEGER_CHARACTERS else None
    except ValueError:
        return None


def parse_count(text: bytes) -> int | None:
    """Return the integer in a reply of Redis that counts something: None when it is negative."""
    count = parse_integer(text)
    return count if count is not None and count >= 0 else None
