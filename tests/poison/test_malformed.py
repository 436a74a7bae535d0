"""Entries that are no jobs, in every place where jobs stand: set aside once, and nothing else is delayed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from uuid import uuid4

import pytest

from spinach import RedisBroker
from spinach.job import Job, JobStatus
from spinach.stats import FailedJob
from tests.fleet import Fleet
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]
NEIGHBOURS = 40


@pytest.fixture
def fleet(valkey_server: Server, make_fleet: MakeFleet) -> Fleet:
    return make_fleet(valkey_server)


def good(tag: str, status: JobStatus = JobStatus.QUEUED, *args: object) -> str:
    """Return the text of a job as ours write it."""
    job = Job("safe" if not args else "echo", "spinach", datetime.now(timezone.utc), 3, (tag, *args), {})
    return job.text(status, time.time())


def changed(**fields: object) -> bytes:
    """Return a job's text with other fields; `...` leaves one out."""
    job = {**json.loads(good("never")), **fields}
    return json.dumps({name: value for name, value in job.items() if value is not ...}).encode()


def poison() -> dict[str, bytes]:
    """Return bytes that are no job, by what is wrong with them."""
    text = good("never")
    return {
        "empty": b"",
        "garbage": b"hello",
        "invalid UTF-8": b"\xff\xfe" + text.encode(),
        "invalid UTF-8 in the payload": text.replace("never", "n\xe9ver").encode("latin-1"),
        "UTF-16": text.encode("utf-16"),
        "truncated": text.encode()[:-10],
        "cut in the head": text.encode()[:60],
        "head and tail right, payload broken": text.replace('["never"]', '["never", ]').encode(),
        "a list": b"[1, 2]",
        "a text": b'"job"',
        "null": b"null",
        "a number": b"12",
        "at NaN": text.replace('"at": 1', '"at": NaN, "x": 1').encode(),
        "at a text": changed(at="soon"),
        "at beyond all years": changed(at=10**18),
        "at with 400 digits": changed(at=10**400),
        "at_us out of range": changed(at_us=1_000_000),
        "retries null": changed(retries=None),
        "retries negative": changed(retries=-1),
        "retries huge": changed(retries=10**30),
        "retries a fraction": changed(retries=1.5),
        "max_retries true": changed(max_retries=True),
        "max_retries missing": changed(max_retries=...),
        "id no UUID": changed(id="12"),
        "id a list": changed(id=["x"]),
        "queue a number": changed(queue=5),
        "task_name missing": changed(task_name=...),
        "task_name a lone surrogate": changed(task_name="\ud800"),
        "task_args a text": changed(task_args="abc"),
        "task_args null": changed(task_args=None),
        "task_kwargs a list": changed(task_kwargs=[1]),
        "100,000 brackets": text.replace('["never"]', "[" * 100_000 + "]" * 100_000).encode(),
        "100,000 open brackets": b"[" * 100_000,
        "an integer that Python refuses": text.replace('"never"', "9" * 6000).encode(),
        "1 MB garbage": b"\x00\x01garbage" * 120_000,
    }


def readable() -> dict[str, tuple[str, bytes]]:
    """Return jobs in unusual spellings, by what is unusual, with their tags."""
    found = {}
    for name, change in {
        "other order": lambda text: json.dumps(dict(reversed(json.loads(text).items()))),
        "other spacing": lambda text: json.dumps(json.loads(text), indent=3),
        "no spacing": lambda text: json.dumps(json.loads(text), separators=(",", ":")),
        "status a text": lambda text: text.replace('"status": 2', '"status": "2"'),
        "status unknown": lambda text: text.replace('"status": 2', '"status": 77'),
        "further fields": lambda text: text.replace('"status"', '"colour": {"r": [1]}, "status"'),
        "id in capitals": lambda text: json.dumps(
            {**(j := json.loads(text)), "id": j["id"].upper()}, sort_keys=True
        ),
        "id in capitals, our spelling": lambda text: text.replace(i := json.loads(text)["id"], i.upper()),
        "400 digits": lambda text: text.replace(
            '"task_kwargs": {}', f'"task_kwargs": {{"seconds": 0.{"0" * 400}}}'
        ),
        "escaped slashes": lambda text: text.replace('"safe"', '"s\\u0061fe"'),
    }.items():
        tag = "fine-" + name.replace(" ", "-").replace(",", "")
        text = change(good(tag)).encode()
        found[name] = (json.loads(text)["task_args"][0], text)
    return found


def dead_letters(fleet: Fleet) -> dict[str, list[FailedJob]]:
    """Return the failed store by reason."""
    broker = RedisBroker(fleet.redis)
    broker.namespace = fleet.namespace
    found: dict[str, list[FailedJob]] = {}
    for letter in broker.failed_jobs(10_000):
        found.setdefault(letter.reason, []).append(letter)
    return found


