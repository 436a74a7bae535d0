"""What lies over the table: the help, the choice of a namespace, and one job or failure in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ...text import printable
from ..boards import Board
from ..screen.draw import in_ascii
from ..screen.keys import KEYS
from ..view.table import Line, Span, make_span, pad_line
from .canvas import Canvas

_SCROLL: list[BindingType] = [
    Binding("up,k", "scroll_lines(-1)", show=False),
    Binding("down,j", "scroll_lines(1)", show=False),
    Binding("pageup", "scroll_pages(-1)", show=False),
    Binding("pagedown,space", "scroll_pages(1)", show=False),
    Binding("g,home", "scroll_lines(-1000000)", show=False),
    Binding("G,end", "scroll_lines(1000000)", show=False),
]


class _Reading(Screen[bool]):
    """Lines that are longer than the screen, and the keys to move in them."""

    BINDINGS: ClassVar[list[BindingType]] = _SCROLL

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._top = 0
        self._ascii_only = ascii_only

    def lines(self, width: int) -> Sequence[Line]:
        """Return all lines."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw the part that is seen."""
        canvas = self.query_one("#lines", Canvas)
        lines = self.lines(max(10, canvas.size.width - 1))
        self._top = max(0, min(self._top, len(lines) - canvas.size.height))
        seen = lines[self._top : self._top + max(1, canvas.size.height)]
        canvas.show(in_ascii(seen) if self._ascii_only else seen)

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(False)

    def action_scroll_lines(self, lines: int) -> None:
        """Move by lines."""
        self._top += lines
        self.draw()

    def action_scroll_pages(self, pages: int) -> None:
        """Move by pages."""
        self.action_scroll_lines(pages * max(1, self.query_one("#lines", Canvas).size.height - 1))

    def on_canvas_wheeled(self, event: Canvas.Wheeled) -> None:
        """Move with the wheel."""
        event.stop()
        self.action_scroll_lines(event.rows)

    def on_resize(self) -> None:
        """Wrap anew."""
        self.call_after_refresh(self.draw)


class Detail(_Reading):
    """One job or failure; drawn again at each poll: the job may move on.

    Args:
        title: What it is of.
        describe: Returns its lines for a width, with or without arguments.
        show_arguments: Whether arguments are shown at first.
        may_show: Whether they may be shown at all.
        copy: Copies all of it, with or without arguments.
        ascii_only: Whether the terminal takes nothing but ASCII.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *_SCROLL,
        Binding("escape", "leave", show=False),
        Binding("enter,i", "go_on", show=False),
        Binding("a", "arguments", show=False),
        Binding("y", "copy_all", show=False),
    ]

    def __init__(
        self,
        title: str,
        describe: Callable[[int, bool], Sequence[Line]],
        *,
        show_arguments: bool,
        may_show: bool,
        copy: Callable[[bool], None],
        ascii_only: bool = False,
    ) -> None:
        super().__init__(ascii_only=ascii_only)
        self._title = title
        self._describe = describe
        self._show_arguments = show_arguments
        self._may_show = may_show
        self._copy = copy

    def compose(self) -> ComposeResult:
        """Make the title, the lines and the keys."""
        yield Canvas(id="top")
        yield Canvas(id="lines", focusable=True)
        yield Canvas(id="keys")

    def on_mount(self) -> None:
        """Draw for the first time."""
        self.query_one("#top", Canvas).show([(make_span(f" {self._title} ", "head"),)])
        keys = (
            ("esc", "Back"),
            ("↑↓ PgUp PgDn", "Move"),
            ("a", "Arguments"),
            ("y", "Copy all"),
            ("q", "Quit"),
        )
        line = [one for key, label in keys for one in (Span(f" {key} ", "key"), Span(label, "dim"))]
        self.query_one("#keys", Canvas).show([tuple(line)])
        self.query_one("#lines", Canvas).focus()
        self.call_after_refresh(self.draw)

    def lines(self, width: int) -> Sequence[Line]:
        """Return all lines."""
        return self._describe(width, self._show_arguments)

    def action_go_on(self) -> None:
        """Go to where it leads, which for a job is back."""
        self.dismiss(True)

    def action_arguments(self) -> None:
        """Show or hide the arguments."""
        if not self._may_show:
            self.notify("started with --hide-args", markup=False)
            return
        self._show_arguments = not self._show_arguments
        self.draw()

    def action_copy_all(self) -> None:
        """Copy all of it; arguments only while they are shown."""
        self._copy(self._show_arguments)


class Overlay(ModalScreen[str | None]):
    """A box over the table that esc closes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def action_leave(self) -> None:
        """Close it."""
        self.dismiss(None)


