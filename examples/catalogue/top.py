"""`spinach-top` on the running demo, if there is a terminal. Draws nothing itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Final

from examples.shared.child_process import command_of
from examples.shared.termination import INTERRUPTED, ended_with_parent

from .settings import NAMESPACE

_STOP_SECONDS: Final = 10.0


def has_terminal() -> bool:
    """Whether a full-screen program can run here: it reads keys, and draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and os.environ.get("TERM", "dumb") != "dumb"


class TopProcess:
    """The terminal UI as a process of its own, on the demo's terminal, until a person quits it.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        command = [*command_of("spinach-top", "spinach_ops.top.cli"), "-i", "1", "-n", NAMESPACE]
        self._process = subprocess.Popen(
            ended_with_parent(command, signal.SIGTERM), env={**os.environ, "SPINACH_REDIS_URL": url}
        )

    @property
    def is_open(self) -> bool:
        """Whether it still has the terminal."""
        return self._process.poll() is None

    @property
    def was_interrupted(self) -> bool:
        """Whether a person ended it with Ctrl-C, which reaches only `spinach-top` while that is open."""
        return self._process.poll() in (INTERRUPTED, -signal.SIGINT)

    def wait(self) -> None:
        """Wait until the person quits it."""
        self._process.wait()

    def close(self) -> None:
        """End it: the demo continues on the terminal."""
        if self.is_open:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
