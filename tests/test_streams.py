"""Standard streams that are closed, full, or without a reader: the worker runs jobs, commands end as told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spinach_ops.cli.streams import drop_what_cannot_be_written
from spinach_ops.commands import main as commands
from tests.cli import REPOSITORY, Cli
from tests.servers import Server
from tests.waiting import PATIENCE_SECONDS, wait_until

CLOSED = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")
FULL = (">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full")
NO_READER = ("| true", "2> >(true)", "2>&1 | true")
STREAMS = pytest.mark.parametrize("streams", [*CLOSED, *FULL, *NO_READER])

TALKATIVE = """
import logging, os, subprocess, sys

import redis

from spinach import Engine, RedisBroker

engine = Engine(RedisBroker(redis.Redis.from_url(os.environ["URL"])), namespace=os.environ["NAMESPACE"])


@engine.task(name="talks", max_retries=0)
def talks():
    for _ in range(3):
        print("to stdout" * 100, flush=True)
        print("to stderr" * 100, file=sys.stderr, flush=True)
        logging.getLogger("app").warning("to the log")
    subprocess.run(["echo", "to the stdout of a child"])
    with open("talked", "a") as file:
        file.write("whole\\n")
"""


def run_in_shell(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    """Run a shell line whose first program decides the exit code; return code, stdout, stderr."""
    script = f"{command}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout, ended.stderr


@STREAMS
def test_jobs_run_whatever_the_streams_are(cli: Cli, streams: str) -> None:
    """Neither the worker's lines nor what a job prints keeps the job from running; the worker ends with 0."""
    (cli.folder / "talkative.py").write_text(TALKATIVE)
    cli.engine.task(name="talks")(lambda: None)
    cli.engine.schedule("talks")
    cli.engine.schedule("talks")
    command = (
        f"{sys.executable} -m spinach_ops.worker.cli worker talkative:engine --burst --threads 1 {streams}"
    )
    code, _, err = run_in_shell(command, cli.folder, cli.environment)
    assert code == 0, err
    # The second job's child did not write into a file that took the number of a closed stream.
    assert (cli.folder / "talked").read_text() == "whole\n" * 2
    assert cli.engine._broker.queued_jobs("spinach", 10) == []


@STREAMS
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("spinach_ops.worker.cli --help", 0),
        ("spinach_ops.worker.cli worker nowhere:engine", 2),
        ("spinach_ops.commands.main status --redis URL", 0),
        ("spinach_ops.commands.main status --redis redis://127.0.0.1:1", 3),
        ("spinach_ops.commands.main statux", 2),
        ("spinach_ops.top.start --once --json --redis URL", 0),
        ("spinach_ops.top.start --once --redis URL --fail-if workers.connected<1", 1),
        ("spinach_ops.top.start --snapshot 80x24 --redis URL", 0),
    ],
)
def test_commands_end_as_documented(
    valkey_server: Server, tmp_path: Path, command: str, code: int, streams: str
) -> None:
    """The exit code is the usual one, or 3 where the output of a command that has one cannot be written."""
    line = f"{sys.executable} -m {command.replace('URL', valkey_server.url).replace('<1', chr(92) + '<1')}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended, _, err = run_in_shell(f"{line} {streams}", tmp_path, environment)
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    if streams.startswith(">/dev/full") and code in (0, 1) and "--help" not in command:
        assert ended == 3
    elif streams.endswith("| true") and code == 1:
        assert ended in (0, 1)  # the reader may end first: it has seen enough
    else:
        assert ended == code


@pytest.mark.parametrize("kind", ["--threads", "--asyncio"])
@pytest.mark.parametrize("state", ["hangs", "broken", "full"])
def test_second_signal_ends_the_worker_whatever_stderr_is(cli: Cli, kind: str, state: str) -> None:
    """The second signal ends the process with 130, also where nobody reads what it says."""
    flag = cli.folder / "running"
    reading, writing = os.pipe()
    stderr = os.open("/dev/full", os.O_WRONLY) if state == "full" else writing
    worker = subprocess.Popen(
        [sys.executable, "-m", "spinach_ops.worker.cli", "worker", "app:engine", kind, "2"],
        cwd=cli.folder, env=cli.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=stderr,
    )  # fmt: skip
    try:
        cli.engine.schedule("waits", str(flag))
        wait_until(flag.exists)
        if state == "hangs":
            _fill(writing)
        elif state == "broken":
            os.close(reading)
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: not _accepts_jobs(cli, worker))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_SECONDS) == 130
    finally:
        worker.kill()
        worker.wait()


def _fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    try:
        while True:
            os.write(pipe, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(pipe, True)


def _accepts_jobs(cli: Cli, worker: subprocess.Popen[bytes]) -> bool:
    # The handler of the first signal runs between two bytecodes: ask the kernel whether it is still pending.
    status = Path(f"/proc/{worker.pid}/status").read_text()
    pending = [line.split()[1] for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
    return any(int(mask, 16) for mask in pending)


def test_replaced_streams_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """In a program that replaced `sys.stderr`, as test runners do, the commands write there."""
    replaced = sys.stderr
    drop_what_cannot_be_written("stderr")
    assert sys.stderr is replaced
    assert commands.main(["doctor", "--redis", "redis://127.0.0.1:1"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err
