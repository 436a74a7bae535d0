"""Engines on each kind of broker, and a recorder of their signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from spinach import Engine, MemoryBroker, signals
from spinach.brokers.memory import MemoryStore
from tests.servers import Server


class Engines:
    """Makes engines that share a store; stops and flushes them at the end."""

    def __init__(self, kind: str, server: Server | None) -> None:
        self.kind = kind
        self.server = server
        self.store = MemoryStore()
        self.namespace = f"engine-{uuid4().hex[:8]}"
        self._made: list[Engine] = []

    def __call__(self, namespace: str | None = None, **options: Any) -> Engine:
        engine = Engine(self.broker(**options), namespace=namespace or self.namespace)
        self._made.append(engine)
        return engine

    def broker(self, **options: Any) -> Any:
        if self.server is None:
            return MemoryBroker(store=self.store)
        from spinach import RedisBroker

        return RedisBroker(self.server.client(**options))

    def close(self) -> None:
        for engine in self._made:
            engine.stop_workers()
            engine._broker.flush()


@pytest.fixture(params=["memory", "valkey"])
def engines(request: pytest.FixtureRequest) -> Iterator[Engines]:
    server = None if request.param == "memory" else request.getfixturevalue("valkey_server")
    made = Engines(request.param, server)
    yield made
    made.close()


@pytest.fixture
def redis_engines(valkey_server: Server) -> Iterator[Engines]:
    made = Engines("valkey", valkey_server)
    yield made
    made.close()


class Recorder:
    """Remembers every signal of one namespace, in order."""

    names = tuple(name for name in signals.__all__ if name.islower())

    def __init__(self, namespace: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._connected = []
        for name in self.names:
            signal = getattr(signals, name)
            receiver = self._receiver(name)
            signal.connect(receiver, sender=namespace, weak=False)
            self._connected.append((signal, receiver))

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(_sender: str, **facts: Any) -> None:
            job = facts.get("job")
            if job is not None:
                facts["seen_status"] = job.status
            self.events.append((name, facts))

        return receive

    def of(self, task: str) -> list[str]:
        """Return the names of the signals about one task, in order.

        The thread that schedules tells of it when the worker may be at work already; its word comes first
        here.
        """
        names = [
            name for name, facts in list(self.events) if "job" in facts and facts["job"].task_name == task
        ]
        return (
            sorted(names, key=lambda name: name != "job_queued") if names.count("job_queued") == 1 else names
        )

    def facts(self, name: str) -> list[dict[str, Any]]:
        """Return the payloads of one signal."""
        return [facts for event, facts in list(self.events) if event == name]

    def close(self) -> None:
        for signal, receiver in self._connected:
            signal.disconnect(receiver)


@pytest.fixture
def recorder(engines: Engines) -> Iterator[Recorder]:
    recorder = Recorder(engines.namespace)
    yield recorder
    recorder.close()
