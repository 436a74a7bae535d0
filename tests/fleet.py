"""A fleet for tests: real worker processes of ours and of the published package, their journal, their end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from spinach import Engine, RedisBroker
from tests.apps.journal import Journal
from tests.apps.tasks import make_tasks
from tests.servers import Server
from tests.waiting import PATIENCE_SECONDS, wait_until

Line = dict[str, Any]

_ROOT = Path(__file__).parent.parent
_APPS = Path(__file__).parent / "apps"
# Shown when a wait ends in vain, from each worker's log.
_LOG_TAIL = 3000


class Worker:
    """One worker process."""

    def __init__(self, process: subprocess.Popen[bytes], who: str, log: Path) -> None:
        self.process = process
        self.who = who
        self.log_path = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(20)

    def stop(self, within: float = PATIENCE_SECONDS) -> int:
        """Stop gracefully; return the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(within)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")


class Fleet:
    """Workers and clients of one namespace on one server.

    Args:
        server: The server; `port` may be that of a proxy before it.
        folder: Where journal and logs go.
        old_python: Interpreter that has the published package, where a test mixes.
    """

    def __init__(self, server: Server, folder: Path, old_python: Path | None = None) -> None:
        self.server = server
        self.folder = folder
        self.old_python = old_python
        self.namespace = f"fleet-{uuid4().hex[:8]}"
        self.redis = server.client()
        self.journal_path = folder / f"journal-{self.namespace}"
        self.journal_path.touch()
        self.workers: list[Worker] = []
        self._clients: list[Any] = []

    # --- processes -------------------------------------------------------------------------------

    def settings(self, who: str, **options: Any) -> str:
        given = {
            "port": self.server.port, "namespace": self.namespace, "journal": str(self.journal_path),
            "who": who,
            **options,
        }  # fmt: skip
        return json.dumps(given)

    def ours(self, **options: Any) -> Worker:
        """Start a worker process of ours and wait until it is registered."""
        return self._start("ours", sys.executable, options)

    def old(self, **options: Any) -> Worker:
        """Start a worker process of the published package and wait until it is registered."""
        return self._start("old", str(self.old_python), options)

    def _start(self, who: str, python: str, options: dict[str, Any]) -> Worker:
        ready = options.pop("wait", True)
        before = set(self.registered())
        log = self.folder / f"{who}-{len(self.workers)}.log"
        command = [python, str(_APPS / "worker.py"), self.settings(who, **options)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=_environment(who)
            )
        worker = Worker(process, who, log)
        self.workers.append(worker)
        if ready:
            wait_until(
                lambda: set(self.registered()) - before or process.poll() is not None,
                lambda: f"the worker registers\n{worker.log()[-_LOG_TAIL:]}",
            )
        return worker

    def client(self, who: str, entries: Iterable[Line]) -> list[str]:
        """Schedule through a client process; return the job ids."""
        python = str(self.old_python) if who == "old" else sys.executable
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        done = subprocess.run(
            [python, str(_APPS / "client.py"), self.settings(who)],
            input=lines, capture_output=True, text=True, timeout=60, env=_environment(who), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return [name for line in done.stdout.splitlines() for name in json.loads(line)]

    def engine(self, **options: Any) -> Engine:
        """Return a client engine of ours in this process, with the tasks of the workers."""
        client = self.server.client(socket_timeout=10)
        self._clients.append(client)
        engine = Engine(RedisBroker(client, **options), namespace=self.namespace)
        engine.attach_tasks(make_tasks(Journal(str(self.journal_path), "client")))
        return engine

    def close(self) -> None:
        """End every process and remove what is left."""
        for worker in self.workers:
            worker.signal(signal.SIGKILL)
        for worker in self.workers:
            worker.process.wait(20)
        for client in (self.redis, *self._clients):
            client.close()

    # --- journal ---------------------------------------------------------------------------------

    def lines(self, kind: str | None = None, **facts: Any) -> list[Line]:
        """Return the lines of the journal with these facts."""
        whole = self.journal_path.read_bytes()
        # A process that was killed in the middle of a write leaves no half line: each is one write.
        lines = [json.loads(line) for line in whole.splitlines()]
        wanted = {**facts, **({"kind": kind} if kind else {})}
        return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]

    def starts(self) -> dict[str, int]:
        """Return how often the function started, by tag."""
        counts: dict[str, int] = {}
        for line in self.lines("start"):
            counts[line["tag"]] = counts.get(line["tag"], 0) + 1
        return counts

    def ends(self) -> set[str]:
        """Return the tags whose function returned."""
        return {line["tag"] for line in self.lines("end")}

    def wait_for_ends(self, tags: Iterable[str], within: float = PATIENCE_SECONDS) -> None:
        """Wait until the function of every tag has returned."""
        wanted = set(tags)

        def what_is_missing() -> str:
            missing = sorted(wanted - self.ends())
            count = f"{len(missing)} of {len(wanted)} jobs did not end"
            return f"{count}, among them {missing[:10]}\n{self.describe()}"

        wait_until(lambda: wanted <= self.ends(), what_is_missing, within)

    def describe(self) -> str:
        """Return what a person needs to see when a test fails: keys, and the ends of the logs."""
        parts = [f"{key.decode(errors='replace')}: {self._size(key)}" for key in self.keys()]
        parts += [f"--- {worker.who} {worker.pid}\n{worker.log()[-_LOG_TAIL:]}" for worker in self.workers]
        return "\n".join(parts)

    # --- Redis -----------------------------------------------------------------------------------

    def key(self, name: str) -> str:
        return f"{self.namespace}/{name}"

    def keys(self) -> list[bytes]:
        return sorted(self.redis.scan_iter(match=f"{self.namespace}/*", count=1000))

    def _size(self, key: bytes) -> object:
        kind = self.redis.type(key)
        size = {b"list": "llen", b"hash": "hlen", b"zset": "zcard", b"set": "scard", b"string": "strlen"}
        return getattr(self.redis, size[kind])(key) if kind in size else kind

    def registered(self) -> list[str]:
        return [name.decode(errors="replace") for name in self.redis.hkeys(self.key("_all_brokers_hash"))]

    def registered_if_readable(self) -> list[str]:
        """Return the registered workers, none while the registry's key holds another type."""
        try:
            return self.registered()
        except redis.ResponseError:
            return []

    def registration_of(self, worker: Worker) -> str:
        """Return the broker id of a worker of ours."""
        for name, text in self.redis.hgetall(self.key("_all_brokers_hash")).items():
            if f'"pid": {worker.pid},'.encode() in text:
                return str(name.decode())
        raise AssertionError(f"worker {worker.pid} is not registered")

    def make_look_dead(self, broker_id: str, seconds: int = 100_000) -> None:
        """Rewrite both entries of a worker as if it had not been heard of for long."""
        hash_key = self.key("_all_brokers_hash")
        entry = json.loads(self.redis.hget(hash_key, broker_id) or "{}")
        entry["last_seen_at"] = int(time.time()) - seconds
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hset(hash_key, broker_id, json.dumps(entry))
            pipe.zadd(self.key("_all_brokers_zset"), {broker_id: entry["last_seen_at"]})
            pipe.execute()

    def running(self) -> dict[str, dict[str, bytes]]:
        """Return what every worker holds: worker id -> job id -> text."""
        prefix = self.key("_running-jobs-on-broker-")
        return {
            key.decode().removeprefix(prefix): {
                name.decode(errors="replace"): text for name, text in self.redis.hgetall(key).items()
            }
            for key in self.redis.scan_iter(match=prefix + "*", count=1000)
            if self.redis.type(key) == b"hash"
        }

    def slots(self) -> dict[str, bytes]:
        raw = self.redis.hgetall(self.key("_current_concurrency"))
        return {name.decode(): value for name, value in raw.items()}

    def news(self) -> None:
        """Make every worker look again; an old one also judges who is dead."""
        self.redis.publish(self.key("_notifications"), "")


def _environment(who: str) -> dict[str, str]:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    if who == "ours":
        environment["PYTHONPATH"] = str(_ROOT)
    return environment


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Make fleets that end with the test."""
    with contextlib.ExitStack() as fleets:

        def make(server: Server, old_python: Path | None = None) -> Fleet:
            fleet = Fleet(server, tmp_path, old_python)
            fleets.callback(fleet.close)
            return fleet

        yield make
