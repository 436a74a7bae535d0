"""What a server does to its clients: restarts, kills, flushes, pauses, full memory. Workers go on by
themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest

from spinach import Batch
from spinach.exc import BrokerUnavailable, EnqueueUncertain
from tests.checker import read_places, settled, violations
from tests.fleet import Fleet
from tests.servers import Server
from tests.waiting import wait_until

MakeFleet = Callable[..., Fleet]
MakeServer = Callable[..., Server]
KINDS = ("valkey", "redis70")


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, make_server: MakeServer) -> Server:
    """A server of the test's own, which survives a kill with all that it acknowledged."""
    return make_server(request.param, "--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def fleet(server: Server, make_fleet: MakeFleet) -> Fleet:
    return make_fleet(server)


@pytest.fixture
def pressed(fleet: Fleet) -> Iterator[Callable[[], None]]:  # noqa: C901
    """Press on the fleet with jobs of every kind; the returned function ends that and checks the promises."""
    workers = [fleet.ours(threshold=10) for _ in range(2)]
    engine = fleet.engine(enqueue_job_max_retries=8)
    jobs, stop = [], threading.Event()
    errors: list[BaseException] = []

    def press() -> None:
        turn = 0
        while not stop.wait(0.05):
            batch, turn = Batch(), turn + 1
            for kind in ("once", "safe", "limited"):
                for index in range(3):
                    batch.schedule(kind, f"{kind}-{turn}-{index}", 0.01)
            batch.schedule("flaky", f"flaky-{turn}", 1)
            batch.schedule_at("safe", datetime.now(timezone.utc) + timedelta(seconds=0.5), f"dated-{turn}")
            try:
                jobs.extend(engine.schedule_batch(batch))
            except EnqueueUncertain:  # allowed to be in, not counted
                continue
            except BrokerUnavailable:
                continue
            except BaseException as error:
                errors.append(error)
                return

    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    wait_until(lambda: len(fleet.ends()) > 20, "jobs run")

    def check() -> None:
        before = len(jobs)
        wait_until(lambda: len(jobs) > before + 30 or errors, "jobs are accepted again")
        stop.set()
        thread.join(20)
        assert errors == []
        try:
            wait_until(lambda: settled(fleet, jobs), "all work is done")
        finally:
            broken = violations(fleet, jobs)
        assert broken == [], fleet.describe()
        assert read_places(fleet).failed == {}
        limits = {"flaky": 2}
        wrong = {tag: n for tag, n in fleet.starts().items() if n != limits.get(tag.split("-")[0], 1)}
        assert wrong == {}, "no worker died, so nothing is repeated"
        assert len(fleet.registered()) == 2
        assert [worker.stop() for worker in workers] == [0, 0]
        assert fleet.registered() == []
        assert fleet.running() == {}

    yield check
    stop.set()
    thread.join(20)


@pytest.mark.slow
def test_a_restart_of_the_server_loses_and_repeats_nothing(
    fleet: Fleet, server: Server, pressed: Callable[[], None]
) -> None:
    """A server that is killed and comes back with its append-only file costs no job, and no worker a
    restart.
    """
    for _ in range(2):
        before = len(fleet.ends())
        server.restart()
        wait_until(lambda b=before: len(fleet.ends()) > b + 30, "jobs run again")  # type: ignore[misc]
    pressed()


@pytest.mark.slow
def test_killed_connections_and_forgotten_scripts_harm_nothing(
    fleet: Fleet, pressed: Callable[[], None]
) -> None:
    """CLIENT KILL of every kind, SCRIPT FLUSH and CLIENT PAUSE: workers go on by themselves."""
    for command in (
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("CLIENT", "KILL", "TYPE", "pubsub"),
        ("SCRIPT", "FLUSH"),
        ("CLIENT", "PAUSE", "700", "ALL"),
        ("CLIENT", "PAUSE", "700", "WRITE"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("SCRIPT", "FLUSH"),
    ):
        before = len(fleet.ends())
        fleet.redis.execute_command(*command)
        wait_until(lambda b=before: len(fleet.ends()) > b + 20, f"jobs run after {' '.join(command)}")  # type: ignore[misc]
    pressed()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_with_memory_full_work_goes_on_and_nobody_is_called_dead(
    make_server: MakeServer, make_fleet: MakeFleet, kind: str
) -> None:
    """With maxmemory reached scheduling is refused, what is queued runs, and nobody is called dead.

    What runs is acknowledged, fails and is retried as ever; with room again all goes on.
    """
    fleet = make_fleet(make_server(kind))
    names = ("worker_lost", "job_recovered", "job_failed")
    workers = [fleet.ours(threshold=3, signals=names, number=2) for _ in range(2)]
    engine = fleet.engine(enqueue_job_max_retries=1)
    batch = Batch()
    for index in range(250):
        batch.schedule("once", f"once-{index}", 0.05)
    for index in range(10):
        batch.schedule("flaky", f"flaky-{index}", 1)
        batch.schedule("once", f"fails-{index}", 0, True)
        batch.schedule("limited", f"limited-{index}")
    jobs = engine.schedule_batch(batch)
    registered = set(fleet.registered())
    wait_until(lambda: len(fleet.ends()) > 5, "jobs run")
    fleet.redis.config_set("maxmemory", "1mb")
    fleet.redis.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(BrokerUnavailable, match="not accepted") as refused:
        engine.schedule("safe", "refused")
    assert not isinstance(refused.value, EnqueueUncertain)
    assert "memory" in str(refused.value)
    try:
        wait_until(lambda: not read_places(fleet).queued, "what is queued runs while memory is full", 25)
        wait_until(lambda: not read_places(fleet).running, "and is acknowledged", 15)
        full_until = fleet.redis.time()[0] + 5
        sights = fleet.key("_all_brokers_zset")
        wait_until(
            lambda: all(
                sight > full_until for _, sight in fleet.redis.zrange(sights, 0, -1, withscores=True)
            ),
            "heartbeats count while memory is full",
        )
    finally:
        fleet.redis.config_set("maxmemory", "0")
    tags = {job.task_args[0] for job in jobs}
    fleet.wait_for_ends(tag for tag in tags if not tag.startswith("fails"))
    assert fleet.lines("signal", signal="worker_lost") == []
    assert set(fleet.registered()) == registered
    assert {tag for tag, count in fleet.starts().items() if count != (2 if "flaky" in tag else 1)} == set()
    assert set(read_places(fleet).failed.values()) == {"failed"}
    fleet.wait_for_ends([engine.schedule("safe", "after").task_args[0]])
    assert [worker.stop() for worker in workers] == [0, 0]
