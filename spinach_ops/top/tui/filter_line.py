"""The line for a filter: filters the board at each letter, and says what is wrong with a filter."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.widgets import Input

from ...text import printable
from ..screen.filters import BadFilter, parse_filter
from ..screen.navigation import Navigation


class FilterLine(Input):
    """The line; hidden while it is closed.

    Args:
        navigation: Has the board that is filtered.
        on_change: Called when what is to be seen changed.
    """

    def __init__(self, navigation: Navigation, on_change: Callable[[], None]) -> None:
        super().__init__(
            id="filter", placeholder="text !text /regex/ depth>100 oldest>5m state=silent", compact=True
        )
        self._navigation = navigation
        self._on_change = on_change

    @property
    def is_open(self) -> bool:
        """Whether it is seen."""
        return self.has_class("-open")

    def open(self) -> None:
        """Show the filter of the board."""
        self.add_class("-open")
        self.value = self._navigation.filters.get(self._navigation.board.name, "")
        self.focus()
        self._on_change()

    def _close(self) -> None:
        self.remove_class("-open")
        self.app.query_one("#table").focus()
        self._on_change()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while one types; a filter that is not complete yet changes nothing."""
        event.stop()
        if self.is_open and self._problem(event.value) is None:
            self._navigation.filters[self._navigation.board.name] = event.value
            self._on_change()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, or say what is wrong with it."""
        event.stop()
        problem = self._problem(event.value)
        if problem is None:
            self._close()
        else:
            self.app.notify(printable(problem, 200), severity="warning", markup=False)

    def on_key(self, event: events.Key) -> None:
        """Forget the filter at esc."""
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self._navigation.filters.pop(self._navigation.board.name, None)
            self._close()

    def _problem(self, text: str) -> str | None:
        try:
            parse_filter(text, self._navigation.board.columns)
        except BadFilter as error:
            return str(error)
        return None
