"""The processes that a process started, and theirs, as the system knows them; a terminal for a process."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")
# The first in a session takes the terminal, then becomes the command.
_ON_ITS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


def descendants(pid: int) -> set[int]:
    """Return all processes below one."""
    parents: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold anything.
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def living(pids: set[int]) -> set[int]:
    """Return those that have not ended."""
    return {pid for pid in pids if _state(pid) not in ("", "Z")}


def _state(pid: int) -> str:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Terminal:
    """A process on a terminal of its own, and what it printed.

    Args:
        command: What to run.
        folder: Where.
        columns: How wide the terminal is.
    """

    def __init__(self, command: Sequence[str], folder: Path, columns: int = 120) -> None:
        self._mine, its = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "24"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ON_ITS_TERMINAL, *command], cwd=folder, env=environment,
            stdin=its, stdout=its, stderr=its, start_new_session=True,
        )  # fmt: skip
        os.close(its)
        self.output = ""
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._mine, keys)

    def close(self) -> None:
        """Close the terminal: its processes get SIGHUP, and can print no more."""
        if not self._closing.is_set():
            self._closing.set()
            self._reader.join(10)
            os.close(self._mine)

    def _read(self) -> None:
        os.set_blocking(self._mine, False)
        while not self._closing.wait(0.02):
            try:
                self.output += os.read(self._mine, 65536).decode(errors="replace")
            except BlockingIOError:
                continue
            except OSError:  # the other side is closed
                return
