"""Servers and clients as they are: users without rights on channels, pools of a few connections."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio

from spinach import Batch, Engine, RedisBroker
from spinach.exc import BrokerUnavailable
from tests.servers import Server
from tests.waiting import wait_until


@pytest.fixture
def namespace(valkey_server: Server) -> Iterator[str]:
    made = f"rights-{uuid4().hex[:8]}"
    yield made
    broker = RedisBroker(valkey_server.client())
    broker.namespace = made
    broker.flush()


def note_into(ran: list[int], client: Any, namespace: str) -> Engine:
    engine = Engine(RedisBroker(client), namespace=namespace)
    engine.task(ran.append, name="note")
    return engine


@pytest.mark.parametrize("kind", ["valkey_server", "redis70_server", "redis62_server"])
@pytest.mark.parametrize("rights", ["allkeys +@all resetchannels", "allkeys allchannels +@all -subscribe"])
def test_without_notifications_an_idle_worker_polls(
    request: pytest.FixtureRequest, namespace: str, rights: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may not subscribe: jobs start within two seconds, and one line names effect and remedy."""
    server = request.getfixturevalue(kind)
    user = f"user-{uuid4().hex[:8]}"
    with server.client() as admin:
        admin.execute_command(
            "ACL", "SETUSER", user, "on", "nopass", "reset", "on", "nopass", *rights.split()
        )
    ran: list[int] = []
    client = server.client(username=user, password="any")
    engine = note_into(ran, client, namespace)
    engine.start_workers(1, block=False)
    try:
        for number in range(3):
            engine.schedule("note", number)
            # 1.5 s on an idle machine; without polling, a minute.
            wait_until(lambda number=number: number in ran, within=10)  # type: ignore[misc]
    finally:
        engine.stop_workers()
        with server.client() as admin:
            admin.execute_command("ACL", "DELUSER", user)
    lines = [record.getMessage() for record in caplog.records if getattr(record, "action", "") == "polling"]
    assert len(lines) == 1
    assert "every 1.5 s" in lines[0]
    assert f"ACL SETUSER <user> +subscribe +unsubscribe '&{namespace}/_notifications'" in lines[0]


def test_a_server_without_subscribe_is_polled(
    make_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    """A managed server or a proxy may not have the command at all."""
    ran: list[int] = []
    client = make_server("redis70", "--rename-command", "SUBSCRIBE", "").client()
    engine = note_into(ran, client, "plain")
    engine.start_workers(1, block=False)
    try:
        for number in range(3):
            engine.schedule("note", number)
            wait_until(lambda number=number: number in ran, within=10)  # type: ignore[misc]
    finally:
        engine.stop_workers()
    (line,) = [record.getMessage() for record in caplog.records if getattr(record, "action", "") == "polling"]
    assert "refuses SUBSCRIBE" in line


def test_a_server_without_free_connections_is_told(make_server: Callable[..., Server]) -> None:
    """The error names the limit; workers that are connected go on."""
    server = make_server("valkey", "--maxclients", "10")
    ran: list[int] = []
    engine = note_into(ran, server.client(), "full")
    engine.start_workers(1, block=False)
    others = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
    try:
        late = Engine(RedisBroker(server.client(), enqueue_job_max_retries=0), namespace="full")
        late.task(print, name="print")
        with pytest.raises(BrokerUnavailable, match="raise maxclients"):
            late.schedule("print")
        engine.schedule("note", 1)
        wait_until(lambda: ran == [1])
    finally:
        for other in others:
            other.close()
        engine.stop_workers()


@pytest.mark.parametrize(
    "client",
    [
        redis.asyncio.Redis(), redis.asyncio.RedisCluster(host="127.0.0.1"), "redis://localhost",
        redis.ConnectionPool(), redis,
    ],
    ids=lambda client: type(client).__name__,
)  # fmt: skip
def test_what_is_no_client_is_refused(client: Any) -> None:
    """At once, and not at the first job."""
    with pytest.raises(TypeError, match=r"redis\.Redis\.from_url"):
        RedisBroker(client)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("pool", [redis.ConnectionPool, redis.BlockingConnectionPool])
def test_small_pools_work(
    valkey_server: Server, namespace: str, pool: Any, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Worker and client share a pool of few connections: all jobs run, whoever asks at the same time."""
    ran: list[int] = []
    client = redis.Redis(
        connection_pool=pool(host="127.0.0.1", port=valkey_server.port, max_connections=size)
    )
    engine = note_into(ran, client, namespace)
    engine.start_workers(4, block=False)
    try:
        batch = Batch()
        for number in range(200):
            batch.schedule("note", number)
        engine.schedule_batch(batch)
        for number in range(200, 210):
            engine.schedule("note", number)
        wait_until(lambda: sorted(ran) == list(range(210)))
    finally:
        engine.stop_workers()
    assert engine.stopped_cleanly
    said = [record for record in caplog.records if getattr(record, "action", "") == "polling"]
    assert len(said) == (1 if size == 1 else 0)


def test_a_pool_that_stays_empty_is_told(
    valkey_server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application keeps every connection: the error says so, and not that the URL may be wrong."""
    monkeypatch.setattr("spinach.brokers.redis.connection._POOL_SECONDS", 0.1)
    client = valkey_server.client(max_connections=1)
    kept = client.connection_pool.get_connection()
    engine = Engine(RedisBroker(client, enqueue_job_max_retries=0), namespace=namespace)
    engine.task(print, name="print")
    with pytest.raises(BrokerUnavailable, match="larger max_connections") as told:
        engine.schedule("print")
    assert "URL" not in str(told.value)
    client.connection_pool.release(kept)
    engine.schedule("print")


@pytest.mark.parametrize("options", [{"foo": 1}, {"protocol": 9}, {"ssl_cert_reqs": "none"}])
def test_options_that_only_fail_at_the_first_connection(
    valkey_server: Server, namespace: str, options: dict[str, Any]
) -> None:
    """redis-py checks some options when it connects: that is an error of the broker, not a TypeError."""
    pool = redis.ConnectionPool(host="127.0.0.1", port=valkey_server.port, **options)
    engine = Engine(RedisBroker(redis.Redis(connection_pool=pool)), namespace=namespace)
    engine.task(print, name="print")
    with pytest.raises(BrokerUnavailable, match=r"cannot connect|no connection"):
        engine.schedule("print")
