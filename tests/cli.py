"""Runs the command `spinach` as a process of its own, in a folder with an application in it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from spinach import Engine, RedisBroker
from tests.servers import Server
from tests.waiting import PATIENCE_SECONDS

REPOSITORY = Path(__file__).resolve().parents[1]

APPLICATION = """
    import os
    import threading
    import time

    import redis

    from spinach import Engine, RedisBroker

    engine = Engine(RedisBroker(redis.Redis.from_url(os.environ["URL"])), namespace=os.environ["NAMESPACE"])
    not_an_engine = 3


    def make_engine():
        return engine


    @engine.task(name="ok")
    def ok(secret=None):
        pass


    @engine.task(name="fails")
    def fails():
        raise ValueError("no such \\x1b[31morder\\nforged line")


    @engine.task(name="retried", max_retries=1)
    def retried():
        raise KeyError("gone")


    @engine.task(name="async-ok", queue="other")
    async def async_ok():
        pass


    @engine.task(name="waits")
    def waits(path):
        open(path, "w").close()
        while not os.path.exists(path + ".go"):
            time.sleep(0.01)
"""


class Cli:
    """Runs `spinach` in a folder with an application in it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.namespace = f"cli-{uuid4().hex[:8]}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
            "PYTHONPATH": str(REPOSITORY),
            "URL": server.url,
            "NAMESPACE": self.namespace,
        }
        (folder / "app.py").write_text(textwrap.dedent(APPLICATION))
        self.client = server.client()
        self.engine = Engine(RedisBroker(self.client), namespace=self.namespace)
        for name, queue, retries in (
            ("ok", None, 0), ("fails", None, 0), ("retried", None, 1), ("async-ok", "other", 0),
            ("waits", None, 0),
        ):  # fmt: skip
            self.engine.task(name=name, queue=queue, max_retries=retries)(lambda *args, **kwargs: None)
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, under: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start the command, as the argument of another one where `under` names one."""
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                [*under, sys.executable, "-m", "spinach_ops.worker.cli", *arguments],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                text=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def run(self, *arguments: str) -> int:
        return self.start(*arguments).wait(PATIENCE_SECONDS)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.engine._broker.flush()
        self.client.close()


@pytest.fixture
def cli(tmp_path: Path, valkey_server: Server) -> Iterator[Cli]:
    made = Cli(tmp_path, valkey_server)
    yield made
    made.close()
