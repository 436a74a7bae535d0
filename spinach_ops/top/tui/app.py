"""The application: lays out the screen, draws it, and does what each key and each click means.

It reads nothing itself: `PolledNamespace` polls. What a part of the screen shows is decided in `screen` and
`boards`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from spinach.stats import MAX_PAGE, Wanted

from ...cli.exit_codes import INTERRUPTED, OK
from ...polling.polling_thread import Report
from ...text import printable
from ..boards import find_board
from ..screen import queue_panel
from ..screen.draw import DrawnScreen, draw
from ..screen.keys import KEYS, next_interval
from ..screen.navigation import Navigation
from ..view.view_model import ViewModel
from .canvas import Canvas
from .filter_line import FilterLine
from .opener import Opener
from .overlays import Detail
from .polled import Connect, PolledNamespace
from .theme import THEMES

_TERMINATED: Final = 128 + signal.SIGTERM
# How long a terminal may take to show the last frame.
_END_SECONDS: Final = 2.0
_REDRAW_SECONDS: Final = 1.0
_PARTS: Final = ("#head", "#table", "#side", "#bar")
_TERMINAL_CHECK_SECONDS: Final = 5.0
# A terminal that reports its focus: after this time without it, poll five times less often.
_AWAY_SECONDS: Final = 30.0
_AWAY_FACTOR: Final = 5
_ABOUT_THE_TABLE: Final = frozenset(
    ("open", "leave", "move", "page", "edge", "filter", "sort", "invert", "view", "copy", "namespace")
)


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """What the command line says about the screen.

    Attributes:
        interval_seconds: Between two polls.
        theme: Name of a theme; empty for the theme of this package.
        ascii_only: Whether the terminal shows ASCII only.
        hide_arguments: Whether arguments of jobs are never shown.
        queues: Names of queues to read in any case.
    """

    interval_seconds: float = 2.0
    theme: str = ""
    ascii_only: bool = False
    hide_arguments: bool = False
    queues: tuple[str, ...] = ()


class Reported(Message):
    """A poll has ended."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


