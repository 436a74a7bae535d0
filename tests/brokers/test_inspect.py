"""What only the Redis broker's sight can be asked: cost, poisoned keys, rights, old namespaces."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
import redis

from spinach import Engine, RedisBroker
from spinach.brokers.redis.from_url import connect
from spinach.brokers.redis.inspect.queues import MAX_QUEUES
from spinach.brokers.redis.inspect.workers import MAX_WORKERS
from spinach.clock import SystemClock
from spinach.exc import BrokerUnavailable, NotPermitted
from spinach.stats import NamespaceSnapshot, Wanted
from tests.servers import Server

from .conftest import MakeRedisBroker
from .helpers import claim, failed, queued, settle, task, waiting

FORBIDDEN = {
    "keys", "scan", "monitor", "eval", "evalsha", "fcall", "smembers", "hvals", "lrange", "sort", "memory",
    "hgetall", "set", "del", "publish", "hset", "zadd",
}  # fmt: skip
READER_RIGHTS = (
    "resetkeys %R~{}/* resetchannels &{}/* -@all "
    "+ping +time +hello +auth +select +client|setinfo +client|setname "
    "+info +llen +lindex +lpos +lrange +zcard +zcount +zrange +zrevrange +hlen +hmget +hscan +sscan +scan "
    "+pubsub|numsub +multi +exec"
)


@pytest.fixture
def make(valkey_server: Server) -> Iterator[MakeRedisBroker]:
    maker = MakeRedisBroker(valkey_server)
    yield maker
    maker.close()


def old_job(queue: str, at: float = 1_700_000_000, **facts: Any) -> str:
    """Return a job as the published package writes it."""
    fields = {
        "at": int(at), "at_us": 5, "id": str(uuid4()), "max_retries": 0, "queue": queue, "retries": 0,
        "status": 2,
        "task_args": [], "task_kwargs": {}, "task_name": "old", **facts,
    }  # fmt: skip
    return json.dumps(fields, sort_keys=True)


def fill(make: MakeRedisBroker) -> None:
    """Put something of everything into the namespace."""
    client, worker = make(), make.worker()
    client.register([task("task", limit=5), task("tick", period=60, queue="p")])
    client.enqueue([queued(number, queue=f"queue-{number % 7}") for number in range(30)])
    client.enqueue([queued(number) for number in range(10)])
    client.enqueue([waiting(client, 1, seconds=100)])
    claim(worker, 4)


# --- cost --------------------------------------------------------------------------------------------


def test_one_round_trip_in_the_steady_state(make: MakeRedisBroker) -> None:
    """The first snapshot takes two round trips, each that knows the one before takes one."""
    fill(make)
    reader = make()
    first = reader.snapshot()
    assert first.costs.round_trips == 2
    second = reader.snapshot(known=first)
    assert second.costs.round_trips == 1
    assert reader.snapshot(known=second).costs.round_trips == 1
    assert [queue.name for queue in second.queues] == [queue.name for queue in first.queues]


def test_something_new_costs_a_second_round_trip_once(make: MakeRedisBroker) -> None:
    """A new queue and a new worker are found in a second round trip, and are known from then on."""
    fill(make)
    reader = make()
    known = reader.snapshot()
    make().enqueue([queued(1, queue="new")])
    make.worker("new")
    snapshot = reader.snapshot(known=known)
    assert snapshot.costs.round_trips == 2
    assert next(queue for queue in snapshot.queues if queue.name == "new").depth == 1
    assert len(snapshot.workers) == 2
    assert reader.snapshot(known=snapshot).costs.round_trips == 1


def test_commands_are_bounded_and_none_is_forbidden(make_server: Callable[..., Server]) -> None:
    """A snapshot sends at most 20 commands, 4 per queue, 2 per worker and 2 per 25 queues, none that is
    dear.
    """
    server = make_server("valkey")
    make = MakeRedisBroker(server)
    fill(make)
    reader = make()
    known = reader.snapshot()
    make.redis.config_resetstat()
    for _ in range(10):
        known = reader.snapshot(known=known)
    sent = {
        name.removeprefix("cmdstat_"): stats["calls"]
        for name, stats in make.redis.info("commandstats").items()
    }
    used = {name.partition("|")[0] for name in sent}
    assert not used & FORBIDDEN
    queues, workers = len(known.queues), len(known.workers)
    bound = 20 + 4 * queues + 2 * workers + 2 * math.ceil(queues / 25)
    assert known.costs.commands <= bound
    own = sum(
        calls for name, calls in sent.items() if name.partition("|")[0] not in ("config", "client", "hello")
    )
    assert own <= 10 * bound
    make.close()


PAGES = [Wanted("queue", "q", 50), Wanted("running"), Wanted("scheduled"), Wanted("groups"), Wanted("failed")]


@pytest.mark.parametrize("wanted", PAGES, ids=lambda wanted: wanted.kind)
def test_a_page_costs_no_round_trip(make_server: Callable[..., Server], wanted: Wanted) -> None:
    """In the steady state a page comes in the one round trip of its snapshot, read in part and by cheap
    commands.
    """
    make = MakeRedisBroker(make_server("valkey"))
    fill(make)
    bury(make, 3)
    reader = make()
    known = reader.snapshot(known=reader.snapshot(), wanted=[wanted])
    make.redis.config_resetstat()
    snapshot = reader.snapshot(known=known, wanted=[wanted])
    assert snapshot.costs.round_trips == 1
    assert snapshot.pages == known.pages
    assert snapshot.costs.commands <= reader.snapshot(known=known).costs.commands + 2 * len(known.workers) + 1
    used = {name.removeprefix("cmdstat_").partition("|")[0] for name in make.redis.info("commandstats")}
    assert not used & (FORBIDDEN - {"lrange"})
    make.close()


def test_dead_letters_are_read_once(make: MakeRedisBroker) -> None:
    """A page of dead letters reads the texts of those that are new, in a second round trip, and no others."""
    bury(make, 3)
    reader, wanted = make(), [Wanted("failed")]
    first = reader.snapshot(wanted=wanted)
    assert first.costs.round_trips == 2
    bury(make, 1)
    second = reader.snapshot(known=first, wanted=wanted)
    assert second.costs.round_trips == 2
    assert [letter.id for letter in second.pages[0].failed[1:]] == [
        letter.id for letter in first.pages[0].failed
    ]
    assert second.pages[0].failed[1] is first.pages[0].failed[0]
    assert list(second.pages[0].failed) == reader.failed_jobs(10)


def bury(make: MakeRedisBroker, number: int) -> None:
    """Let some jobs fail for good."""
    worker = make.worker("doomed")
    make().enqueue([queued(each, retries=0, queue="doomed") for each in range(number)])
    settle(worker, *(failed(worker, job) for job in claim(worker, number, "doomed")))
    worker.leave()


def test_a_large_first_job_is_no_trouble(make: MakeRedisBroker) -> None:
    """A job of a megabyte at the head and tail of a queue is read, and kept as no marker."""
    client = make()
    client.enqueue([queued("x" * 1_000_000)])
    first = client.snapshot()
    (queue,) = first.queues
    assert (queue.depth, queue.next_task, queue.tail) == (1, "task", None)
    assert client.snapshot(known=first).queues[0].marker_reach == 0


def sent(make: MakeRedisBroker) -> int:
    """Return how many bytes the server has sent to anybody."""
    return int(make.redis.info("stats")["total_net_output_bytes"])


def test_large_jobs_are_not_fetched_at_every_look(make: MakeRedisBroker) -> None:
    """Of a queue with large jobs the depth is always right, the first job is read at every tenth look, the
    last never.
    """
    client, worker = make(), make.worker()
    client.enqueue([queued("x" * 1_000_000), queued("y" * 1_000_000, name="second")])
    known = client.snapshot()
    before = sent(make)
    claim(worker, 1)
    taken = sent(make) - before
    looks = []
    for _ in range(10):
        known = client.snapshot(known=known)
        looks.append(known.queues[0])
    assert sent(make) - before - taken < 1_500_000
    assert [queue.depth for queue in looks] == [1] * 10
    assert [queue.next_task for queue in looks] == ["task"] * 9 + ["second"]
    ages = [queue.oldest_seconds or 0.0 for queue in looks[:9]]
    assert ages == sorted(ages)
    assert ages[-1] > 0
    claim(worker, 1)
    queue = client.snapshot(known=known).queues[0]
    assert (queue.depth, queue.oldest_seconds, queue.next_task, queue.element_bytes) == (0, 0.0, None, 0)


def test_too_much_is_truncated(make: MakeRedisBroker) -> None:
    """More queues or workers than the bound are cut, and the snapshot says so."""
    with make.redis.pipeline(transaction=False) as pipe:
        pipe.sadd(
            f"{make.default_namespace}/_queues", *(f"queue-{number}" for number in range(MAX_QUEUES + 50))
        )
        for number in range(MAX_WORKERS + 50):
            entry = json.dumps({"id": f"w{number}", "name": "host", "last_seen_at": number})
            pipe.hset(f"{make.default_namespace}/_all_brokers_hash", f"w{number}", entry)
            pipe.zadd(f"{make.default_namespace}/_all_brokers_zset", {f"w{number}": number})
        pipe.execute()
    snapshot = make().snapshot()
    assert (len(snapshot.queues), len(snapshot.workers)) == (MAX_QUEUES, MAX_WORKERS)
    assert {"queues", "workers"} <= set(snapshot.truncated)
    assert not snapshot.exact
    assert make().snapshot(known=snapshot).costs.commands < 40 + 5 * MAX_QUEUES + 2 * MAX_WORKERS


# --- poison ------------------------------------------------------------------------------------------

FIXED_KEYS = [
    "_future-jobs", "_periodic_tasks_hash", "_periodic_tasks_queue", "_all_brokers_hash", "_all_brokers_zset",
    "_max_concurrency", "_current_concurrency", "_queues", "_counters", "_histograms", "_failed-jobs",
    "_failed-jobs-data", "_failure-groups", "_brokers-seen", "_wire",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["string", "stream"])
@pytest.mark.parametrize("name", [*FIXED_KEYS, "q"])
def test_a_foreign_key_costs_its_item(make: MakeRedisBroker, name: str, kind: str) -> None:
    """Whatever key is of a foreign type, the snapshot comes, says which one, and shows the rest."""
    client, worker = make(), make.worker("q")
    client.register([task("task", limit=5), task("tick", period=60, queue="p")])
    client.enqueue([queued(1), queued(2, queue="other"), queued(3, queue="other")])
    claim(worker, 1)
    key = f"{make.default_namespace}/{name}"
    make.redis.delete(key)
    make.redis.set(key, "not yours") if kind == "string" else make.redis.xadd(key, {"not": "yours"})
    reader = make()
    before = reader.snapshot(queues=["other", "q"])
    for snapshot in (before, reader.snapshot(known=before)):
        assert next(queue for queue in snapshot.queues if queue.name == "other").depth == 2
        if name not in ("_wire", "_failed-jobs-data", "_failure-groups"):
            assert any(error.reason == "wrongtype" and key in error.what for error in snapshot.errors)
        if name == "q":
            assert next(queue for queue in snapshot.queues if queue.name == "q").depth is None


def test_a_page_of_a_foreign_key_says_so(make: MakeRedisBroker) -> None:
    """A page that cannot be read is marked so, says why, and costs nothing else."""
    make().enqueue([queued(1)])
    for name in ("odd", "_future-jobs", "_failed-jobs", "_failure-groups"):
        make.redis.set(f"{make.default_namespace}/{name}", "not yours")
    wanted = [Wanted("queue", "odd"), Wanted("scheduled"), Wanted("failed"), Wanted("groups")]
    snapshot = make().snapshot(queues=["q"], wanted=wanted)
    assert [page.is_readable for page in snapshot.pages] == [False] * 4
    assert {"wrongtype"} == {error.reason for error in snapshot.errors}
    assert next(queue for queue in snapshot.queues if queue.name == "q").depth == 1


@pytest.mark.parametrize(
    "entry",
    [b"\xff\xfe", b"[1, 2]", b"{", b"null", b"[" * 100_000, b'{"last_seen_at": 1' + b"0" * 400 + b"}"],
)
def test_a_malformed_worker_costs_itself(make: MakeRedisBroker, entry: bytes) -> None:
    """A registry entry that cannot be read leaves the other workers as they are."""
    worker = make.worker()
    key = f"{make.default_namespace}/_all_brokers_hash"
    make.redis.hset(key, "odd", entry)
    make.redis.hset(key, b"\xff", entry)
    snapshot = make().snapshot(discover=True)
    found = {stats.info.id: stats.state for stats in snapshot.workers}
    assert found[worker.worker_id] == "live"
    assert found["odd"] == "dead"
    assert not snapshot.exact


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff", b"7", b"{}", b'{"at": "soon"}', b'{"at": 1e400}', b'{"at": 1' + b"0" * 500 + b"}",
        b"[" * 100_000,
        b'{"at": true, "task_name": 5}',
    ],
)  # fmt: skip
def test_a_malformed_first_job_costs_the_age(make: MakeRedisBroker, raw: bytes) -> None:
    """A queue whose first job cannot be read has its depth, an unknown age, and an error that says so."""
    make().enqueue([queued(1, queue="other")])
    make.push_raw("q", raw)
    snapshot = make().snapshot(queues=["q"])
    other, queue = snapshot.queues
    assert (queue.depth, queue.oldest_seconds) == (1, None)
    assert [error.reason for error in snapshot.errors] == ["malformed"]
    assert other.oldest_seconds is not None


def test_odd_fields_cost_themselves(make: MakeRedisBroker) -> None:
    """Odd entries among limits, periodic tasks, counters and queue names leave the others as they are."""
    client = make()
    client.register([task("task", limit=5), task("tick", period=60)])
    client.enqueue([queued(1)])
    prefix = f"{make.default_namespace}/"
    for key in (
        "_max_concurrency",
        "_current_concurrency",
        "_periodic_tasks_hash",
        "_counters",
        "_histograms",
    ):
        make.redis.hset(
            prefix + key, mapping={b"\xff": b"\xff", b"odd": b"9" * 400, b"[1, 2, 3]": b"x", b"[": b"1"}
        )
    make.redis.hset(prefix + "_histograms", mapping={'["q", "wait", "99"]': 1, '["q", "wait", "sum_us"]': 5})
    make.redis.hset(prefix + "_periodic_tasks_hash", "far", '{"queue": "\\ud800", "periodicity": null}')
    make.redis.zadd(prefix + "_periodic_tasks_queue", {"far": math.inf})
    make.redis.sadd(prefix + "_queues", b"\xff", b"", b"_all_brokers_hash", b"x" * 5000)
    snapshot = client.snapshot()
    assert [one.task_name for one in snapshot.limits or ()] == ["[", "task"]  # an odd name is one
    assert {"tick", "far"} <= {one.task_name for one in snapshot.periodic or ()}
    assert (snapshot.counters or {})["q", "task", "enqueued"] == 1
    assert [queue.name for queue in snapshot.queues if queue.depth] == ["q"]
    assert snapshot.errors


# --- rights ------------------------------------------------------------------------------------------


def reader_of(server: Server, namespace: str, rights: str) -> RedisBroker:
    admin, user = server.client(), f"reader-{uuid4().hex[:6]}"
    admin.execute_command(
        "ACL", "SETUSER", user, "on", ">secret", *rights.format(namespace, namespace).split()
    )
    admin.close()
    return connect(f"redis://{user}:secret@127.0.0.1:{server.port}/0", namespace)


@pytest.fixture
def guarded(make_server: Callable[..., Server]) -> Iterator[MakeRedisBroker]:
    maker = MakeRedisBroker(make_server("valkey"))
    fill(maker)
    yield maker
    maker.close()


def comparable(snapshot: NamespaceSnapshot) -> list[Any]:
    queues = [(queue.name, queue.depth, queue.next_task) for queue in snapshot.queues]
    return [queues, snapshot.running, snapshot.scheduled, snapshot.counters, snapshot.limits]


def test_reading_rights_suffice(guarded: MakeRedisBroker) -> None:
    """A user with nothing but rights to read this namespace sees all of it, and nothing is in error."""
    namespace = guarded.default_namespace
    reader = reader_of(guarded.server, namespace, READER_RIGHTS)
    first = reader.snapshot(discover=True)
    assert first.errors == ()
    assert comparable(first) == comparable(guarded().snapshot())
    assert reader.snapshot(known=first).errors == ()
    assert len(reader.queued_jobs("q", 3)) == 3
    assert reader.failed_jobs(5) == reader.failure_groups() == []
    reader._redis.close()


@pytest.mark.parametrize(
    "missing", ["lpos", "multi", "exec", "llen", "info", "sscan", "pubsub|numsub", "scan", "hscan"]
)
def test_a_missing_right_costs_what_it_is_for(guarded: MakeRedisBroker, missing: str) -> None:
    """Where one command is not permitted the rest is still read, and what is missing is named."""
    rights = READER_RIGHTS.replace(f" +{missing}", "")
    reader = reader_of(guarded.server, guarded.default_namespace, rights)
    first = reader.snapshot(queues=["q"])
    second = reader.snapshot(known=first, discover=True)
    assert second.scheduled == 1
    queue = next(queue for queue in second.queues if queue.name == "q")
    assert queue.depth == (None if missing == "llen" else 6)
    if missing not in ("multi", "exec"):
        assert any(error.reason == "permission" for error in second.errors)
    else:
        assert not queue.consistent  # several commands, and others may come between
        assert queue.marker_position == 5
    reader._redis.close()


def test_no_rights_at_all(guarded: MakeRedisBroker) -> None:
    """A user who may not even ask for the time, and a wrong password, are said to be not permitted."""
    reader = reader_of(guarded.server, guarded.default_namespace, "-@all")
    with pytest.raises(NotPermitted):
        reader.snapshot()
    reader._redis.close()
    wrong = connect(f"redis://:wrong@127.0.0.1:{guarded.server.port}/0", "ns")
    guarded.redis.config_set("requirepass", "right")
    with pytest.raises(NotPermitted) as caught:
        wrong.snapshot()
    assert "wrong" not in str(caught.value)
    none = connect(guarded.server.url, "ns")
    with pytest.raises(NotPermitted):
        none.snapshot()
    wrong._redis.close()
    none._redis.close()
    guarded.redis.execute_command("AUTH", "right")
    guarded.redis.config_set("requirepass", "")


def test_a_server_that_is_gone(make_server: Callable[..., Server]) -> None:
    """Without a server the reader says so and can be used again when it is back."""
    server = make_server("valkey")
    reader = connect(server.url, "ns")
    assert reader.snapshot().queues == ()
    server.kill()
    with pytest.raises(BrokerUnavailable):
        reader.snapshot()
    server.start()
    assert reader.snapshot().queues == ()
    reader._redis.close()


@pytest.mark.parametrize("url", ["", "http://x", "redis://x:port", "redis://:secret@[::1", "localhost:6379"])
def test_a_wrong_url_is_refused(url: str) -> None:
    """What is no URL of a server is refused before anything is sent, and no password is repeated."""
    with pytest.raises(ValueError) as caught:
        connect(url, "ns")
    assert "secret" not in str(caught.value)


# --- namespaces of the published package -------------------------------------------------------------


def test_queues_without_an_index(make: MakeRedisBroker) -> None:
    """Where nobody keeps an index, queues are learnt from periodic tasks, jobs that wait, and jobs that
    run.
    """
    prefix = f"{make.default_namespace}/"
    make.redis.hset(
        prefix + "_periodic_tasks_hash", "tick", json.dumps({"periodicity": 5, "queue": "from-periodic"})
    )
    make.redis.zadd(prefix + "_future-jobs", {old_job("from-future", status=1): 1})
    entry = {"id": "w", "name": "host", "started_at": 1, "last_seen_at": 1, "namespace": "x"}
    make.redis.hset(prefix + "_all_brokers_hash", "w", json.dumps(entry))
    make.redis.zadd(prefix + "_all_brokers_zset", {"w": 1})
    make.redis.hset(prefix + "_running-jobs-on-broker-w", "id", old_job("from-running", status=3))
    for queue in ("from-periodic", "from-future", "from-running", "hidden"):
        make.redis.rpush(prefix + queue, old_job(queue))
    reader = make()
    first = reader.snapshot()
    assert first.costs.round_trips == 2
    assert {queue.name for queue in first.queues} == {"from-periodic", "from-future", "from-running"}
    second = reader.snapshot(known=first)
    assert {queue.name: queue.depth for queue in second.queues} == dict.fromkeys(
        ("from-periodic", "from-future", "from-running"), 1
    )
    assert (second.running, second.reserved, second.exact) == (1, 0, False)
    assert {queue.name for queue in reader.snapshot(discover=True).queues} == {
        "from-periodic", "from-future", "from-running", "hidden",
    }  # fmt: skip


def test_lists_of_a_longer_namespace_are_not_ours(make: MakeRedisBroker) -> None:
    """A search of all keys does not take the queues of `prod/eu` for queues of `prod`."""
    namespace = make.default_namespace
    make.redis.rpush(f"{namespace}/eu/mail", old_job("mail"))
    make.redis.rpush(f"{namespace}/with/slash", old_job("with/slash"))
    make.redis.rpush(f"{namespace}x/mail", old_job("mail"))
    assert [queue.name for queue in make().snapshot(discover=True).queues] == ["with/slash"]
    make.redis.delete(f"{namespace}x/mail")


@pytest.mark.parametrize("name", ["a b", "a/b", "{tag}", "50%", "a*b?[c]", "ünï-🌱", "a\\b"])
def test_odd_namespaces(valkey_server: Server, name: str) -> None:
    """Spaces, slashes, braces, percent, glob characters and other alphabets in a namespace are plain text."""
    make = MakeRedisBroker(valkey_server)
    make(name).enqueue([queued(1)])
    snapshot = make(name).snapshot(discover=True)
    assert [(queue.name, queue.depth) for queue in snapshot.queues] == [("q", 1)]
    worker = make.worker(namespace=name)
    assert name in make(name).namespaces()  # type: ignore[attr-defined]
    worker.leave()
    make.close()


@pytest.mark.parametrize("kind", ["redis70", "redis62"])
def test_older_servers(request: pytest.FixtureRequest, kind: str) -> None:
    """The same snapshot comes from Redis 7.0 and 6.2."""
    make = MakeRedisBroker(request.getfixturevalue(f"{kind}_server"))
    fill(make)
    first = make().snapshot()
    assert first.errors == ()
    assert first.server is not None
    assert (first.server.version or "").startswith("7.0" if kind == "redis70" else "6.2")
    assert make().snapshot(known=first).errors == ()
    make.close()


def test_replies_of_the_newer_protocol(valkey_server: Server) -> None:
    """A client that speaks RESP3 sees the same."""
    make = MakeRedisBroker(valkey_server)
    fill(make)
    for protocol in (2, 3):
        client = redis.Redis(host="127.0.0.1", port=valkey_server.port, protocol=protocol)
        broker = RedisBroker(client)
        broker.namespace = make.default_namespace
        first = broker.snapshot(discover=True)
        assert first.errors == ()
        assert comparable(first) == comparable(make().snapshot())
        found = {queue.name: queue.marker_position for queue in broker.snapshot(known=first).queues}
        assert (found["p"], found["q"]) == (None, 5)
        client.close()
    make.close()


class WrongClock(SystemClock):
    """The clock of a machine whose time is wrong."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return super().now() + self.seconds


