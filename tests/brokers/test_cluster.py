"""Redis Cluster: a namespace with a hash tag works unchanged, one without is refused."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis

from spinach import Batch, Engine, RedisBroker
from spinach.brokers.base import WorkerProfile
from spinach.exc import BrokerError
from tests.servers import Server, free_port
from tests.waiting import wait_until


@pytest.fixture
def cluster(make_server: Any) -> Server:
    """A cluster of one node that has all slots."""
    server: Server = make_server("valkey", "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    client = server.client()
    client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: "ok" in str(client.execute_command("CLUSTER INFO")["cluster_state"]))
    return server


def test_a_namespace_with_a_hash_tag_works(cluster: Server) -> None:
    """Jobs of every kind run on a cluster when the namespace keeps its keys in one slot."""
    client = redis.cluster.RedisCluster(host="127.0.0.1", port=cluster.port)
    engine = Engine(RedisBroker(client), namespace="{prod}")
    ran: list[int] = []
    lock = threading.Lock()

    @engine.task(name="task", max_retries=1, max_concurrency=2)
    def task(number: int) -> None:
        with lock:
            ran.append(number)

    engine._tasks.add(task, name="elsewhere", queue="elsewhere")
    batch = Batch()
    for number in range(50):
        batch.schedule("task", number)
    batch.schedule("elsewhere", 51)
    batch.schedule_at("task", datetime.now(timezone.utc) + timedelta(milliseconds=300), 50)
    engine.start_workers(4, block=False)
    engine.schedule_batch(batch)
    wait_until(lambda: len(ran) == 51)
    engine.stop_workers()
    assert sorted(ran) == list(range(51))
    assert not engine._broker.is_queue_empty("elsewhere")
    engine._broker.flush()
    assert engine._broker.is_queue_empty("elsewhere")
    client.close()


def test_a_snapshot_of_a_cluster(cluster: Server) -> None:
    """A snapshot reads a namespace on a cluster in the same round trips; live workers are counted by
    heartbeat.
    """
    client = redis.cluster.RedisCluster(host="127.0.0.1", port=cluster.port)
    broker, reader = RedisBroker(client), RedisBroker(client)
    engine = Engine(broker, namespace="{prod}")
    engine._tasks.add(lambda: None, name="task")
    reader.namespace = "{prod}"
    engine.schedule("task")
    broker.join(WorkerProfile("other", 1))
    first = reader.snapshot()
    second = reader.snapshot(known=first)
    assert (first.errors, second.errors) == ((), ())
    assert (second.costs.round_trips, second.connected) == (1, 1)
    assert [queue.depth for queue in second.queues if queue.name == "spinach"] == [1]
    broker.flush()
    client.close()


def test_a_namespace_without_a_hash_tag_is_refused(cluster: Server) -> None:
    """The error says what to name the namespace."""
    client = redis.cluster.RedisCluster(host="127.0.0.1", port=cluster.port)
    with pytest.raises(BrokerError, match=r"\{prod\}"):
        Engine(RedisBroker(client), namespace="prod")
    client.close()


def test_a_plain_client_of_a_cluster_is_told_what_to_do(cluster: Server) -> None:
    """Keys in several slots are refused by the server; the error names client and namespace to use."""
    engine = Engine(RedisBroker(cluster.client(), enqueue_job_max_retries=0), namespace="prod")
    engine._tasks.add(lambda: None, name="task")
    with pytest.raises(BrokerError, match="RedisCluster"):
        engine.schedule("task")
