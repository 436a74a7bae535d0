"""The application: what each key and each click does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Thread
from typing import Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from spinach.brokers.base import Broker
from spinach.exc import BrokerError

from ...options import INTERRUPTED, OK, UsageError
from ...text import printable
from ..cells import Line, Tone, plain
from ..detail import Followed, labelled
from ..history import History
from ..keys import KEYS, next_interval
from ..order import BadFilter, matcher
from ..scene import Place, Scene
from .canvas import Canvas
from .overlays import Detail, Help, Picker
from .stage import Look, Stage, run

_COPY_WIDTH = 100_000

Describe = Callable[[int, bool], Sequence[Line]]
InFull = Callable[[Scene, str], Sequence[tuple[str, str, Tone]]]


class TopApp(Stage):
    """`spinach-top`; see `Stage` for its arguments."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key.keys, key.action, key.help, show=False) for key in KEYS),
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True, system=True),
    ]

    # --- what keys do ----------------------------------------------------------------------------

    def action_go(self, board: str) -> None:
        """Go to a tab."""
        self.desk.go(board)
        self._moved()

    def action_open(self) -> None:
        """Open the row under the cursor."""
        scene, key = self.scene, self.desk.viewport.key
        if scene is None or not key:
            return
        board, place = self.desk.board, self.desk.place
        self.desk.choose()
        if board.has_items:
            self._open_item(scene, key)
        elif board.in_full is not None:
            self._open_text(board.in_full, board.leads_to(scene, place, key), scene, key)
        else:
            self._go_to(board.leads_to(scene, place, key))

    def _go_to(self, place: Place | None) -> None:
        if place is not None:
            self.desk.enter(place)
            self._moved()

    def _open_text(self, in_full: InFull, place: Place | None, scene: Scene, key: str) -> None:
        def lines(width: int, show_arguments: bool) -> list[Line]:
            del show_arguments
            return labelled(in_full(self.scene or scene, key), width)

        self._show_detail("Finding", lines, lambda goes_on: self._go_to(place) if goes_on else None)

    def _open_item(self, scene: Scene, key: str) -> None:
        followed = Followed.of(scene, key)
        if followed is None:
            return

        def lines(width: int, show_arguments: bool) -> list[Line]:
            return followed.lines(self.scene or scene, width=width, show_arguments=show_arguments)

        # What failed is looked at for its traceback, and shown to others.
        self._show_detail(followed.title, lines, show=self._show_arguments and not followed.is_failure)

    def _show_detail(
        self,
        title: str,
        lines: Describe,
        then: Callable[[bool | None], None] | None = None,
        *,
        show: bool = True,
    ) -> None:
        may_show = not self._look.hide_arguments

        def copy() -> None:
            self.copy_to_clipboard("\n".join(map(plain, lines(_COPY_WIDTH, may_show))))
            self.notify("Copied.", markup=False, timeout=2)

        detail = Detail(
            title, lines, show_arguments=show and may_show, may_show=may_show, copy=copy,
            ascii_only=self._look.ascii_only,
        )  # fmt: skip
        self.push_screen(detail, then)

    def action_leave(self) -> None:
        """End the filter, or go back."""
        if self.desk.back():
            self._moved()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self.desk.move(rows)
        self.draw_all()

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.action_move(pages * max(1, self.query_one("#table").size.height - 2))

    def action_edge(self, direction: int) -> None:
        """Move the cursor to the first or last row."""
        self.action_move(direction * 1_000_000)

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.desk.next_sort()
        self.draw_all()

    def action_sort_by(self, column: str) -> None:
        """Sort by a column."""
        self.desk.sort_by(column)
        self.draw_all()

    def action_invert(self) -> None:
        """Turn the order round."""
        self.desk.invert()
        self.draw_all()

    def action_view(self) -> None:
        """Change between the first and the last jobs of a queue."""
        self.desk.turn()
        self._moved()

    def action_freeze(self) -> None:
        """Freeze what is shown, or go on."""
        self._frozen = (self._seen, self._now()) if self._frozen is None and self._seen else None
        self.draw_all()

    def action_interval(self, step: int) -> None:
        """Change the time between two looks."""
        self._watcher.interval_seconds = next_interval(self._watcher.interval_seconds, step)
        self.draw_all()

    def action_look(self) -> None:
        """Look now."""
        self._watcher.look_now()

    def action_arguments(self) -> None:
        """Show or hide arguments."""
        if self._look.hide_arguments:
            self.notify("started with --hide-args", markup=False)
            return
        self._show_arguments = not self._show_arguments
        self.draw_all()

    def action_copy(self) -> None:
        """Copy the key of the row."""
        key = self.desk.viewport.key.partition("\n")[0]
        if key:
            self.copy_to_clipboard(key)
            self.notify(f"Copied {printable(key, 60)}", markup=False, timeout=2)

    def action_help(self) -> None:
        """Show the help."""
        self.push_screen(Help(self.desk.board, ascii_only=self._look.ascii_only))

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
        box.value = self.desk.filters.get(self.desk.board.name, "")
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while one types."""
        if event.input.id == "filter" and event.input.has_class("-open"):
            try:
                matcher(event.value, self.desk.board.columns)
            except BadFilter:
                return
            self.desk.filters[self.desk.board.name] = event.value
            self.draw_all()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, or say what is wrong with it."""
        if event.input.id != "filter":
            return
        try:
            matcher(event.value, self.desk.board.columns)
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
            self.desk.filters.pop(self.desk.board.name, None)
            self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter", Input).remove_class("-open")
        self.query_one("#table").focus()
        self.draw_all()

    # --- namespace -------------------------------------------------------------------------------

    def action_namespace(self) -> None:
        """Choose another namespace."""
        picker = Picker(self._namespace)
        self.push_screen(picker, self._turn_to)
        Thread(
            target=self._find_namespaces, args=(picker, self._connect(self._namespace)), daemon=True
        ).start()

    def _find_namespaces(self, picker: Picker, broker: Broker) -> None:
        problem, names = "", []
        try:
            names = sorted(getattr(broker, "namespaces", set)())
        except BrokerError as error:
            problem = str(error)
        if self.is_running and picker.is_attached:
            self.call_later(lambda: picker.offer(names, problem or ("" if names else "no workers anywhere")))

    def _turn_to(self, namespace: str | None) -> None:
        if not namespace or namespace == self._namespace:
            return
        try:
            broker = self._connect(namespace)
        except (UsageError, ValueError) as error:
            self.notify(printable(str(error), 200), severity="error", markup=False)
            return
        self._namespace, self._broker, self._history = namespace, broker, History()
        self._report = self._seen = self._frozen = None
        self.desk.home()
        self._watcher.turn_to(self._source(broker))
        self._moved()

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
