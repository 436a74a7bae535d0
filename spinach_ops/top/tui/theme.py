"""The colours of our own: a dark and a light theme. Every tone is told by a sign or a word as well."""

from __future__ import annotations

from typing import Final

from textual.theme import BUILTIN_THEMES, Theme

DARK: Final = Theme(
    name="spinach",
    primary="#57c785",
    secondary="#7fb4ca",
    accent="#7fb4ca",
    foreground="#d8dee4",
    background="#0e1412",
    surface="#151d1a",
    panel="#1d2824",
    success="#57c785",
    warning="#e6b450",
    error="#f07178",
    dark=True,
)
LIGHT: Final = Theme(
    name="spinach-light",
    primary="#1a7f4b",
    secondary="#1f6f8b",
    accent="#1f6f8b",
    foreground="#1d2522",
    background="#fbfdfb",
    surface="#f0f5f1",
    panel="#e2ebe4",
    success="#1a7f4b",
    warning="#9a6700",
    error="#b42318",
    dark=False,
)
THEMES: Final = (DARK, LIGHT)


def known_themes() -> frozenset[str]:
    """Return the names of all themes, Textual's among them."""
    return frozenset({*BUILTIN_THEMES, *(theme.name for theme in THEMES)})
