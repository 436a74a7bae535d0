"""The widget that draws lines of pieces: repaints only the lines that changed, turns clicks into actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ..view.table import Line, Span

_WHEEL_ROWS = 3


class Canvas(Widget):
    """Lines as they are given; text is never markup and never reaches the terminal but as text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "canvas--dim", "canvas--good", "canvas--warn", "canvas--bad", "canvas--accent", "canvas--strong",
        "canvas--head", "canvas--key", "canvas--cursor",
    }  # fmt: skip

    class Clicked(Message):
        """A click on a line, or on a piece of it that does something."""

        def __init__(self, canvas: Canvas, line: int, action: str) -> None:
            super().__init__()
            self.canvas = canvas
            self.line = line
            self.action = action

    class Wheeled(Message):
        """The wheel was turned over the lines."""

        def __init__(self, canvas: Canvas, rows: int) -> None:
            super().__init__()
            self.canvas = canvas
            self.rows = rows

    def __init__(self, *, id: str, focusable: bool = False) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.can_focus = focusable
        self._lines: tuple[Line, ...] = ()
        self._cursor: int | None = None

    def show(self, lines: Sequence[Line], cursor: int | None = None) -> None:
        """Draw these lines, the one under the cursor marked.

        Args:
            lines: From the top on.
            cursor: Which of them is under the cursor.
        """
        old, old_cursor = self._lines, self._cursor
        self._lines, self._cursor = tuple(lines), cursor
        changed = {
            number
            for number in range(max(len(old), len(self._lines)))
            if number >= len(old) or number >= len(self._lines) or old[number] != self._lines[number]
        }
        if cursor != old_cursor:
            changed |= {number for number in (cursor, old_cursor) if number is not None}
        if changed:
            width = max(1, self.size.width)
            self.refresh(*(Region(0, number, width, 1) for number in sorted(changed)))

    def render_line(self, y: int) -> Strip:
        """Return one line for the screen."""
        width, base = self.size.width, self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, base)
        line, on_cursor = self._lines[y], y == self._cursor
        if on_cursor:
            base = self.get_component_rich_style("canvas--cursor")
        segments = [Segment(one.text, base + self._style(one, on_cursor=on_cursor)) for one in line]
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, one: Span, *, on_cursor: bool) -> Style:
        if not one.style:
            return Style.null()
        style = self.get_component_rich_style(f"canvas--{one.style}")
        if on_cursor and self.app.no_color:
            return Style.null()  # the row is reversed: shades of grey would tear it to pieces
        # The cursor's row keeps its background.
        return style.without_color + Style(color=style.color) if on_cursor else style

    def on_click(self, event: events.Click) -> None:
        """Tell which line was clicked, and what the piece there does."""
        column = event.x
        action = ""
        for one in self._lines[event.y] if event.y < len(self._lines) else ():
            if column < cell_len(one.text):
                action = one.action
                break
            column -= cell_len(one.text)
        self.post_message(self.Clicked(self, event.y, action))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move down."""
        event.stop()
        self.post_message(self.Wheeled(self, _WHEEL_ROWS))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move up."""
        event.stop()
        self.post_message(self.Wheeled(self, -_WHEEL_ROWS))
