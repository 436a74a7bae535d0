"""What the runbooks let a person paste does what they say."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType

import pytest

from spinach import AbortException, Engine, RedisBroker, Tasks
from tests.dashboards.helpers import FOLDER
from tests.servers import Server

RUNBOOKS = (FOLDER.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the only block of code in a language."""
    (found,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```", RUNBOOKS)
    return str(found)


@pytest.fixture
def engine(valkey_server: Server) -> Iterator[Engine]:
    client = valkey_server.client()
    engine = Engine(RedisBroker(client), namespace="runbooks")
    engine.broker.flush()
    yield engine
    engine.broker.flush()
    client.close()


def test_failed_jobs_are_scheduled_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet schedules the failed jobs of its task again, with their arguments, and no others."""
    tasks, heard = Tasks(), []

    def fail(*arguments: object, **named: object) -> None:
        heard.append((arguments, named))
        raise AbortException

    for name in ("mail:send", "other"):
        tasks.add(fail, name)
    engine.attach_tasks(tasks)
    engine.schedule("mail:send", 1, to="a")
    engine.schedule("other", 2)
    engine.start_workers(number=1, block=True, stop_when_queue_empty=True)
    assert len(heard) == 2
    jobs = ModuleType("shop.jobs")
    jobs.__dict__["engine"] = engine
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.jobs", jobs)
    exec(compile(block("python"), "runbook", "exec"), {})
    engine.start_workers(number=1, block=True, stop_when_queue_empty=True)
    assert heard[2:] == [((1,), {"to": "a"})]


def test_periodic_task_is_removed(engine: Engine, valkey_server: Server) -> None:
    """The commands remove one periodic task from the namespace, and leave the others."""
    tasks = Tasks()
    for name in ("report:nightly", "report:weekly"):
        tasks.add(print, name, periodicity=timedelta(days=1))
    engine.attach_tasks(tasks)
    engine.broker.register(engine.tasks.values())
    with valkey_server.client() as client:
        for line in block("sh").splitlines():
            command, option, url, *words = shlex.split(line)
            assert (command, option, url) == ("redis-cli", "-u", "$SPINACH_REDIS_URL")
            assert client.execute_command(*(word.replace("NS/", "runbooks/") for word in words)) == 1
    assert [name for _, name in engine.broker.inspect_periodic_tasks()] == ["report:weekly"]
