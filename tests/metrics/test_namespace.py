"""The namespace family: what a snapshot says, what is absent, what a look costs and how long it may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from spinach import Engine, RedisBroker
from spinach.exc import BrokerUnavailable, NotPermitted
from spinach.stats import (
    Costs,
    HistogramStats,
    LimitStats,
    NamespaceSnapshot,
    QueueStats,
    ReadError,
    ServerStats,
)
from spinach.stats.workers import OrphanStats, WorkerInfo, WorkerStats
from spinach_ops.exporter.serve import Discovery
from spinach_ops.metrics.labels import sanitize_label
from spinach_ops.metrics.namespace_collector import NamespaceCollector, deadline
from spinach_ops.metrics.snapshot_cache import SnapshotCache
from spinach_ops.web.http import Request
from tests.servers import Server
from tests.waiting import wait_until

NOW = 1_000_000.0


def worker(name: str, seen: float = 1.0, version: str | None = "1.0", **details: Any) -> WorkerStats:
    limit = 60.0 if version else 1800.0
    info = WorkerInfo(name, "host", NOW - 100, NOW - seen, limit, version, {"heartbeat": 10, **details})
    return WorkerStats.of(info, NOW, running=2, reserved=0)


BASE = NamespaceSnapshot(
    namespace="ns",
    at=NOW,
    queues=(QueueStats("mail", depth=3, oldest_seconds=7.5), QueueStats("odd", depth=None)),
    workers=(worker("a", slots=4, queues=["mail"], state="running", longest=[
            {"id": "x", "task_name": "send", "queue": "mail", "started_at": NOW - 31},
            {"id": "y", "task_name": "send", "queue": "mail", "started_at": NOW - 2}]),
        worker("b", seen=100.0, slots=4, queues=["mail"])),
    orphans=(OrphanStats("gone", 5),),
    connected=1,
    scheduled=10,
    overdue=2,
    overdue_seconds=4.0,
    running=9,
    reserved=1,
    limits=(LimitStats("few", 2, 1),),
    periodic=(),
    failed=6,
    trimmed=1,
    workers_lost={"silent": 3},
    counters={("mail", "send", "succeeded"): 12, ("mail", "send", "promoted"): 1},
    waits={"mail": HistogramStats((5, 0, 0, 0, 0, 0, 0, 0, 0, 2), 9000.0)},
    runs={},
    server=ServerStats("9.1", 100, 0, "noeviction", 0.25),
    exact=True,
    costs=Costs(1, 30, 0.002),
)  # fmt: skip

WELL = replace(BASE, namespace="well")


def registry_of(snapshot: NamespaceSnapshot, *, per_worker: bool = False) -> CollectorRegistry:
    registry = CollectorRegistry()
    caches = {snapshot.namespace: SnapshotCache(lambda _: snapshot)}
    registry.register(NamespaceCollector(caches, per_worker=per_worker))
    return registry


def value(snapshot: NamespaceSnapshot, name: str, **labels: str) -> float | None:
    return registry_of(snapshot).get_sample_value(
        name, {"spinach_namespace": sanitize_label(snapshot.namespace), **labels}
    )


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("spinach_queue_depth", {"queue": "mail"}, 3),
        ("spinach_queue_oldest_job_age_seconds", {"queue": "mail"}, 7.5),
        ("spinach_queue_workers", {"queue": "mail"}, 1),
        ("spinach_queue_reachable_slots", {"queue": "mail"}, 4),
        ("spinach_slots", {}, 4),
        ("spinach_slots_busy", {}, 2),
        ("spinach_scheduled_jobs", {}, 10),
        ("spinach_scheduled_overdue_jobs", {}, 2),
        ("spinach_scheduled_overdue_age_seconds", {}, 4),
        ("spinach_running_jobs", {}, 9),
        ("spinach_running_oldest_age_seconds", {"queue": "mail"}, 31),
        ("spinach_running_oldest_age_seconds", {"queue": "odd"}, 0),
        ("spinach_orphaned_jobs", {}, 7),
        ("spinach_workers", {"state": "live"}, 1),
        ("spinach_workers", {"state": "dead"}, 1),
        ("spinach_workers", {"state": "quiet"}, 0),
        ("spinach_workers_connected", {}, 1),
        ("spinach_workers_heartbeat_age_max_seconds", {}, 100),
        ("spinach_workers_by_version", {"version": "1.0"}, 2),
        ("spinach_workers_lost_total", {"reason": "silent"}, 3),
        ("spinach_workers_lost_total", {"reason": "revoked"}, 0),
        ("spinach_fleet_counters_exact", {}, 1),
        ("spinach_dead_letters", {}, 6),
        ("spinach_dead_letters_trimmed_total", {}, 1),
        ("spinach_fleet_jobs_total", {"queue": "mail", "task": "send", "outcome": "succeeded"}, 12),
        ("spinach_fleet_jobs_total", {"queue": "mail", "task": "send", "outcome": "failed"}, 0),
        ("spinach_fleet_queue_wait_seconds_bucket", {"queue": "mail", "le": "0.1"}, 5),
        ("spinach_fleet_queue_wait_seconds_bucket", {"queue": "mail", "le": "+Inf"}, 7),
        ("spinach_fleet_queue_wait_seconds_count", {"queue": "mail"}, 7),
        ("spinach_fleet_queue_wait_seconds_sum", {"queue": "mail"}, 9000),
        ("spinach_concurrency_limit", {"task": "few"}, 2),
        ("spinach_concurrency_used", {"task": "few"}, 1),
        ("spinach_redis_up", {}, 1),
        ("spinach_redis_clock_skew_seconds", {}, 0.25),
        ("spinach_redis_evicting", {}, 0),
        ("spinach_snapshot_commands", {}, 30),
        ("spinach_snapshot_truncated", {"reason": "queues"}, 0),
    ],
)
def test_a_snapshot_becomes_series(name: str, labels: dict[str, str], expected: float) -> None:
    """Each figure of a snapshot has its series."""
    assert value(BASE, name, **labels) == expected


def test_what_could_not_be_read_is_absent() -> None:
    """A queue that could not be read has no depth, an unreadable registry no workers; the rest stands."""
    assert value(BASE, "spinach_queue_depth", queue="odd") is None
    blind = replace(
        BASE, running=None, workers=(), exact=False, connected=None, counters=None, workers_lost=None
    )
    for name in (
        "spinach_running_jobs",
        "spinach_workers_connected",
        "spinach_orphaned_jobs",
        "spinach_slots",
    ):
        assert value(blind, name) is None
    assert value(blind, "spinach_workers", state="live") is None
    assert value(blind, "spinach_fleet_counters_exact") is None
    assert value(blind, "spinach_workers_lost_total", reason="silent") is None
    assert value(blind, "spinach_scheduled_jobs") == 10


def test_where_old_workers_take_part_capacity_is_not_guessed() -> None:
    """Old workers do not say what they serve: slots and consumers are absent, counters are marked
    incomplete.
    """
    mixed = replace(BASE, workers=(*BASE.workers, worker("old", version=None)), exact=False)
    assert value(mixed, "spinach_slots") is None
    assert value(mixed, "spinach_queue_workers", queue="mail") is None
    assert value(mixed, "spinach_fleet_counters_exact") == 0
    assert value(mixed, "spinach_workers_by_version", version="upstream") == 1


def test_a_series_per_worker_only_when_asked_for() -> None:
    """Heartbeat ages by worker are opt-in and bounded."""
    labels = {"spinach_namespace": "ns", "worker": "a"}
    name = "spinach_worker_heartbeat_age_seconds"
    assert registry_of(BASE).get_sample_value(name, labels) is None
    assert registry_of(BASE, per_worker=True).get_sample_value(name, labels) == 1
    many = replace(BASE, workers=tuple(worker(f"worker-{number}") for number in range(10_000)))
    page = generate_latest(registry_of(many, per_worker=True)).decode()
    assert page.count("\nspinach_worker_heartbeat_age_seconds{") == 200


def test_too_many_versions_are_folded() -> None:
    """Twenty versions are told apart, the rest counts as `other`."""
    many = replace(BASE, workers=tuple(worker(str(number), version=f"1.{number}") for number in range(50)))
    page = generate_latest(registry_of(many)).decode()
    assert page.count("\nspinach_workers_by_version{") == 21
    assert value(many, "spinach_workers_by_version", version="other") == 30


def test_counters_of_any_number_of_tasks_are_bounded() -> None:
    """Beyond the caps counters are added up under `other`, the same names at each scrape; the page says
    so.
    """
    counters = {(f"queue-{number % 150}", f"task-{number}", "succeeded"): 1 for number in range(1000)}
    waits = {f"queue-{number}": HistogramStats((1,) * 10, 1.0) for number in range(150)}
    many = replace(BASE, counters=counters, waits=waits)
    registry = registry_of(many)
    first, second = (generate_latest(registry).decode() for _ in range(2))
    assert first == second
    assert first.count("\nspinach_fleet_jobs_total{") <= 300 * 7
    assert first.count("\nspinach_fleet_queue_wait_seconds_count{") <= 101
    samples = [
        sample
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "spinach_fleet_jobs_total" and sample.labels["outcome"] == "succeeded"
    ]
    assert sum(sample.value for sample in samples) == 1000
    assert value(many, "spinach_snapshot_truncated", reason="tasks") == 1
    assert value(many, "spinach_fleet_queue_wait_seconds_count", queue="other") == 50 * 10


def test_starts_that_were_taken_back_are_no_reset() -> None:
    """A job that was claimed and handed back unstarted does not make the counter of starts go back; a flush
    does.
    """
    counters = [
        {"enqueued": 9, "started": 7, "succeeded": 5},
        {"enqueued": 9, "started": 5, "succeeded": 5},  # two were handed back
        {"enqueued": 9, "started": 9, "succeeded": 9},
        {"enqueued": 1, "started": 1, "succeeded": 0},  # the namespace was flushed
    ]
    snapshots = iter(
        replace(BASE, counters={("q", "t", name): count for name, count in each.items()}) for each in counters
    )
    registry = CollectorRegistry()
    registry.register(NamespaceCollector({"ns": SnapshotCache(lambda _: next(snapshots), cache_seconds=0)}))
    labels = {"spinach_namespace": "ns", "queue": "q", "task": "t", "outcome": "started"}
    assert [registry.get_sample_value("spinach_fleet_jobs_total", labels) for _ in counters] == [7, 7, 9, 1]


def test_records_that_could_not_be_read_are_of_no_version() -> None:
    """A worker whose record is unreadable may be of any version: nothing is said of versions and counters."""
    unread = WorkerStats.of(WorkerInfo("x", "", 0.0, NOW - 1, 1800.0), NOW, running=0, reserved=0)
    blind = replace(BASE, workers=(*BASE.workers, unread), exact=False)
    assert value(blind, "spinach_workers_by_version", version="upstream") is None
    assert value(blind, "spinach_fleet_counters_exact") is None
    assert value(blind, "spinach_workers", state="live") == 2


def test_names_that_look_alike_as_labels_make_one_series() -> None:
    """Two queues whose names differ in what a label cannot hold do not break the page."""
    twins = replace(
        BASE, queues=(QueueStats("a\x01", depth=1), QueueStats("a\x02", depth=2)), namespace="n\x1b"
    )
    page = generate_latest(registry_of(twins)).decode()
    assert page.count("\nspinach_queue_depth{") == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BrokerUnavailable("Timeout reading from socket", kind="timeout"), "timeout"),
        (BrokerUnavailable("connection refused"), "connection"),
        (NotPermitted("not to run the command"), "permission"),
        (NotPermitted("wrong password", at_login=True), "auth"),
        (RuntimeError("a bug"), "malformed"),
    ],
)
def test_a_namespace_that_cannot_be_read_is_one_series(error: Exception, reason: str) -> None:
    """Then `spinach_redis_up` is 0 and the error is counted; nothing else of the namespace shows."""

    def fail(_: object) -> NamespaceSnapshot:
        raise error

    registry = CollectorRegistry()
    registry.register(NamespaceCollector({"ns": SnapshotCache(fail), "well": SnapshotCache(lambda _: WELL)}))
    shown = {
        family.name: [sample for sample in family.samples if sample.labels["spinach_namespace"] == "ns"]
        for family in registry.collect()
    }
    told = {name for name, samples in shown.items() if samples}
    assert told - {"spinach_redis_up", "spinach_snapshot_errors"} == set()
    assert [sample.value for sample in shown["spinach_redis_up"]] == [0]
    counted = {sample.labels["reason"]: sample.value for sample in shown["spinach_snapshot_errors"]}
    assert counted[reason] == 1
    assert sum(counted.values()) == 1


def test_partial_errors_are_counted_once_per_look() -> None:
    """A key of a foreign type costs its series and one count per look, however often the look is served."""
    partial = replace(
        BASE, errors=(ReadError("wrongtype", "a queue", "WRONGTYPE"), ReadError("strange", "x", "y"))
    )
    registry = registry_of(partial)
    labels = {"spinach_namespace": "ns"}
    for _ in range(3):
        found = registry.get_sample_value("spinach_snapshot_errors_total", {**labels, "reason": "wrongtype"})
    assert found == 1
    assert registry.get_sample_value("spinach_snapshot_errors_total", {**labels, "reason": "refused"}) == 1


class Gate:
    """A look that waits until it is released, and counts how often it was taken."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.looks = 0

    def look(self, _: object) -> NamespaceSnapshot:
        self.looks += 1
        assert self.open.wait(30)
        return BASE


