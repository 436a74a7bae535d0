"""The application: what each key and each click does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from ...cli.options import INTERRUPTED, OK
from ...text import printable
from ..screen.filters import BadFilter, parse_filter
from ..screen.keys import KEYS, next_interval
from .canvas import Canvas
from .opener import Opener
from .stage import run

_ABOUT_THE_TABLE = frozenset(
    ("open", "leave", "move", "page", "edge", "filter", "sort", "invert", "view", "copy", "namespace")
)


class TopApp(Opener):
    """`spinach-top`; see `Stage` for its arguments."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key.keys, key.action, key.help, show=False) for key in KEYS),
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True, system=True),
    ]

    # --- what keys do ----------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does something now: keys of the table do nothing while an overlay is open."""
        del parameters
        return len(self.screen_stack) == 1 or action not in _ABOUT_THE_TABLE

    def action_go(self, board: str) -> None:
        """Go to a tab, from whatever lies over the table."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.navigation.go(board)
        self._moved()

    def action_leave(self) -> None:
        """End the filter, or go back."""
        if self.navigation.back():
            self._moved()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self.navigation.move(rows)
        self.draw_all()

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.action_move(pages * max(1, self.query_one("#table").size.height - 2))

    def action_edge(self, direction: int) -> None:
        """Move the cursor to the first or last row."""
        self.action_move(direction * 1_000_000)

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.navigation.next_sort()
        self.draw_all()

    def action_sort_by(self, column: str) -> None:
        """Sort by a column."""
        self.navigation.sort_by(column)
        self.draw_all()

    def action_invert(self) -> None:
        """Turn the order round."""
        self.navigation.invert()
        self.draw_all()

    def action_view(self) -> None:
        """Change between the first and the last jobs of a queue."""
        self.navigation.turn()
        self._moved()

    def action_freeze(self) -> None:
        """Freeze what is shown, or go on."""
        self._frozen = (self._seen, self._now()) if self._frozen is None and self._seen else None
        self.draw_all()

    def action_interval(self, step: int) -> None:
        """Change the time between two looks."""
        self._polling_thread.interval_seconds = next_interval(self._polling_thread.interval_seconds, step)
        self.draw_all()

    def action_look(self) -> None:
        """Look now."""
        self._polling_thread.look_now()

    def action_arguments(self) -> None:
        """Show or hide arguments."""
        if self._look.hide_arguments:
            self.notify("started with --hide-args", markup=False)
            return
        self._show_arguments = not self._show_arguments
        self.draw_all()

    def action_copy(self) -> None:
        """Copy the key of the row."""
        key = self.navigation.viewport.key.partition("\n")[0]
        if key:
            self.copy_to_clipboard(key)
            self.notify(f"Copied {printable(key, 60)}", markup=False, timeout=2)

    async def action_quit(self) -> None:
        """End."""
        self.exit(return_code=OK)

    def action_interrupt(self) -> None:
        """End as interrupted."""
        self.exit(return_code=INTERRUPTED)

    # --- filter ----------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Open the line for the filter."""
        box = self.query_one("#filter", Input)
        box.add_class("-open")
        box.value = self.navigation.filters.get(self.navigation.board.name, "")
        box.focus()
        self.draw_all()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while one types."""
        if event.input.id == "filter" and event.input.has_class("-open"):
            try:
                parse_filter(event.value, self.navigation.board.columns)
            except BadFilter:
                return
            self.navigation.filters[self.navigation.board.name] = event.value
            self.draw_all()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, or say what is wrong with it."""
        if event.input.id != "filter":
            return
        try:
            parse_filter(event.value, self.navigation.board.columns)
        except BadFilter as error:
            self.notify(printable(str(error), 200), severity="warning", markup=False)
            return
        self._close_filter()

    def on_key(self, event: events.Key) -> None:
        """Remember that a key was pressed; esc in the filter's line ends it."""
        self._last_key_at = self._now()
        if event.key == "escape" and self.focused is not None and self.focused.id == "filter":
            event.stop()
            event.prevent_default()
            self.navigation.filters.pop(self.navigation.board.name, None)
            self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter", Input).remove_class("-open")
        self.query_one("#table").focus()
        self.draw_all()

    # --- mouse and palette -----------------------------------------------------------------------

    async def on_canvas_clicked(self, event: Canvas.Clicked) -> None:
        """Do what was clicked; a row is selected first, opened by a click on the selected one."""
        if event.action:
            await self.run_action(event.action)
        elif event.canvas.id == "table" and event.line > 0:
            frame = self.frame()
            if frame.cursor == event.line:
                self.action_open()
            elif frame.cursor is not None and event.line < len(frame.table):
                self.action_move(event.line - frame.cursor)

    def on_canvas_wheeled(self, event: Canvas.Wheeled) -> None:
        """Move with the wheel."""
        if event.canvas.id == "table":
            self.action_move(event.rows)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Return what the palette offers: every key of ours, and the theme."""
        del screen
        for key in KEYS:
            yield SystemCommand(
                f"{key.label} ({key.shown})", key.help, lambda action=key.action: self._do(action)
            )
        yield SystemCommand("Theme", "choose the colours", self.action_change_theme)

    async def _do(self, action: str) -> None:
        await self.run_action(action)


__all__ = ["Look", "TopApp", "run"]