def assert_set_aside_once(fleet: Fleet, expected: dict[str, bytes]) -> None:
    letters = wait_until(
        lambda: len(found := dead_letters(fleet).get("malformed", [])) >= len(expected) and found,
        "all is set aside",
    )
    raws = [letter.raw for letter in letters]  # type: ignore[union-attr]
    assert {name for name, raw in expected.items() if raws.count(raw) != 1} == set()
    assert len(raws) == len(expected)
    assert set(dead_letters(fleet)) == {"malformed"}
    assert all(letter.message for letter in letters)  # type: ignore[union-attr]
    logged = fleet.workers[0].log().count("Set aside as malformed")
    assert logged == len(expected)
    assert "failed; it starts again" not in fleet.workers[0].log()


def test_poison_in_a_queue_is_set_aside_and_its_neighbours_run(fleet: Fleet) -> None:
    """Whatever stands in a queue, its neighbours run once; what is no job is set aside once, bytes kept."""
    fleet.ours(threshold=60)
    bad, fine = poison(), readable()
    neighbours = [good(f"neighbour-{index}").encode() for index in range(NEIGHBOURS)]
    texts = [*bad.values(), *(text for _, text in fine.values())]
    mixed = [text for pair in zip(texts, neighbours, strict=False) for text in pair] + texts[
        len(neighbours) :
    ]
    fleet.redis.rpush(fleet.key("spinach"), *mixed, *neighbours[len(texts) :])
    fleet.news()
    tags = [f"neighbour-{index}" for index in range(NEIGHBOURS)] + [tag for tag, _ in fine.values()]
    fleet.wait_for_ends(tags)
    assert_set_aside_once(fleet, bad)
    wait_until(lambda: not fleet.running(), "nothing is held")
    assert set(fleet.starts().values()) == {1}
    assert fleet.redis.llen(fleet.key("spinach")) == 0


def test_poison_among_future_jobs_is_set_aside_and_its_neighbours_are_promoted(fleet: Fleet) -> None:
    """What is no job among the waiting ones is set aside once; its neighbours are promoted and run."""
    bad = poison()
    entries = {text: float(index) for index, text in enumerate(bad.values())}
    now = time.time()
    entries.update({good(f"due-{index}", JobStatus.WAITING).encode(): now - 1 for index in range(NEIGHBOURS)})
    fleet.redis.zadd(fleet.key("_future-jobs"), entries)
    fleet.ours(threshold=60)
    fleet.wait_for_ends(f"due-{index}" for index in range(NEIGHBOURS))
    assert_set_aside_once(fleet, bad)
    assert set(fleet.starts().values()) == {1}
    assert fleet.redis.zcard(fleet.key("_future-jobs")) == 0


def test_poison_in_a_dead_workers_hash_is_set_aside_and_its_neighbours_recovered(fleet: Fleet) -> None:
    """What is no job in a dead worker's hash is set aside once; its neighbours are recovered and run."""
    bad = poison()
    dead_id = str(uuid4())
    held = {f"poison-{index}": text for index, text in enumerate(bad.values())}
    for index in range(NEIGHBOURS):
        text = good(f"held-{index}", JobStatus.RUNNING)
        held[json.loads(text)["id"]] = text.encode()
    for name, (_, text) in readable().items():
        held[f"odd-{name}"] = text
    fleet.redis.hset(fleet.key(f"_running-jobs-on-broker-{dead_id}"), mapping=held)
    fleet.redis.hset(fleet.key("_all_brokers_hash"), dead_id, json.dumps({"id": dead_id, "name": "gone"}))
    fleet.make_look_dead(dead_id)
    fleet.ours(threshold=60)
    fleet.wait_for_ends(f"held-{index}" for index in range(NEIGHBOURS))
    wait_until(lambda: len(fleet.ends()) == NEIGHBOURS + len(readable()), "odd spellings run, too")
    assert_set_aside_once(fleet, bad)
    assert set(fleet.starts().values()) == {1}
    wait_until(lambda: not fleet.running(), "the hash is gone")


def test_poison_in_the_registry_prevents_no_rescue(fleet: Fleet) -> None:
    """Whatever stands in the registry of workers, the dead are recovered and the living work on."""
    dead_id = str(uuid4())
    text = good("held", JobStatus.RUNNING)
    fleet.redis.hset(fleet.key(f"_running-jobs-on-broker-{dead_id}"), json.loads(text)["id"], text)
    entries: dict[str | bytes, str | bytes] = {
        "garbage": "hello",
        "empty": "",
        "list": "[]",
        "null": "null",
        "binary": b"\xff\x00",
        b"\xff\xfe": "{}",
        "no fields": "{}",
        "nested": "[" * 100_000,
        "texts": json.dumps({"last_seen_at": "x", "dead_after": "y", "version": 5, "name": [1], "id": {}}),
        "huge last_seen_at": json.dumps({"last_seen_at": 10**400}),
        "huge dead_after": json.dumps({"last_seen_at": 5, "dead_after": 10**400}),
        "NaN": '{"last_seen_at": NaN, "dead_after": NaN}',
        "infinite": '{"last_seen_at": -Infinity, "dead_after": Infinity, "version": "9"}',
        "digits": '{"last_seen_at": ' + "9" * 6000 + "}",
    }
    fleet.redis.hset(fleet.key("_all_brokers_hash"), mapping=entries)
    fleet.redis.zadd(fleet.key("_all_brokers_zset"), dict.fromkeys(entries, 1))
    fleet.redis.zadd(fleet.key("_all_brokers_zset"), {"only here": 1, b"\xfe": 2, "endless": "inf"})
    fleet.redis.hset(fleet.key("_all_brokers_hash"), dead_id, json.dumps({"id": dead_id, "name": "gone"}))
    fleet.make_look_dead(dead_id)
    worker = fleet.ours(threshold=60)
    fleet.wait_for_ends(["held"])
    wait_until(lambda: dead_id not in fleet.registered(), "the dead one is gone")
    assert "failed; it starts again" not in worker.log(), worker.log()[-3000:]
    assert fleet.starts() == {"held": 1}


