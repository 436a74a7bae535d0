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


def format_count(number: float | None) -> str:
    """Return a number with separators, from ten millions on with a unit: 12,408, 13.4M."""
    if number is None:
        return "?"
    return f"{number:,.0f}" if abs(number) < 10_000_000 else _with_unit(number)


def format_short(number: float | None) -> str:
    """Return a number in at most six characters: 9,999, 12.4k, 3.1M."""
    if number is None:
        return "?"
    return f"{number:,.0f}" if abs(number) < 9_999.5 else _with_unit(number)


def _with_unit(number: float) -> str:
    for unit, size in _UNITS.items():
        if abs(number) < 999.95 * size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0e}"


def format_plural(number: float | None, singular: str, plural: str) -> str:
    """Return a number with its noun: 1 job, 12,408 jobs."""
    return f"{format_count(number)} {singular if number == 1 else plural}"


def narrow_number(text: str, width: int) -> str:
    """Return a number with its marks in a width, with fewer digits where needed: a cut number would be wrong.

    Args:
        text: As it is shown where there is room: ≥1,000,000, !!14m41s, 1,000/2,000.
        width: Terminal columns there are.
    """
    forms = [text, *(_shorten(text, digits) for digits in (1, 0))]
    return next((form for form in forms if cell_len(form) <= width), "#" * width)


def _shorten(text: str, digits: int) -> str:
    duration = _TWO_UNITS.fullmatch(text)
    return duration[1] if duration else _NUMBER.sub(lambda number: _shorten_match(number, digits), text)


def _shorten_match(match: re.Match[str], digits: int) -> str:
    number = float(match[1].replace(",", "")) * _UNITS.get(match[2], 1.0)
    unit, size = next(((unit, size) for unit, size in reversed(_UNITS.items()) if number >= size), ("", 1.0))
    if not unit:
        return str(math.floor(number)) if digits == 0 else match[0]
    # Rounded down: rounded up, a lower bound would be too high.
    return f"{math.floor(number / size * 10**digits) / 10**digits:.{digits}f}{unit}"


def format_age(seconds: float | None) -> str:
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


def format_rate(number: float) -> str:
    """Return a rate in at most five characters."""
    return f"{number:.1f}" if abs(number) < 999.95 else format_short(number)


def format_size(number: float | None) -> str:
    """Return a number of bytes with its unit: 812B, 38K, 1.2G."""
    if number is None:
        return "?"
    for unit in "BKMGT":
        if number < 1000 or unit == "T":
            return f"{number:.0f}{unit}" if unit == "B" or number >= 100 else f"{number:.1f}{unit}"
        number /= 1024
    return "?"


def format_duration(seconds: float) -> str:
    """Return a short duration: 1.2ms, 340ms, 2.1s."""
    if seconds < 0.1:
        return f"{seconds * 1e3:.1f}ms"
    return f"{seconds * 1e3:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def format_time(at: float, now: float) -> str:
    """Return the time of day, UTC: 12:30:59, or 11-26 12:30 if that is on another day than `now`."""
    is_today = _date(at, "%Y-%m-%d") == _date(now, "%Y-%m-%d")
    return _date(at, "%H:%M:%S" if is_today else "%m-%d %H:%M")


def format_date(at: float) -> str:
    """Return date and time, UTC."""
    return _date(at, "%Y-%m-%d %H:%M:%S UTC")


def _date(at: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(at, timezone.utc).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "?"


def draw_sparkline(values: Sequence[float | None], *, top: float | None = None) -> str:
    """Return values as a line of bars that start at zero; an unknown value is a blank.

    Args:
        values: The oldest first.
        top: The value of a full bar; without it the highest value.
    """
    highest = top if top is not None else max((value for value in values if value is not None), default=0.0)
    if highest <= 0:
        return "".join(" " if value is None else _BARS[0] for value in values)
    return "".join(" " if value is None else _BARS[_level(value / highest, len(_BARS))] for value in values)


def draw_graph(values: Sequence[float | None], rows: int) -> list[str]:
    """Return values as bars of several rows, the top row first."""
    highest = max((value for value in values if value is not None), default=0.0)
    eighths = [round((value or 0.0) / highest * rows * 8) if highest > 0 else 0 for value in values]
    lines = []
    for row in reversed(range(rows)):
        filled = (max(0, min(8, level - 8 * row)) for level in eighths)
        lines.append("".join(" " if part == 0 else _BARS[part - 1] for part in filled))
    # A zero that a poll read has a bar, a gap between polls has none.
    lines[-1] = "".join(
        _BARS[0] if char == " " and value is not None else char
        for char, value in zip(lines[-1], values, strict=True)
    )
    return lines


def downsample(values: Sequence[float | None], number: int) -> list[float | None]:
    """Return at most `number` values, each the highest of its bucket."""
    if len(values) <= number:
        return list(values)
    found: list[float | None] = [None] * number
    for index, value in enumerate(values):
        bucket = index * number // len(values)
        if value is not None:
            found[bucket] = max(value, found[bucket] or 0.0)
    return found


def _level(part: float, levels: int) -> int:
    # The lowest bar is zero; everything above zero is higher.
    return 0 if part <= 0 else min(levels - 1, max(1, math.ceil(part * levels) - 1))


_ASCII: Final = {
    "●": "*", "◐": "o", "○": "-", "▸": ">", "≥": ">", "≈": "~", "∞": "8", "…": "~", "·": "|", "Δ": "d",
    "→": ">", "←": "<", "↑": "^", "↓": "v", "⏸": "=", "▲": "^", "▼": "v", "│": "|", "─": "-", "└": "`",
}  # fmt: skip


def to_ascii(text: str) -> str:
    """Return a text of the same width in ASCII: known signs by a similar one, others as question marks."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else _char_to_ascii(char) for char in text)


def _char_to_ascii(char: str) -> str:
    if char in _BARS:
        return _ASCII_BARS[_BARS.index(char)]
    return _ASCII.get(char, "?" * max(1, cell_len(char)))
