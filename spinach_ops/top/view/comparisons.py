"""Comparisons as a user types them: a number with a unit, and a comparison sign. Pure, and light to load."""

from __future__ import annotations


def compare(value: float | None, operator: str, limit: float) -> bool:
    """Return whether a comparison holds; for an unknown value none does."""
    if value is None:
        return False
    return {
        ">": value > limit, "<": value < limit, ">=": value >= limit, "<=": value <= limit,
        "=": value == limit, "!=": value != limit,
    }[operator]  # fmt: skip