def test_poison_among_periodic_tasks_stops_no_other(fleet: Fleet) -> None:
    """What is no periodic task is set aside once, even a period of null; the others go on running."""
    task = {"max_concurrency": -1, "max_retries": 0, "name": "?", "periodicity": 1, "queue": "spinach"}
    bad = {
        "null period": {**task, "periodicity": None},
        "text period": {**task, "periodicity": "1"},
        "zero": {**task, "periodicity": 0},
        "negative": {**task, "periodicity": -1},
        "fraction": {**task, "periodicity": 0.5},
        "400 digits": {**task, "periodicity": 10**400},
        "queue missing": {name: value for name, value in task.items() if name != "queue"},
        "retries null": {**task, "max_retries": None},
        "retries huge": {**task, "max_retries": 10**400},
        "another name": {**task, "name": "not what the field says"},
        "a surrogate": {**task, "name": "\ud800"},
    }
    texts = {
        name: json.dumps(
            {"name": name, **fields} if fields.get("name") != "?" else {**fields, "name": name}
        ).encode()
        for name, fields in bad.items()
    }
    texts |= {
        "garbage": b"hello",
        "list": b"[]",
        "bytes": b"\xff\xfe",
        "nested": b"[" * 100_000,
        "empty": b"",
    }
    fleet.ours(threshold=60, periodic=True)
    fleet.redis.hset(fleet.key("_periodic_tasks_hash"), mapping=texts)
    fleet.redis.zadd(fleet.key("_periodic_tasks_queue"), dict.fromkeys(texts, 1))
    fleet.redis.zadd(fleet.key("_periodic_tasks_queue"), {"registered nowhere": 1, b"\xff": 1})
    fleet.news()
    count = len(fleet.lines("tick"))
    wait_until(lambda: len(fleet.lines("tick")) >= count + 3, "the other task runs once a second", 6)
    assert_set_aside_once(fleet, texts)
    assert fleet.redis.hkeys(fleet.key("_periodic_tasks_hash")) == [b"tick"]
    assert fleet.redis.zrange(fleet.key("_periodic_tasks_queue"), 0, -1) == [b"tick"]


def test_duplicate_ids_and_duplicate_bytes_stop_nothing(fleet: Fleet) -> None:
    """Two entries with one id, or the same bytes twice, do not get in each other's way or in that of
    others.
    """
    twin = json.loads(good("twin-a"))
    other = {**twin, "task_args": ["twin-b"]}
    same = good("same").encode()
    texts = [json.dumps(twin, sort_keys=True), json.dumps(other, sort_keys=True), same, same]
    fleet.redis.rpush(fleet.key("spinach"), *texts, *(good(f"neighbour-{index}") for index in range(10)))
    fleet.ours(threshold=60)
    fleet.wait_for_ends([*(f"neighbour-{index}" for index in range(10)), "twin-a", "twin-b", "same"])
    wait_until(lambda: not fleet.running(), "nothing is held")
    assert fleet.redis.llen(fleet.key("spinach")) == 0
    assert dead_letters(fleet) == {}


@pytest.mark.parametrize("at_the_end", [False, True])
def test_what_cjson_cannot_read_runs(fleet: Fleet, at_the_end: bool) -> None:
    """JSON that Python reads and the server's Lua does not is no poison: it runs, its payload intact."""
    fleet.ours(threshold=60, recursion_limit=20_000)
    deep = "[" * 1200 + "]" * 1200
    payloads = {"deep": deep, "digits": "1" + "0" * 400, "surrogate": '"\\ud800"', "small": "1e-999"}
    for name, payload in payloads.items():
        text = good(name, JobStatus.QUEUED, "PAYLOAD").replace('"PAYLOAD"', payload)
        if at_the_end:  # a spelling that Lua has to parse
            text = text.replace(', "task_name": "echo"}', "}").replace("{", '{"task_name": "echo", ', 1)
        fleet.redis.rpush(fleet.key("spinach"), text)
    fleet.news()
    fleet.wait_for_ends(payloads)
    shown = {line["tag"]: line["shown"] for line in fleet.lines("start")}
    assert shown["digits"] == repr(((10**400,), []))
    assert shown["surrogate"] == repr((("\ud800",), []))
    assert shown["small"] == repr(((0.0,), []))
    assert shown["deep"].startswith("((" + "[" * 400)
    assert dead_letters(fleet) == {}
    wait_until(lambda: not fleet.running(), "nothing is held")
