"""Brokers to hold to the contract: of each kind a factory whose brokers share one store."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from uuid import uuid4

import pytest
import redis

from spinach.brokers.base import Broker, WorkerProfile
from spinach.brokers.memory import MemoryBroker, MemoryStore
from spinach.brokers.memory.store import StoredJob
from spinach.testing import FakeClock
from tests.servers import SERVER_KINDS, Server
from tests.waiting import PATIENCE_SECONDS, wait_until

T = TypeVar("T")

LONG_AGO = 1_000_000_000.0  # 2001


class MakeBroker(ABC):
    """Makes brokers that share one store, and does to the store what no broker would.

    ``make_broker()`` is a client, ``make_broker.worker()`` one that joined.
    """

    def __init__(self) -> None:
        self.default_namespace = f"contract-{uuid4().hex[:8]}"
        self._brokers: list[Broker] = []

    def __call__(self, namespace: str | None = None) -> Broker:
        broker = self._new()
        broker.namespace = namespace or self.default_namespace
        broker.start()
        self._brokers.append(broker)
        return broker

    def worker(self, queue: str = "q", *, slots: int = 8, namespace: str | None = None) -> Broker:
        broker = self(namespace)
        broker.join(WorkerProfile(queue, slots, kind="TestWorkers", task_names=("task",)))
        return broker

    def until(self, condition: Callable[[], T], *, within: float = PATIENCE_SECONDS) -> T:
        """Let time pass until a condition holds; return what it returned."""
        return wait_until(condition, within=within, pause=self._let_time_pass)

    def close(self) -> None:
        """Remove what the test left."""
        for broker in self._brokers:
            broker.flush()
            broker.stop()

    @abstractmethod
    def _new(self) -> Broker: ...

    @abstractmethod
    def _let_time_pass(self) -> None: ...

    @abstractmethod
    def expire(self, worker: Broker) -> None:
        """Make a worker look as if it had not been heard of for years."""

    @abstractmethod
    def push_raw(self, queue: str, raw: bytes) -> None:
        """Put bytes into a queue that no broker would write."""

    @abstractmethod
    def set_next_run(self, task_name: str, timestamp: float) -> None:
        """Move the next run of a periodic task, as if the workers had been away."""


class MakeMemoryBroker(MakeBroker):
    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = MemoryStore(clock=self.clock)

    def _new(self) -> Broker:
        return MemoryBroker(store=self.store)

    def _let_time_pass(self) -> None:
        self.clock.advance(0.05)

    def expire(self, worker: Broker) -> None:
        with self.store.lock:
            self.store.namespace(worker.namespace).workers[worker.worker_id]["last_seen_at"] = LONG_AGO

    def push_raw(self, queue: str, raw: bytes) -> None:
        with self.store.lock:
            self.store.namespace(self.default_namespace).push(
                StoredJob(raw, "", queue, "", last_attempt=False)
            )

    def set_next_run(self, task_name: str, timestamp: float) -> None:
        with self.store.lock:
            self.store.namespace(self.default_namespace).periodic[task_name].next_run = timestamp


class MakeRedisBroker(MakeBroker):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.redis = server.client()
        self._clients: list[redis.Redis] = []

    def _new(self) -> Broker:
        from spinach.brokers.redis import RedisBroker  # the memory variants need no Redis

        client = self.server.client()
        self._clients.append(client)
        broker: Broker = RedisBroker(client)
        return broker

    def _let_time_pass(self) -> None:
        threading.Event().wait(0.01)

    def close(self) -> None:
        super().close()
        for client in (self.redis, *self._clients):
            client.close()

    def expire(self, worker: Broker) -> None:
        key, worker_id = f"{worker.namespace}/_all_brokers_hash", worker.worker_id
        entry: dict[str, Any] = json.loads(self.redis.hget(key, worker_id) or "{}")
        entry["last_seen_at"] = int(LONG_AGO)
        self.redis.hset(key, worker_id, json.dumps(entry))
        self.redis.zadd(f"{worker.namespace}/_all_brokers_zset", {worker_id: int(LONG_AGO)})

    def push_raw(self, queue: str, raw: bytes) -> None:
        self.redis.rpush(f"{self.default_namespace}/{queue}", raw)

    def set_next_run(self, task_name: str, timestamp: float) -> None:
        self.redis.zadd(f"{self.default_namespace}/_periodic_tasks_queue", {task_name: timestamp})


@pytest.fixture(params=["memory", *SERVER_KINDS])
def make_broker(request: pytest.FixtureRequest) -> Iterator[MakeBroker]:
    if request.param == "memory":
        maker: MakeBroker = MakeMemoryBroker()
    else:
        module = pytest.importorskip("spinach.brokers.redis")
        if not hasattr(module, "RedisBroker"):
            pytest.skip("spinach.brokers.redis has no RedisBroker yet")
        maker = MakeRedisBroker(request.getfixturevalue(f"{request.param}_server"))
    yield maker
    maker.close()
