"""What opens over the table: a job or a finding in full, the help, the choice of a namespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Thread
from typing import TYPE_CHECKING

from spinach.brokers.base import Broker
from spinach.exc import BrokerError

from ...cli.errors import UsageError
from ...text import printable
from ..screen.detail import FollowedItem, format_fields
from ..view.table import Line, StyleName, plain_text
from ..view.view_model import Location, ViewModel
from .overlays import Detail, Help, Picker

if TYPE_CHECKING:
    from .app import TopApp

_COPY_WIDTH = 100_000

Describe = Callable[[int, bool], Sequence[Line]]
InFull = Callable[[ViewModel, str], Sequence[tuple[str, str, StyleName]]]


class Opener:
    """Opens screens over that of the application.

    Args:
        app: The application.
    """

    def __init__(self, app: TopApp) -> None:
        self._app = app

    def open_row(self) -> None:
        """Open the row under the cursor."""
        view, navigation = self._app.view, self._app.navigation
        key = navigation.viewport.key
        if view is None or not key:
            return
        board, location = navigation.board, navigation.location
        navigation.choose()
        if board.has_items:
            self._open_item(view, key)
        elif board.has_text:
            self._open_text(board.in_full, board.leads_to(view, location, key), view, key)
        else:
            self._go_to(board.leads_to(view, location, key))

    def _go_to(self, location: Location | None) -> None:
        if location is not None:
            self._app.navigation.enter(location)
            self._app.moved()

    def _open_text(self, in_full: InFull, location: Location | None, view: ViewModel, key: str) -> None:
        def lines(width: int, show_arguments: bool) -> list[Line]:
            del show_arguments
            return format_fields(in_full(self._app.view or view, key), width)

        self._show_detail("Finding", lines, lambda goes_on: self._go_to(location) if goes_on else None)

    def _open_item(self, view: ViewModel, key: str) -> None:
        followed = FollowedItem.of(view, key)
        if followed is None:
            return

        def lines(width: int, show_arguments: bool) -> list[Line]:
            return followed.lines(self._app.view or view, width=width, show_arguments=show_arguments)

        # What failed is looked at for its traceback, and shown to others.
        self._show_detail(followed.title, lines, show=self._app.show_arguments and not followed.is_failure)

    def _show_detail(
        self,
        title: str,
        lines: Describe,
        then: Callable[[bool | None], None] | None = None,
        *,
        show: bool = True,
    ) -> None:
        may_show = not self._app.options.hide_arguments

        def copy(show_arguments: bool) -> None:
            self._app.copy_to_clipboard("\n".join(map(plain_text, lines(_COPY_WIDTH, show_arguments))))
            self._app.notify("Copied.", markup=False, timeout=2)

        detail = Detail(
            title, lines, show_arguments=show and may_show, may_show=may_show, copy=copy,
            ascii_only=self._app.options.ascii_only,
        )  # fmt: skip
        self._app.push_screen(detail, then)

    def open_help(self) -> None:
        """Show the help."""
        self._app.push_screen(Help(self._app.navigation.board, ascii_only=self._app.options.ascii_only))

    def choose_namespace(self) -> None:
        """Choose another namespace."""
        picker = Picker(self._app.polled.namespace)
        self._app.push_screen(picker, self._turn_to)
        Thread(
            target=self._find_namespaces, args=(picker, self._app.polled.connect_again()), daemon=True
        ).start()

    def _find_namespaces(self, picker: Picker, broker: Broker) -> None:
        problem, names = "", []
        try:
            names = sorted(getattr(broker, "namespaces", set)())
        except BrokerError as error:
            problem = str(error)
        if self._app.is_running and picker.is_attached:
            self._app.call_later(
                lambda: picker.offer(names, problem or ("" if names else "no workers anywhere"))
            )

    def _turn_to(self, namespace: str | None) -> None:
        if not namespace or namespace == self._app.polled.namespace:
            return
        try:
            self._app.polled.turn_to(namespace)
        except (UsageError, ValueError) as error:
            self._app.notify(printable(str(error), 200), severity="error", markup=False)
            return
        self._app.navigation.home()
        self._app.moved()
