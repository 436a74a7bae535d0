"""What workers and clients do when the primary becomes a replica, its address moves, or it is away for long.

Real servers, a real Sentinel, and a proxy that stands for a name or address that moves.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.exceptions import ResponseError
from redis.sentinel import MasterNotFoundError, Sentinel

from spinach import Engine, RedisBroker
from spinach.exc import BrokerUnavailable
from tests.fleet import Fleet
from tests.proxy import Proxy
from tests.servers import Server, binary_of, free_port
from tests.waiting import wait_until

REDIS = "spinach.brokers.redis"
MakeServer = Callable[..., Server]
KINDS = pytest.mark.parametrize("kind", ["valkey", "redis70", "redis62"])


class Application:
    """An engine with workers in this process, and a client; counts what ran."""

    def __init__(self, worker_client: Any, client: Any) -> None:
        self.namespace = f"failover-{uuid4().hex[:8]}"
        self.ran: list[int] = []
        self.worker = self.engine(worker_client)
        self.client = self.engine(client)

    def engine(self, client: Any, *, retries: int = 8) -> Engine:
        engine = Engine(RedisBroker(client, enqueue_job_max_retries=retries), namespace=self.namespace)
        engine.task(self.ran.append, name="note")
        return engine

    def run(self, number: int) -> None:
        """Schedule a job and wait until the worker ran it."""
        self.client.schedule("note", number)
        wait_until(lambda: number in self.ran, f"job {number} ran")


@pytest.fixture
def applications() -> Iterator[Callable[..., Application]]:
    made: list[Application] = []

    def make(*arguments: Any, **options: Any) -> Application:
        made.append(Application(*arguments, **options))
        return made[-1]

    yield make
    for application in made:
        application.worker.stop_workers()


@pytest.fixture
def proxies() -> Iterator[Callable[[int], Proxy]]:
    with contextlib.ExitStack() as stack:

        def make(port: int) -> Proxy:
            proxy = Proxy(port)
            stack.callback(proxy.close)
            return proxy

        yield make


def follow(replica: Server, primary: Server) -> None:
    """Make a server the replica of another, and wait until it has its data."""
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")


def promote(server: Server) -> None:
    with server.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")


# --- an address that moves -----------------------------------------------------------------------


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("connected", [True, False], ids=["that follows", "that is alone"])
def test_connections_to_a_demoted_primary_are_dropped(
    make_server: MakeServer, applications: Any, proxies: Any, kind: str, connected: bool
) -> None:
    """The old primary is a replica now, and its connections stay open: worker and client leave it.

    The old one may follow the new one, whose notifications it passes on, or an address where nobody is.
    """
    old, new = make_server(kind), make_server(kind)
    follow(new, old)
    proxy = proxies(old.port)
    application = applications(proxy.client(), proxy.client())
    application.worker.start_workers(2, block=False)
    application.run(1)
    promote(new)
    proxy.redirect(new.port)
    with old.client() as client:
        client.replicaof("127.0.0.1", new.port if connected else free_port())
    for number in range(2, 6):
        application.run(number)
    # An idle worker hears of the next job at once, so its subscription is at the new primary.
    with new.client() as client:
        wait_until(lambda: client.pubsub_numsub(f"{application.namespace}/notifications"))
        (_, listeners), *_ = client.pubsub_numsub(_channel(application))
        assert listeners >= 1
    assert application.worker._broker.get_all_brokers() != []


def _channel(application: Application) -> str:
    return application.worker._broker._session.keys.notifications  # type: ignore[attr-defined, no-any-return]


@KINDS
def test_a_replica_without_its_primary_is_left(
    make_server: MakeServer, applications: Any, proxies: Any, kind: str
) -> None:
    """A server that answers MASTERDOWN is left as one that answers READONLY."""
    server, other = make_server(kind), make_server(kind)
    proxy = proxies(server.port)
    application = applications(proxy.client(), proxy.client())
    application.worker.start_workers(1, block=False)
    application.run(1)
    with server.client() as client:
        client.config_set("replica-serve-stale-data", "no")
        client.replicaof("127.0.0.1", free_port())
    with pytest.raises(BrokerUnavailable, match="refuses"):
        application.engine(server.client(), retries=0).schedule("note", 9)
    proxy.redirect(other.port)
    application.run(2)


# --- Sentinel ------------------------------------------------------------------------------------


@pytest.fixture
def sentinel(tmp_path: Path, make_server: MakeServer) -> Iterator[tuple[Sentinel, Server, Server]]:
    """A primary, its replica, and a Sentinel that watches both."""
    primary, replica = make_server(), make_server()
    follow(replica, primary)
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor prod 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds prod 500\nsentinel failover-timeout prod 3000\n"
    )
    with (tmp_path / "sentinel.log").open("w") as log:
        process = subprocess.Popen(
            [binary_of("valkey"), str(configuration), "--sentinel"], stdout=log, stderr=log
        )
    manager = Sentinel([("127.0.0.1", port)], socket_timeout=5)

    try:
        wait_until(lambda: primary_of(manager) == primary.port)
        wait_until(lambda: len(manager.discover_slaves("prod")) == 1)
        yield manager, primary, replica
    finally:
        manager.close()
        process.kill()
        process.wait()


def primary_of(manager: Sentinel) -> int | None:
    """Return the port that the Sentinel gives for the primary, None while it knows none."""
    try:
        port: int = manager.discover_master("prod")[1]
    except MasterNotFoundError:
        return None
    return port


def fails_over(manager: Sentinel) -> bool:
    """Ask the Sentinel for a failover; return whether it began one."""
    try:
        manager.sentinels[0].execute_command("SENTINEL", "FAILOVER", "prod")
    except ResponseError:
        return False
    return True


@pytest.mark.parametrize("how", ["killed", "asked"])
def test_a_failover_by_sentinel(
    sentinel: tuple[Sentinel, Server, Server], applications: Any, how: str
) -> None:
    """The worker goes on at the new primary, and its address is the one that people are shown."""
    manager, primary, replica = sentinel
    application = applications(manager.master_for("prod"), manager.master_for("prod"))
    broker = application.worker.broker
    assert broker.address == "the primary of 'prod'"
    assert broker.endpoint is None
    application.worker.start_workers(2, block=False)
    application.run(1)
    assert broker.address == f"127.0.0.1:{primary.port}"
    if how == "killed":
        primary.kill()
    else:
        wait_until(lambda: fails_over(manager), "the Sentinel knows the replica well enough")
    wait_until(lambda: primary_of(manager) == replica.port)
    application.run(2)
    # The old primary serves its connections until the Sentinel demotes it.
    wait_until(lambda: broker.endpoint == ("127.0.0.1", replica.port))
    application.run(3)
    assert broker.address == f"127.0.0.1:{replica.port}"


# --- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.5, None], ids=["own timeout", "no timeout"])
def test_half_open_connections_are_dropped(
    valkey_server: Server,
    applications: Any,
    proxies: Any,
    monkeypatch: pytest.MonkeyPatch,
    timeout: float | None,
) -> None:
    """A firewall forgets the connections, without a word to either side: that costs one timeout, once."""
    monkeypatch.setattr(f"{REDIS}.subscription._SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(f"{REDIS}.subscription._CONFIRMATION_SECONDS", 0.5)
    monkeypatch.setattr(f"{REDIS}.connection._ANSWER_SECONDS", 0.5)
    proxy = proxies(valkey_server.port)
    application = applications(proxy.client(socket_timeout=timeout), valkey_server.client())
    application.worker.start_workers(1, block=False)
    application.run(1)
    with valkey_server.client() as client:
        before = {entry["addr"] for entry in client.client_list(_type="pubsub")}
        proxy.forget()
        application.run(2)
        wait_until(lambda: {entry["addr"] for entry in client.client_list(_type="pubsub")} - before)
    application.run(3)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["server is away", "network is away"])
def test_no_healthy_worker_is_declared_dead_after_a_long_outage(
    make_server: MakeServer, make_fleet: Callable[..., Fleet], proxies: Any, how: str
) -> None:
    """Nobody heard of the server for longer than the limit: no worker judges the others by that."""
    server = make_server("valkey", "--appendonly", "yes", "--appendfsync", "always")
    proxy = proxies(server.port)
    fleet = make_fleet(server)
    for _ in range(3):
        fleet.ours(threshold=2, port=proxy.port)
    before = set(fleet.registered())
    assert len(before) == 3
    if how == "server is away":
        server.kill()
    else:
        proxy.block()
    threading.Event().wait(5.0)  # this much time must pass: it is the situation
    if how == "server is away":
        server.start()
    else:
        proxy.unblock()
    ended = datetime.now(timezone.utc).timestamp()
    seen_at = fleet.key("_all_brokers_zset")
    wait_until(
        lambda: (
            len(seen := fleet.redis.zrange(seen_at, 0, -1, withscores=True)) == 3
            and all(at > ended + 3 for _, at in seen)
        ),
        "all three have sent heartbeats for longer than the limit",
    )
    assert set(fleet.registered()) == before
    for worker in fleet.workers:
        assert "is dead" not in worker.log()
        assert "declared dead" not in worker.log()


def test_who_was_not_cut_off_still_judges(make_fleet: Callable[..., Fleet], valkey_server: Server) -> None:
    """A worker that dies is declared dead within its limit; a worker that joined just now judges at once."""
    fleet = make_fleet(valkey_server)
    dead = fleet.ours(threshold=1)
    (dead_id,) = fleet.registered()
    dead.kill()
    fleet.ours(threshold=1)
    wait_until(lambda: dead_id not in fleet.registered(), within=10)
