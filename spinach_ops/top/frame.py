"""A whole screen as lines, from a scene and a desk: what the terminal draws and what `--snapshot` prints. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import headline, side
from .cells import Line, Piece, cut_line, padded, paragraph
from .desk import Desk
from .figures import to_ascii
from .headline import Situation
from .scene import Scene

_SMALLEST = (40, 10)
_LOW = 18


@dataclass(frozen=True, slots=True)
class Frame:
    """The lines of a screen.

    Attributes:
        head: Over the table.
        table: Heading and rows.
        bar: The line at the bottom.
        cursor: Which line of the table is under the cursor.
        side: Beside the table, none where there is no room.
    """

    head: tuple[Line, ...]
    table: tuple[Line, ...] = ()
    bar: Line = ()
    cursor: int | None = None
    side: tuple[Line, ...] = ()

    def text(self, width: int, height: int) -> str:
        """Return the screen as text, without trailing spaces."""
        space = height - len(self.head) - (1 if self.bar else 0)
        table = [*self.table, *[()] * space][:space]
        if self.side:
            left = width - side.WIDTH
            table = [(*padded(line, left), *beside) for line, beside in zip(table, self.side, strict=False)]
        lines = [*self.head, *table, *([self.bar] if self.bar else [])]
        return "\n".join("".join(one.text for one in cut_line(line, width)).rstrip() for line in lines)


def draw(
    scene: Scene | None,
    desk: Desk,
    situation: Situation,
    *,
    width: int,
    height: int,
    now: float = 0.0,
    last_key_at: float = float("-inf"),
    ascii_only: bool = False,
) -> Frame:
    """Return the screen.

    Args:
        scene: What was seen, None before the first look.
        desk: What the person chose.
        situation: How it stands with the server.
        width: Of the terminal.
        height: Of the terminal.
        now: Monotonic seconds.
        last_key_at: When a key was pressed last.
        ascii_only: Whether the terminal takes nothing but ASCII.
    """
    if width < _SMALLEST[0] or height < _SMALLEST[1]:
        return _in_ascii(Frame((headline.one_line(scene, situation, width),)), ascii_only)
    if scene is None:
        words = situation.connection.reason or f"asking {situation.address} ..."
        head: tuple[Line, ...] = (
            headline.status(scene, situation, width),
            headline.tabs(scene, desk.place, width),
        )
        return _in_ascii(Frame(head, ((), *paragraph(words, width)), headline.keys_line(width)), ascii_only)
    rows = desk.rows(scene, now=now, last_key_at=last_key_at)
    head = _head(scene, desk, situation, width, height, len(rows))
    space = height - len(head) - 1
    has_side = width >= side.LEAST_WIDTH and desk.place.board == "queues" and bool(rows)
    # The table first: it finds the row that is under the cursor.
    table, cursor = desk.table(scene, rows, width - (side.WIDTH if has_side else 0), space)
    beside = side.lines(scene, desk, space) if has_side else []
    return _in_ascii(Frame(head, tuple(table), headline.keys_line(width), cursor, tuple(beside)), ascii_only)


def _head(
    scene: Scene, desk: Desk, situation: Situation, width: int, height: int, shown: int
) -> tuple[Line, ...]:
    lines = [headline.status(scene, situation, width), headline.numbers(scene, width)]
    if height >= _LOW:
        lines.append(headline.flow(scene, width))
    lines += [headline.alerts(scene, situation, width), headline.tabs(scene, desk.place, width)]
    caption = desk.caption(scene, width, shown)
    return (*lines, caption) if caption else tuple(lines)


def _in_ascii(frame: Frame, ascii_only: bool) -> Frame:
    if not ascii_only:
        return frame
    bar = in_ascii([frame.bar])[0]
    return Frame(in_ascii(frame.head), in_ascii(frame.table), bar, frame.cursor, in_ascii(frame.side))


def in_ascii(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return lines in ASCII, as wide as they were."""
    return tuple(tuple(Piece(to_ascii(one.text), one.tone, one.action) for one in line) for line in lines)
