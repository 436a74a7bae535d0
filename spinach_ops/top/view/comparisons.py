"""Comparisons that a person writes: the signs between numbers. Pure, and light to load."""

from __future__ import annotations


def compare(value: float | None, sign: str, limit: float) -> bool:
    """Return whether a comparison holds; nothing holds for what is not known."""
    if value is None:
        return False
    return {
        ">": value > limit, "<": value < limit, ">=": value >= limit, "<=": value <= limit,
        "=": value == limit, "!=": value != limit,
    }[sign]  # fmt: skip
