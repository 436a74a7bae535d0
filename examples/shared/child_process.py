"""The processes that a run starts. Each has its own log, and none outlives the run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from .termination import ended_with_parent

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.1
_TAIL_LINES: Final = 15
REPOSITORY: Final = Path(__file__).resolve().parents[2]


class ChildFailed(Exception):
    """A process ended by itself or did not start; the message has the end of its log."""


class ChildProcess:
    """One process and its log.

    Args:
        name: Name of the process and of its log file.
        command: The command line.
        data: Folder for the log.
        environment: Variables to add to those of this process.
    """

    def __init__(
        self, name: str, command: Sequence[str], data: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = data / f"{name}.log"
        self._ended_on_purpose = False
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ended_with_parent(command),
                cwd=REPOSITORY,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C interrupts this process, which ends the others in order
            )
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def check(self) -> None:
        """Check that it runs, or was ended on purpose.

        Raises:
            ChildFailed: it ended by itself.
        """
        code = self._process.poll()
        if code is not None and not self._ended_on_purpose:
            raise ChildFailed(
                f"{self.name} ended with exit code {code}; the end of {self.log}:\n{self.tail()}"
            )

    def await_answer(self, url: str) -> None:
        """Wait until a URL of the process answers with success.

        Raises:
            ChildFailed: it does not, or the process ended.
        """
        self.await_condition(lambda: answers(url), f"{url} does not answer")

    def await_condition(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait until a condition holds.

        Raises:
            ChildFailed: it does not within some seconds, or the process ended.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name}: {otherwise}; the end of {self.log}:\n{self.tail()}")
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """End it at once: it can neither finish nor give back a job."""
        self._ended_on_purpose = True
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(_STOP_SECONDS)

    def stop(self) -> int:
        """Ask it to stop, kill it when it does not; return its exit code."""
        self._ended_on_purpose = True
        if self.is_running:
            self._process.terminate()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        except KeyboardInterrupt:  # the person does not wait; no process may stay
            self._process.kill()
            raise

    def tail(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])


def answers(url: str) -> bool:
    """Whether a URL answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def command_of(name: str, module: str) -> list[str]:
    """Return the command line of a command of this package, whether it is installed or not."""
    path = Path(sys.executable).with_name(name)
    return [str(path)] if path.exists() else [sys.executable, "-m", module]


def accepts_connections(port: int) -> bool:
    """Whether a process listens on a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
