"""Periodic tasks that are gone from the code: one warning, no dead letters, a finding, and a command to
remove them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from redis import Redis

from spinach import Engine, RedisBroker
from spinach_ops.commands.main import main
from tests.servers import Server
from tests.waiting import wait_until


@pytest.fixture
def namespace() -> str:
    return f"periodic-{uuid4().hex[:8]}"


@pytest.fixture
def redis(valkey_server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setenv("SPINACH_REDIS_URL", valkey_server.url)
    monkeypatch.setenv("SPINACH_NAMESPACE", namespace)
    client = valkey_server.client()
    yield client
    broker = RedisBroker(client)
    broker.namespace = namespace
    broker.flush()


def engine_with(redis: Redis, namespace: str, name: str) -> Engine:
    engine = Engine(RedisBroker(redis), namespace=namespace)
    engine.task(lambda: None, name=name, periodicity=timedelta(seconds=1))
    return engine


def test_a_task_gone_from_the_code(
    redis: Redis, namespace: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes no dead letters and one line in the log; doctor names the remedy, which removes it."""
    earlier = engine_with(redis, namespace, "gone")
    earlier.start_workers(1, block=False)
    earlier.stop_workers()
    worker = engine_with(redis, namespace, "kept")
    runs: list[object] = []
    worker.tasks["kept"].func = lambda: runs.append(None)
    with caplog.at_level(logging.WARNING, "spinach"):
        worker.start_workers(1, block=False)
        try:
            wait_until(lambda: len(runs) >= 3, "the other task runs")
            lines = [record.getMessage() for record in caplog.records]
            assert len(lines) == 1, lines
            assert "'gone'" in lines[0]
            assert "spinach-ops periodic --remove gone" in lines[0]
            assert worker.broker.failed_jobs() == []
            assert main(["doctor"]) == 0
            assert "spinach-ops periodic --remove gone" in capsys.readouterr().out
            assert main(["periodic", "--remove", "kept"]) == 2
            assert "restart the workers first" in capsys.readouterr().err
            assert main(["periodic"]) == 0
            assert "no worker has it" in capsys.readouterr().out
            assert main(["periodic", "--remove", "gone"]) == 0
            assert capsys.readouterr().out == "removed periodic task gone\n"
            assert main(["periodic", "--remove", "gone"]) == 2
            assert "has no periodic task 'gone'; it has: kept" in capsys.readouterr().err
            assert main(["periodic", "--json"]) == 0
            document = json.loads(capsys.readouterr().out)
            assert [(one["task_name"], one["abandoned"]) for one in document["periodic"]] == [("kept", False)]
        finally:
            worker.stop_workers()


def test_no_periodic_tasks(redis: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    """A namespace without periodic tasks says so."""
    assert main(["periodic"]) == 0
    assert capsys.readouterr().out == "no periodic tasks\n"
