"""Comparisons as a user types them: a number with a unit, and a comparison sign. Pure, and light to load."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "k": 1e3, "%": 0.01}


def parse_number(text: str) -> float | None:
    """Return a number that may carry a unit (``s m h d k %``), None for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdk%]?)", text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def compare(value: float | None, operator: str, limit: float) -> bool:
    """Return whether a comparison holds; for an unknown value none does."""
    if value is None:
        return False
    return {
        ">": value > limit, "<": value < limit, ">=": value >= limit, "<=": value <= limit,
        "=": value == limit, "!=": value != limit,
    }[operator]  # fmt: skip