@pytest.mark.parametrize("wrong", [-7200.0, 7200.0, 86_400.0 * 400])
def test_a_producer_with_a_wrong_clock_misleads_nobody(make: MakeRedisBroker, wrong: float) -> None:
    """Not even the first call of its process, which is all that a one-shot producer sends."""
    reader = make()
    producer = RedisBroker(make.server.client(), clock=WrongClock(wrong))
    producer.namespace = reader.namespace
    engine = Engine(producer, namespace=reader.namespace)
    engine.task(name="once")(lambda *args, **kwargs: None)
    engine.schedule("once", 'a "quoted" text', key="☂")
    engine.schedule_at("once", datetime.now(timezone.utc) + timedelta(hours=24))
    (job,) = reader.queued_jobs("spinach")
    assert job.enqueued_at == pytest.approx(reader.clock.now(), abs=5)
    snapshot = reader.snapshot()
    (queue,) = snapshot.queues
    assert queue.oldest_seconds is not None
    assert 0 <= queue.oldest_seconds < 5
    assert snapshot.scheduled == 1
    assert snapshot.overdue == 0
    delivered = claim(make.worker(queue="spinach"), 1, "spinach")[0]
    assert (delivered.task_args, delivered.task_kwargs) == (('a "quoted" text',), {"key": "☂"})
    producer._redis.close()
