"""The base of the application: keeps the last poll and draws it. Knows no key."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from spinach.brokers.base import Broker
from spinach.const import VERSION
from spinach.stats import MAX_PAGE, Wanted

from ...cli.options import OK
from ...polling.poller import Poller
from ...polling.polling_thread import PollingThread, Report
from ...polling.trends import History
from ..boards import find_board
from ..screen import queue_panel
from ..screen.draw import DrawnScreen, draw
from ..screen.header import Status
from ..screen.navigation import Navigation
from ..view.view_model import ViewModel
from .canvas import Canvas
from .overlays import Detail
from .theme import THEMES

_TERMINATED: Final = 128 + signal.SIGTERM
_TICK_SECONDS: Final = 1.0
_PARTS: Final = ("#head", "#table", "#side", "#bar")
_TERMINAL_CHECK_SECONDS: Final = 5.0
_AWAY_SECONDS: Final = 30.0
_AWAY_FACTOR: Final = 5


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How the screen is to be.

    Attributes:
        interval_seconds: Between two looks.
        theme: Name of a theme, empty for ours.
        ascii_only: Whether the terminal takes nothing but ASCII.
        hide_arguments: Whether arguments of jobs are never shown.
        queues: Names of queues to look at in any case.
    """

    interval_seconds: float = 2.0
    theme: str = ""
    ascii_only: bool = False
    hide_arguments: bool = False
    queues: tuple[str, ...] = ()


