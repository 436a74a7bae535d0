"""`spinach-top` over the running demo, where there is a terminal to show it on."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from .processes import script
from .settings import NAMESPACE

_STOP_SECONDS: Final = 10.0


def has_terminal() -> bool:
    """Whether a full-screen program can run here: it reads keys, and draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and os.environ.get("TERM", "dumb") != "dumb"


class Top:
    """The terminal UI as a process of its own, on the demo's terminal, until a person quits it.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        command = [*script("spinach-top", "spinach_ops.top.cli"), "-i", "1", "-n", NAMESPACE]
        self._process = subprocess.Popen(command, env={**os.environ, "SPINACH_REDIS_URL": url})

    @property
    def is_open(self) -> bool:
        """Whether it still has the terminal."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait until it was quit; return its exit code."""
        return self._process.wait()

    def close(self) -> None:
        """End it: the demo has something to say."""
        if self.is_open:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)
