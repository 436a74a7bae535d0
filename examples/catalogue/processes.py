"""The demo's child processes: an embedded server and the workers. All end with their block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from examples.shared.child_process import ChildProcess, command_of
from examples.shared.server import start_server
from spinach import const

from .settings import CLOCK_QUEUE, FILE_WORKERS, THREADS


class Worker(ChildProcess):
    """One worker process, started by the command that a person uses.

    Args:
        name: Name of the process and of its log file.
        queue: The queue it serves.
        threads: How many jobs it runs at once.
        data: Folder for the log.
        environment: Variables with the addresses of server and files.
    """

    def __init__(self, name: str, queue: str, threads: int, data: Path, environment: dict[str, str]) -> None:
        self.does = f"{threads} threads, queue {queue}" if threads > 1 else f"1 thread, queue {queue}"
        self.queue = queue
        command = [
            *command_of("spinach", "spinach_ops.worker.cli"),
            "worker",
            "examples.catalogue.app:engine",
        ]
        command += ["--queue", queue, "--threads", str(threads), "--metrics-port", "0"]
        super().__init__(name, command, data, environment)


@contextmanager
def running_server(data: Path) -> Iterator[str]:
    """Run a server with an append-only file; yield its URL."""
    with ExitStack() as started:

        def run(child: ChildProcess) -> ChildProcess:
            started.callback(child.stop)
            return child

        yield start_server(data, run, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


@contextmanager
def running_workers(data: Path, url: str, root: Path) -> Iterator[list[Worker]]:
    """Run the workers; those that still run at the end are killed."""
    environment = {"SPINACH_REDIS_URL": url, "CATALOGUE_DATA": str(data), "CATALOGUE_ROOT": str(root)}
    wanted = [(f"worker-{number}", const.DEFAULT_QUEUE, THREADS) for number in range(1, FILE_WORKERS + 1)]
    wanted.append(("clock", CLOCK_QUEUE, 1))
    workers: list[Worker] = []
    with ExitStack() as started:
        for name, queue, threads in wanted:
            worker = Worker(name, queue, threads, data, environment)
            started.callback(worker.kill)
            workers.append(worker)
        yield workers