class Reported(Message):
    """A look has ended."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


class Stage(App[int]):
    """What is on the screen, and who looks for it.

    Args:
        connect: Makes a broker for a namespace.
        namespace: Where to begin.
        look: How the screen is to be.
        now: A monotonic clock.
    """

    CSS_PATH = "top.tcss"
    TITLE = "spinach-top"
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        connect: Callable[[str], Broker],
        namespace: str,
        *,
        look: ScreenOptions = ScreenOptions(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.navigation = Navigation()
        self._connect = connect
        self._namespace = namespace
        self._look = look
        self._now = now
        self._broker = connect(namespace)
        self._trends = History()
        self._report: Report | None = None
        self._seen: Report | None = None
        self._seen_at = now()
        self._frozen: tuple[Report, float] | None = None
        self._last_key_at = float("-inf")
        self._show_arguments = False  # whoever stands behind may not be meant to see them
        self._away: Timer | None = None
        self._usual_seconds: float | None = None
        self._polling_thread = PollingThread(
            self._source(self._broker), self._deliver, interval_seconds=look.interval_seconds, now=now
        )
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = look.theme or THEMES[0].name

    def _source(self, broker: Broker) -> Poller:
        return Poller(
            broker,
            interval_seconds=self._look.interval_seconds,
            queues=self._look.queues,
            discover=True,
            totals=True,
        )

    # --- life ------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Make the parts of the screen."""
        yield Canvas(id="head")
        with Horizontal(id="middle"):
            yield Canvas(id="table", focusable=True)
            yield Canvas(id="side")
        yield Input(
            id="filter", placeholder="text !text /regex/ depth>100 oldest>5m state=silent", compact=True
        )
        yield Canvas(id="bar")

    def on_mount(self) -> None:
        """Begin to look."""
        self.query_one("#table").focus()
        self._polling_thread.want(self._wanted())
        self._polling_thread.start()
        self.set_interval(_TICK_SECONDS, self.draw_all)
        if not self.is_headless:
            self.set_interval(_TERMINAL_CHECK_SECONDS, self._check_terminal)
            _on_signals(lambda: self.exit(return_code=_TERMINATED))

    def on_unmount(self) -> None:
        """Look no more."""
        self._polling_thread.stop()

    def _check_terminal(self) -> None:
        """End when the terminal is gone and whoever started this ignores SIGHUP."""
        try:
            is_there = sys.__stderr__ is not None and sys.__stderr__.isatty()
        except (OSError, ValueError):
            is_there = False
        if not is_there:
            self.exit(return_code=_TERMINATED)

    def on_app_blur(self) -> None:
        """Look less often when nobody has looked at the terminal for a while, where it tells."""
        if self._away is None:
            self._away = self.set_timer(_AWAY_SECONDS, self._slow_down)

    def on_app_focus(self) -> None:
        """Look as often as before, and at once."""
        if self._away is not None:
            self._away.stop()
        if self._usual_seconds is not None:
            self._polling_thread.interval_seconds = self._usual_seconds
        self._away = self._usual_seconds = None

    def _slow_down(self) -> None:
        self._usual_seconds = self._polling_thread.interval_seconds
        self._polling_thread.interval_seconds = self._usual_seconds * _AWAY_FACTOR

    def _deliver(self, report: Report) -> None:
        self.post_message(Reported(report))

    def on_reported(self, event: Reported) -> None:
        """Keep what was seen, and draw it."""
        report = event.report
        if report.source.broker is not self._broker:
            return
        self._report = report
        if report.tick is not None:
            came_back = report.connection.came_back
            self._trends.add(report.tick.snapshot, report.tick.rates, gap=came_back)
            self._seen, self._seen_at = report, self._now()
            if came_back:
                self.notify("The server is back.", markup=False, timeout=3)
        self.draw_all()

    # --- drawing ---------------------------------------------------------------------------------

    @property
    def view(self) -> ViewModel | None:
        """What is shown."""
        report = self._frozen[0] if self._frozen else self._seen
        if report is None or report.tick is None:
            return None
        lost = self._polling_thread.connection.failures > 0 and self._frozen is None
        return ViewModel(
            report.tick.snapshot,
            self._trends,
            stale_seconds=self._now() - self._seen_at if lost else 0.0,
            show_arguments=self._show_arguments,
        )

    @property
    def status(self) -> Status:
        """How it stands with the server."""
        now = self._now()
        return Status(
            namespace=self._namespace,
            address=self._broker.address,
            version=VERSION,
            connection=self._polling_thread.connection,
            now=now,
            interval_seconds=self._polling_thread.interval_seconds,
            frozen_seconds=now - self._frozen[1] if self._frozen else None,
        )

    def frame(self) -> DrawnScreen:
        """Return the screen as lines."""
        is_filtering = self.screen_stack[0].query_one("#filter").has_class("-open")
        return draw(
            self.view, self.navigation, self.status,
            width=self.size.width, height=self.size.height - is_filtering, now=self._now(), last_key_at=self._last_key_at,
            ascii_only=self._look.ascii_only,
        )  # fmt: skip

    def draw_all(self) -> None:
        """Draw what changed."""
        if not self.is_running or not self.screen_stack:
            return
        main = self.screen_stack[0]
        frame = self.frame()
        head, table, beside, bar = (main.query_one(name, Canvas) for name in _PARTS)
        with self.batch_update():
            if head.styles.height is None or head.styles.height.value != len(frame.head):
                head.styles.height = len(frame.head)
            head.show(frame.head)
            table.set_class(self._polling_thread.connection.failures > 0, "-stale")
            table.show(frame.table, frame.cursor)
            beside.display = bool(frame.side)
            beside.show(frame.side)
            bar.show([frame.bar])
            if isinstance(self.screen, Detail):
                self.screen.draw()
        # The row under the cursor may be another one now.
        self._polling_thread.want(self._wanted())

    def on_resize(self) -> None:
        """Draw for the new size, and want as many rows as fit."""
        self._polling_thread.want(self._wanted())
        self.draw_all()

    def _wanted(self) -> tuple[Wanted, ...]:
        rows = max(20, min(MAX_PAGE, self.size.height + 10))
        page = find_board(self.navigation.location).wanted(self.navigation.location, rows)
        return page or queue_panel.wanted(self.navigation, self.size.width)

    def _moved(self) -> None:
        self._polling_thread.want(self._wanted())
        self.draw_all()


def _on_signals(end: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)


def run(app: Stage, *, inline: bool = False, mouse: bool = True) -> int:
    """Run the application in this terminal; return its exit code."""
    app.run(inline=inline, inline_no_clear=inline, mouse=mouse)
    return app.return_code or OK
