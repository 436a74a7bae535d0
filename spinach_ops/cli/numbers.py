"""Numbers that a person types: whole numbers, seconds, figures with a unit. Pure, and light to import."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Final

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "k": 1e3, "%": 0.01}


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Return the `type` of an option that takes a whole number, both limits included."""
    expected = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest}"

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() else lowest - 1
        if number < lowest or (highest is not None and number > highest):
            raise ArgumentTypeError(f"{text!r} is not a whole number {expected}")
        return number

    return read


def seconds(lowest: float, highest: float) -> Callable[[str], float]:
    """Return the `type` of an option that takes seconds, such as 3, 0.5 or 3s, both limits included."""

    def read(text: str) -> float:
        try:
            number = float(text.removesuffix("s"))
        except ValueError:
            number = math.nan
        if not lowest <= number <= highest:
            raise ArgumentTypeError(f"{text!r} is not a number of seconds from {lowest:g} to {highest:g}")
        return number

    return read


def parse_number(text: str) -> float | None:
    """Return a number that may carry a unit (``s m h d k %``), None for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdk%]?)", text)
    return float(match[1]) * _UNITS[match[2]] if match else None
