"""Texts for a person: durations, and strings from elsewhere made safe to print. Pure."""

from __future__ import annotations

from typing import Final

_ELLIPSIS: Final = "..."


def printable(text: str, limit: int | None = None) -> str:
    """Return a text on one line, without anything a terminal would obey.

    Control characters, invisible ones and lone surrogates are written as Python escapes.

    Args:
        text: Any text: task names and messages come from Redis and from tasks.
        limit: Cut it to at most so many characters, when given.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - len(_ELLIPSIS)] + _ELLIPSIS
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def duration(seconds: float) -> str:
    """Return a duration with the unit a person would choose: 340 us, 12 ms, 3.4 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
