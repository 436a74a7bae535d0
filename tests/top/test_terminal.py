"""`spinach-top` in a real terminal: a tmux of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.brokers.conftest import MakeRedisBroker
from tests.brokers.helpers import queued
from tests.servers import Server
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="no tmux on this machine (apt install tmux)"
)


class Terminal:
    """A terminal of a given size, in a tmux server that ends with it."""

    def __init__(self, width: int, height: int) -> None:
        self._name = f"spinach-{uuid4().hex[:8]}"
        size = ("-x", str(width), "-y", str(height))
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, "sh")
        self.tmux("set", "-g", "status", "off")
        self.tmux("resize-window", *size)

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._name, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10, env=_environment()
        )
        return done.stdout

    def run(self, server: Server, namespace: str, *arguments: str) -> None:
        command = f"{sys.executable} -m spinach_ops.top.cli --redis {server.url} -n {namespace} "
        command += " ".join(arguments)
        self.type(f"cd {REPOSITORY} && {command}; echo ended-with-$?")

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def text(self, scrolled: int = 0) -> str:
        """Return what stands on the screen, and so many lines that were scrolled off it."""
        return self.tmux("capture-pane", "-p", "-S", f"-{scrolled}")

    def wait_for(self, *parts: str, scrolled: int = 0) -> str:
        def shown() -> str:
            text = self.text(scrolled)
            return text if all(part in text for part in parts) else ""

        return wait_until(shown, lambda: f"{parts} on the screen\n{self.text(scrolled)}")

    def child(self) -> int:
        """Return the process that runs in the shell."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False)


def _environment() -> dict[str, str]:
    """Return what a terminal would give: not the size that a test runner made up, and our colours."""
    made_up = ("COLUMNS", "LINES", "NO_COLOR", "TEXTUAL_THEME")
    return {name: value for name, value in os.environ.items() if name not in made_up} | {"LANG": "C.UTF-8"}


@pytest.fixture
def make(valkey_server: Server) -> Iterator[MakeRedisBroker]:
    maker = MakeRedisBroker(valkey_server)
    maker().enqueue([queued(number, queue="thumbnails") for number in range(7)])
    yield maker
    maker.close()


@pytest.fixture
def open_terminal() -> Iterator[Callable[[int, int], Terminal]]:
    opened: list[Terminal] = []

    def open_one(width: int, height: int) -> Terminal:
        opened.append(Terminal(width, height))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


def test_it_starts_and_ends(make: MakeRedisBroker, open_terminal: Callable[[int, int], Terminal]) -> None:
    """At 80x24 the home screen fills the terminal; q ends it with exit code 0 and gives the terminal back."""
    terminal = open_terminal(80, 24)
    terminal.run(make.server, make.default_namespace)
    text = terminal.wait_for("● LIVE", "thumbnails", "RO", "8 Tasks", "q Quit")
    assert max(len(line) for line in text.splitlines()) <= 80
    terminal.tmux("send-keys", "q")
    terminal.wait_for("ended-with-0")
    terminal.type("echo the-shell-is-$((40+2))")
    terminal.wait_for("the-shell-is-42")


def test_a_small_terminal(make: MakeRedisBroker, open_terminal: Callable[[int, int], Terminal]) -> None:
    """At 60x15 name, depth and age are still there; ctrl+c ends it with 130."""
    terminal = open_terminal(60, 15)
    terminal.run(make.server, make.default_namespace, "--ascii", "--no-color", "--no-mouse")
    text = terminal.wait_for("* LIVE", "thumbnails", "DEPTH", "OLDEST")
    assert "TREND" not in text
    assert text.isascii()
    terminal.tmux("send-keys", "C-c")
    terminal.wait_for("ended-with-130")


def test_under_the_prompt(make: MakeRedisBroker, open_terminal: Callable[[int, int], Terminal]) -> None:
    """Inline it draws under the prompt, and its last frame stays when it has ended."""
    terminal = open_terminal(80, 24)
    terminal.type("echo before-it")
    terminal.run(make.server, make.default_namespace, "--inline")
    # The command line may be so long that it scrolls what stood before it off the screen.
    terminal.wait_for("before-it", "● LIVE", "thumbnails", scrolled=20)
    terminal.tmux("send-keys", "q")
    terminal.wait_for("before-it", "thumbnails", "ended-with-0", scrolled=20)


def test_a_signal_ends_it(make: MakeRedisBroker, open_terminal: Callable[[int, int], Terminal]) -> None:
    """SIGTERM ends it and leaves the terminal as it was."""
    terminal = open_terminal(80, 24)
    terminal.run(make.server, make.default_namespace)
    terminal.wait_for("thumbnails")
    os.kill(terminal.child(), signal.SIGTERM)
    terminal.wait_for("ended-with-143")


def test_a_closed_terminal_ends_it(
    make: MakeRedisBroker, open_terminal: Callable[[int, int], Terminal]
) -> None:
    """When the terminal is closed the process ends."""
    terminal = open_terminal(80, 24)
    terminal.run(make.server, make.default_namespace)
    terminal.wait_for("thumbnails")
    process = Path(f"/proc/{terminal.child()}")
    terminal.close()
    wait_until(
        lambda: not process.exists() or "Z" in re.findall(r"\) (\w) ", (process / "stat").read_text()),
        "the process ends",
    )


def test_standard_error_elsewhere(
    make: MakeRedisBroker, open_terminal: Callable[[int, int], Terminal], tmp_path: Path
) -> None:
    """With standard error in a file there is no screen: it ends with exit code 2 and says why, here and
    there.
    """
    terminal, log = open_terminal(80, 24), tmp_path / "err.log"
    terminal.run(make.server, make.default_namespace, f"2>{log}")
    terminal.wait_for("ended-with-2", "drawn on standard error", "--once")
    assert "drawn on standard error" in log.read_text()


def test_what_is_wrong_with_the_command_line(
    make: MakeRedisBroker, open_terminal: Callable[[int, int], Terminal]
) -> None:
    """A theme that does not exist is told with those that do, before there is a screen."""
    terminal = open_terminal(80, 24)
    terminal.run(make.server, make.default_namespace, "--theme", "nothing")
    terminal.wait_for("ended-with-2", "is none of", "textual-light")