class TopApp(App[int]):
    """`spinach-top`.

    Args:
        connect: Makes a broker for a namespace.
        namespace: The first namespace.
        options: What the command line says about the screen.
        now: A monotonic clock.

    Attributes:
        navigation: Which board is shown, and where in it the cursor is.
        options: What the command line says about the screen.
        polled: Polls the namespace.
        show_arguments: Whether arguments of jobs are shown; at first not, because other people may see the
            screen.
    """

    CSS_PATH = "top.tcss"
    TITLE = "spinach-top"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key.keys, key.action, key.help, show=False) for key in KEYS),
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True, system=True),
    ]

    def __init__(
        self,
        connect: Connect,
        namespace: str,
        *,
        options: ScreenOptions = ScreenOptions(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.navigation = Navigation()
        self.options = options
        self.show_arguments = False
        self.polled = PolledNamespace(
            connect, namespace, self._deliver,
            interval_seconds=options.interval_seconds, queues=options.queues, now=now,
        )  # fmt: skip
        self._opener = Opener(self)
        self._now = now
        self._last_key_at = float("-inf")
        self._away: Timer | None = None
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = options.theme or THEMES[0].name

    # --- life ------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Make the parts of the screen."""
        yield Canvas(id="head")
        with Horizontal(id="middle"):
            yield Canvas(id="table", focusable=True)
            yield Canvas(id="side")
        yield FilterLine(self.navigation, self.draw_all)
        yield Canvas(id="bar")

    def on_mount(self) -> None:
        """Start to poll."""
        self.query_one("#table").focus()
        self.polled.want(self._wanted())
        self.polled.polling_thread.start()
        self.set_interval(_REDRAW_SECONDS, self.draw_all)
        if not self.is_headless:
            self.set_interval(_TERMINAL_CHECK_SECONDS, self._check_terminal)
            _on_signals(self._end)

    def on_unmount(self) -> None:
        """Stop to poll."""
        self.polled.polling_thread.stop()

    def _check_terminal(self) -> None:
        """End when the terminal is gone: a process that was started with `nohup` gets no SIGHUP."""
        try:
            is_there = sys.__stderr__ is not None and sys.__stderr__.isatty()
        except (OSError, ValueError):
            is_there = False
        if not is_there:
            self._end()

    def _end(self) -> None:
        """End the process, also where it waits for a terminal that takes no more output."""
        watchdog = threading.Timer(_END_SECONDS, os._exit, (_TERMINATED,))
        watchdog.daemon = True
        watchdog.start()
        self.exit(return_code=_TERMINATED)

    def on_app_blur(self) -> None:
        """Poll less often once the terminal has been without focus for a while."""
        if self._away is None:
            self._away = self.set_timer(_AWAY_SECONDS, lambda: self.polled.slow_down(_AWAY_FACTOR))

    def on_app_focus(self) -> None:
        """Poll as often as before, and at once."""
        if self._away is not None:
            self._away.stop()
        self._away = None
        self.polled.speed_up()

    def on_reported(self, event: Reported) -> None:
        """Keep the report, and draw it."""
        if not self.polled.accept(event.report):
            return
        if event.report.poll is not None and event.report.connection.came_back:
            self.notify("The server is back.", markup=False, timeout=3)
        self.draw_all()

    def _deliver(self, report: Report) -> None:
        self.post_message(Reported(report))

    # --- drawing ---------------------------------------------------------------------------------

    @property
    def view(self) -> ViewModel | None:
        """What is shown; None before the first report."""
        return self.polled.view(show_arguments=self.show_arguments)

    def drawn_screen(self) -> DrawnScreen:
        """Return the screen as lines."""
        is_filtering = self.screen_stack[0].query_one(FilterLine).is_open
        return draw(
            self.view, self.navigation, self.polled.status(),
            width=self.size.width, height=self.size.height - is_filtering,
            now=self._now(), last_key_at=self._last_key_at, ascii_only=self.options.ascii_only,
        )  # fmt: skip

    def draw_all(self) -> None:
        """Draw what changed."""
        if not self.is_running or not self.screen_stack:
            return
        main = self.screen_stack[0]
        drawn = self.drawn_screen()
        head, table, beside, bar = (main.query_one(name, Canvas) for name in _PARTS)
        with self.batch_update():
            if head.styles.height is None or head.styles.height.value != len(drawn.head):
                head.styles.height = len(drawn.head)
            head.show(drawn.head)
            table.set_class(not self.polled.has_connection, "-stale")
            table.show(drawn.table, drawn.cursor)
            beside.display = bool(drawn.side)
            beside.show(drawn.side)
            bar.show([drawn.bar])
            if isinstance(self.screen, Detail):
                self.screen.draw()
        # The row under the cursor may be another one now.
        self.polled.want(self._wanted())

    def on_resize(self) -> None:
        """Draw for the new size, and want as many rows as fit."""
        self.moved()

    def moved(self) -> None:
        """Read and draw what the navigation shows now."""
        self.polled.want(self._wanted())
        self.draw_all()

    def _wanted(self) -> tuple[Wanted, ...]:
        rows = max(20, min(MAX_PAGE, self.size.height + 10))
        page = find_board(self.navigation.location).wanted(self.navigation.location, rows)
        return page or queue_panel.wanted(self.navigation, self.size.width)

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
        self.moved()

    def action_leave(self) -> None:
        """End the filter, or go back."""
        if self.navigation.back():
            self.moved()

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
        self.moved()

    def action_freeze(self) -> None:
        """Freeze what is shown, or go on."""
        self.polled.freeze()
        self.draw_all()

    def action_interval(self, step: int) -> None:
        """Change the time between two polls."""
        thread = self.polled.polling_thread
        thread.interval_seconds = next_interval(thread.interval_seconds, step)
        self.draw_all()

    def action_poll(self) -> None:
        """Poll now."""
        self.polled.polling_thread.poll_now()

    def action_arguments(self) -> None:
        """Show or hide arguments."""
        if self.options.hide_arguments:
            self.notify("started with --hide-args", markup=False)
            return
        self.show_arguments = not self.show_arguments
        self.draw_all()

    def action_open(self) -> None:
        """Open the row under the cursor."""
        self._opener.open_row()

    def action_help(self) -> None:
        """Show the help."""
        self._opener.open_help()

    def action_namespace(self) -> None:
        """Choose another namespace."""
        self._opener.choose_namespace()

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

    def action_filter(self) -> None:
        """Open the line for the filter."""
        self.query_one(FilterLine).open()

    def on_key(self) -> None:
        """Remember when a key was pressed."""
        self._last_key_at = self._now()

    # --- mouse and palette -----------------------------------------------------------------------

    async def on_canvas_clicked(self, event: Canvas.Clicked) -> None:
        """Do what was clicked; a row is selected first, opened by a click on the selected one."""
        if event.action:
            await self.run_action(event.action)
        elif event.canvas.id == "table" and event.line > 0:
            drawn = self.drawn_screen()
            if drawn.cursor == event.line:
                self.action_open()
            elif drawn.cursor is not None and event.line < len(drawn.table):
                self.action_move(event.line - drawn.cursor)

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


def _on_signals(end: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)


def run(app: TopApp, *, inline: bool = False, mouse: bool = True) -> int:
    """Run the application in this terminal; return its exit code."""
    app.run(inline=inline, inline_no_clear=inline, mouse=mouse)
    return app.return_code or OK