def test_one_look_serves_all_who_ask_meanwhile() -> None:
    """Ten scrapes at once cost the server one look."""
    gate = Gate()
    cache = SnapshotCache(gate.look)
    readings: list[Any] = []
    threads = [threading.Thread(target=lambda: readings.append(cache.read(20))) for _ in range(10)]
    for thread in threads:
        thread.start()
    wait_until(lambda: gate.looks == 1, "the look begins")
    gate.open.set()
    for thread in threads:
        thread.join()
    assert gate.looks == 1
    assert {id(reading) for reading in readings} == {id(readings[0])}
    assert readings[0].snapshot is BASE


def test_a_look_that_hangs_costs_a_scrape_no_more_than_its_deadline() -> None:
    """Namespaces that hang share one deadline, others show; the next scrape starts no second look."""
    gate = Gate()
    registry = CollectorRegistry()
    hanging = SnapshotCache(gate.look, cache_seconds=0)
    registry.register(
        NamespaceCollector(
            {"a": hanging, "b": SnapshotCache(gate.look), "well": SnapshotCache(lambda _: BASE)}
        )
    )
    up = "spinach_redis_up"
    token = deadline.set(0.2)
    try:
        for _ in range(3):
            assert registry.get_sample_value(up, {"spinach_namespace": "a"}) == 0
        assert registry.get_sample_value(up, {"spinach_namespace": "ns"}) == 1
        timeouts = registry.get_sample_value(
            "spinach_snapshot_errors_total", {"spinach_namespace": "a", "reason": "timeout"}
        )
    finally:
        deadline.reset(token)
        gate.open.set()
    assert timeouts == 5
    assert gate.looks == 2
    wait_until(lambda: hanging.read(1).snapshot is BASE, "the look comes back")