class Help(_Reading):
    """All keys, and what the columns of the present board say."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *_SCROLL,
        Binding("escape,question_mark", "leave", show=False),
    ]

    def __init__(self, board: Board, *, ascii_only: bool = False) -> None:
        super().__init__(ascii_only=ascii_only)
        self._board = board

    def compose(self) -> ComposeResult:
        """Make the lines."""
        yield Canvas(id="lines", focusable=True)

    def on_mount(self) -> None:
        """Draw for the first time."""
        self.query_one("#lines", Canvas).focus()
        self.call_after_refresh(self.draw)

    def lines(self, width: int) -> Sequence[Line]:
        """Return keys and columns, in two columns where there is room."""
        return help_lines(self._board, width)


def help_lines(board: Board, width: int) -> list[Line]:
    """Return what the help says."""
    keys: list[Line] = [(make_span(f"{key.shown:>8}  ", "key"), Span(key.help)) for key in KEYS]
    columns: list[Line] = [
        (make_span(f"{one.name:>12}  ", "key"), make_span(one.help)) for one in board.columns
    ]
    marks: list[Line] = [
        (Span("           =  ", "key"), Span("a number without a mark is exact")),
        (Span("           ≈  ", "key"), Span("an estimate, from a mean")),
        (Span("           ≥  ", "key"), Span("a lower bound: it may be more")),
        (Span("        !  !!  ", "key"), Span("look here; look here first")),
    ]
    head = (Span(" Keys ", "head"), Span("   esc closes, q quits", "dim"))
    right = [
        (make_span(f" Columns of {board.title} ", "head"),),
        *columns,
        (),
        (Span(" Marks ", "head"),),
        *marks,
    ]
    if width < 130:
        return [head, *keys, (), *right]
    half = width // 2
    rows = max(len(keys) + 1, len(right))
    left = [head, *keys, *[()] * rows][:rows]
    right += [()] * (rows - len(right))
    return [(*pad_line((*mine, Span("")), half), *theirs) for mine, theirs in zip(left, right, strict=True)]


class Picker(Overlay):
    """Choice of a namespace: type its name, or take one in which workers are registered."""

    def __init__(self, present: str) -> None:
        super().__init__()
        self._present = present
        self._names: list[str] = []

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical():
            yield Canvas(id="lines")
            yield Input(placeholder="type a name, or part of one below", id="name")
            yield OptionList(id="names", markup=False)

    def on_mount(self) -> None:
        """Begin with the box for a name."""
        self.offer([])
        self.query_one(Input).focus()

    def offer(self, names: Sequence[str], problem: str = "") -> None:
        """Show the namespaces that were found.

        Args:
            names: Their names.
            problem: Why none could be looked for.
        """
        self._names = list(names)
        words = problem or (
            "namespaces with workers on this server" if names else "looking for namespaces ..."
        )
        title = (make_span(f"Namespace (now {self._present}) ", "strong"), make_span(words, "dim"))
        self.query_one("#lines", Canvas).show([title])
        self._list(self.query_one(Input).value)

    def _list(self, text: str) -> None:
        found = [name for name in self._names if text.casefold() in name.casefold()]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(printable(name, 80)) for name in found])
        self._shown = found
        if found and text:
            options.highlighted = 0

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._list(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed, or the first that it is part of."""
        number = self.query_one(OptionList).highlighted
        chosen = self._shown[number] if number is not None and self._shown else event.value
        self.dismiss(chosen or None)

    def on_key(self, event: events.Key) -> None:
        """Move in the list while the cursor stays in the box."""
        options = self.query_one(OptionList)
        if event.key in ("up", "down") and self.focused is not options:
            event.stop()
            (options.action_cursor_down if event.key == "down" else options.action_cursor_up)()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the one that was chosen."""
        self.dismiss(self._shown[event.option_index])
