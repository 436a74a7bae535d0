"""Numbers for a person on call: counts, ages, rates with their mark, and lines that show a trend. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Final

from rich.cells import cell_len

_BARS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BARS: Final = "._-=+*#@"
_DAY: Final = 86_400
_UNITS: Final = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_NUMBER: Final = re.compile(r"(\d[\d,]*(?:\.\d+)?)([kMGT]?)")
_TWO_UNITS: Final = re.compile(r"(\D*\d+[dhm])\d+[hms]")


def count(number: float | None) -> str:
    """Return a number with separators, or short from ten millions on: 12,408, 13.4M."""
    if number is None:
        return "?"
    return f"{number:,.0f}" if abs(number) < 10_000_000 else _with_unit(number)


def short(number: float | None) -> str:
    """Return a number in at most six characters: 9,999, 12.4k, 3.1M."""
    if number is None:
        return "?"
    return f"{number:,.0f}" if abs(number) < 9_999.5 else _with_unit(number)


def _with_unit(number: float) -> str:
    for unit, size in _UNITS.items():
        if abs(number) < 999.95 * size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0e}"


def of(number: float | None, one: str, more: str) -> str:
    """Return a count with its noun: 1 job, 12,408 jobs."""
    return f"{count(number)} {one if number == 1 else more}"


def narrower(text: str, width: int) -> str:
    """Return a number, with the marks around it, in at most so many characters: a number that was cut would be a lie.

    Args:
        text: As it is shown where there is room: ≥1,000,000, !!14m41s, 1,000/2,000.
        width: Terminal columns there are.
    """
    forms = [text, *(_shortened(text, digits) for digits in (1, 0))]
    return next((form for form in forms if cell_len(form) <= width), "#" * width)


def _shortened(text: str, digits: int) -> str:
    duration = _TWO_UNITS.fullmatch(text)
    return duration[1] if duration else _NUMBER.sub(lambda number: _in_short(number, digits), text)


def _in_short(match: re.Match[str], digits: int) -> str:
    number = float(match[1].replace(",", "")) * _UNITS.get(match[2], 1.0)
    unit, size = next(((unit, size) for unit, size in reversed(_UNITS.items()) if number >= size), ("", 1.0))
    if not unit:
        return str(math.floor(number)) if digits == 0 else match[0]
    # Rounded down, for a lower bound must stay one.
    return f"{math.floor(number / size * 10**digits) / 10**digits:.{digits}f}{unit}"


def age(seconds: float | None) -> str:
    """Return a duration in at most six characters: 0s, 51s, 4m12s, 3h07m, 12d4h."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    whole = int(abs(seconds))
    sign = "-" if seconds <= -1 else ""
    if whole < 60:
        return f"{sign}{whole}s"
    if whole < 3600:
        return f"{sign}{whole // 60}m{whole % 60:02}s"
    if whole < _DAY:
        return f"{sign}{whole // 3600}h{whole % 3600 // 60:02}m"
    if whole < 100 * _DAY:
        return f"{sign}{whole // _DAY}d{whole % _DAY // 3600}h"
    return f"{sign}{whole // _DAY}d"


def per_second(number: float) -> str:
    """Return a rate in at most five characters."""
    return f"{number:.1f}" if abs(number) < 999.95 else short(number)


def size(number: float | None) -> str:
    """Return bytes in a fitting unit: 812B, 38K, 1.2G."""
    if number is None:
        return "?"
    for unit in "BKMGT":
        if number < 1000 or unit == "T":
            return f"{number:.0f}{unit}" if unit == "B" or number >= 100 else f"{number:.1f}{unit}"
        number /= 1024
    return "?"


def milliseconds(seconds: float) -> str:
    """Return a short duration: 1.2ms, 340ms, 2.1s."""
    if seconds < 0.1:
        return f"{seconds * 1e3:.1f}ms"
    return f"{seconds * 1e3:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def clock(at: float) -> str:
    """Return the time of day, UTC."""
    return _date(at, "%H:%M:%S")


def moment(at: float) -> str:
    """Return date and time, UTC."""
    return _date(at, "%Y-%m-%d %H:%M:%S UTC")


def _date(at: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(at, timezone.utc).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "?"


def spark(values: Sequence[float | None], *, top: float | None = None) -> str:
    """Return a line of bars, zero at the bottom; what is not known is a blank.

    Args:
        values: From the oldest on.
        top: What a full bar stands for, the highest value when not given.
    """
    bars = _BARS
    highest = top if top is not None else max((value for value in values if value is not None), default=0.0)
    if highest <= 0:
        return "".join(" " if value is None else bars[0] for value in values)
    return "".join(" " if value is None else bars[_level(value / highest, len(bars))] for value in values)


def graph(values: Sequence[float | None], rows: int) -> list[str]:
    """Return bars that are so many rows high, the top row first."""
    highest = max((value for value in values if value is not None), default=0.0)
    eighths = [round((value or 0.0) / highest * rows * 8) if highest > 0 else 0 for value in values]
    lines = []
    for row in reversed(range(rows)):
        filled = (max(0, min(8, level - 8 * row)) for level in eighths)
        lines.append("".join(" " if part == 0 else _BARS[part - 1] for part in filled))
    # Nothing is still something that was seen.
    lines[-1] = "".join(
        _BARS[0] if char == " " and value is not None else char
        for char, value in zip(lines[-1], values, strict=True)
    )
    return lines


def squeezed(values: Sequence[float | None], number: int) -> list[float | None]:
    """Return at most so many values, each the highest of those it stands for."""
    if len(values) <= number:
        return list(values)
    found: list[float | None] = [None] * number
    for index, value in enumerate(values):
        place = index * number // len(values)
        if value is not None:
            found[place] = max(value, found[place] or 0.0)
    return found


def _level(part: float, levels: int) -> int:
    # Anything above zero is above the lowest bar.
    return 0 if part <= 0 else min(levels - 1, max(1, math.ceil(part * levels) - 1))


_ASCII: Final = {
    "●": "*", "◐": "o", "○": "-", "▸": ">", "≥": ">", "≈": "~", "∞": "8", "…": "~", "·": "|", "Δ": "d",
    "→": ">", "←": "<", "↑": "^", "↓": "v", "⏸": "=", "▲": "^", "▼": "v", "│": "|", "─": "-",
}  # fmt: skip


def to_ascii(text: str) -> str:
    """Return a text in ASCII of the same width; our own signs by likeness, others as question marks."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else _one_ascii(char) for char in text)


def _one_ascii(char: str) -> str:
    if char in _BARS:
        return _ASCII_BARS[_BARS.index(char)]
    return _ASCII.get(char, "?" * max(1, cell_len(char)))