def test_one_namespace_that_answers_is_enough_to_be_ready() -> None:
    """Whoever asks whether anything can be read does not wait for what hangs."""
    gate = Gate()
    collector = NamespaceCollector({"hangs": SnapshotCache(gate.look), "well": SnapshotCache(lambda _: WELL)})
    began = time.monotonic()
    readings = collector.read_until_first()
    assert time.monotonic() - began < 4  # the deadline is 5 s
    gate.open.set()
    assert readings["hangs"] is None
    assert readings["well"] is not None
    assert readings["well"].snapshot is WELL


def test_workers_of_a_namespace_in_an_outage_stay_targets() -> None:
    """While their namespace cannot be read, the workers that were known are still scraped; nothing known is
    an error.
    """
    serving = worker("a", metrics_url="http://10.0.0.1:9850/metrics")
    snapshots: list[NamespaceSnapshot] = []

    def look(_: object) -> NamespaceSnapshot:
        if not snapshots:
            raise BrokerUnavailable("gone")
        return snapshots[0]

    discover = Discovery(NamespaceCollector({"ns": SnapshotCache(look, cache_seconds=0)}))
    assert discover(Request("/sd")).status == 503
    snapshots.append(replace(BASE, workers=(serving,)))
    known = discover(Request("/sd"))
    assert b"10.0.0.1:9850" in known.body
    snapshots.clear()
    assert discover(Request("/sd")) == known


