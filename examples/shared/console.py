"""The output of a run: on a terminal one line that changes, elsewhere a line every two seconds.

Never fails: a closed terminal must not stop a run from ending its processes.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Final, TextIO

_EVERY_SECONDS: Final = 2.0
_BAR_WIDTH: Final = 24


class Console:
    """Prints messages and progress.

    Args:
        stream: Where to, by default standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()
        self._started = time.monotonic()
        self._last = 0.0
        self._line_is_open = False
        self._held: list[str] | None = None

    def hold(self) -> None:
        """Keep messages until `release`: another program has the terminal."""
        self._held = []

    def release(self) -> None:
        """Print the kept messages, and print directly from now on."""
        held, self._held = self._held, None
        for text in held or ():
            self._write(text, end="\n")

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started

    def say(self, text: str = "") -> None:
        """Print a line that stays."""
        self._write(f"{self.seconds:5.1f} s  {text}" if text else "", end="\n")

    def show(self, text: str) -> None:
        """Print a line that stays, without the time."""
        self._write(text, end="\n")

    def progress(self, done: int, total: int, rest: str) -> None:
        """Show the progress; the next output replaces this line."""
        if self._held is not None:
            return
        if not self._is_terminal and self.seconds - self._last < _EVERY_SECONDS:
            return
        self._last = self.seconds
        filled = _BAR_WIDTH * done // max(1, total)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        text = f"{self.seconds:5.1f} s  [{bar}] {done}/{total} files, {rest}"
        if self._is_terminal:  # a line that wraps could not be replaced
            text = text[: shutil.get_terminal_size().columns - 1]
        self._write(text, end="" if self._is_terminal else "\n")
        self._line_is_open = self._is_terminal

    def _write(self, text: str, *, end: str) -> None:
        if self._held is not None:
            self._held.append(text)
            return
        before = "\r\x1b[K" if self._line_is_open else ""
        self._line_is_open = False
        try:
            self._stream.write(before + text + end)
            self._stream.flush()
        except OSError:
            self._discard_output()

    def _discard_output(self) -> None:
        # The buffer goes there, too: Python writes it when it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