def test_a_scrape_costs_the_server_a_bounded_number_of_commands(valkey_server: Server) -> None:
    """In the steady state one round trip; no command that is dear; the bill is in the metrics."""
    engine = Engine(RedisBroker(valkey_server.client()), namespace=f"cost-{uuid4().hex[:8]}")
    for number in range(10):
        engine.task(lambda: None, name=f"task-{number}", queue=f"queue-{number}")
        engine.schedule(f"task-{number}")
    look: Callable[..., NamespaceSnapshot] = lambda known: engine.broker.snapshot(known=known)  # noqa: E731
    registry = CollectorRegistry()
    registry.register(NamespaceCollector({engine.namespace: SnapshotCache(look, cache_seconds=0)}))
    labels = {"spinach_namespace": engine.namespace}
    registry.get_sample_value("spinach_redis_up", labels)
    client = valkey_server.client()
    client.config_resetstat()
    assert registry.get_sample_value("spinach_snapshot_round_trips", labels) == 1
    used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert not used & {"keys", "scan", "smembers", "hgetall", "hvals", "eval", "evalsha", "monitor", "sort"}
    commands = registry.get_sample_value("spinach_snapshot_commands", labels)
    assert commands is not None
    assert commands <= 20 + 4 * 10 + 2
    engine.broker.flush()
