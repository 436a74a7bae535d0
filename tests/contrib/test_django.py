"""Django projects with background jobs; each test runs a real project's manage.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contrib.django_project import AWAY, Project
from tests.servers import Server


@pytest.fixture
def make_project(tmp_path: Path, valkey_server: Server) -> Callable[..., Project]:
    def make(settings: str = "", tasks: str = "") -> Project:
        return Project(tmp_path, valkey_server.port, settings, tasks)

    return make


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project()


# --- the engine and its tasks ------------------------------------------------------------------------


def test_a_job_of_an_installed_app_is_run_by_the_command(project: Project) -> None:
    """The module `tasks` of an installed app is found, and `manage.py spinach` runs what was scheduled by
    name.
    """
    project.run("spin.schedule('note', 'out', 'a'); spin.schedule('note', path='out', text='b')")
    project.work("--threads", "1")
    assert (project.folder / "out").read_text() == "ab"


def test_a_registry_and_the_engine_both_schedule(make_project: Callable[..., Project]) -> None:
    """Tasks are scheduled through the app's registry, or declared on `spin` itself."""
    project = make_project(
        tasks="""
from spinach.contrib.spinachd import spin

@spin.task(name="direct")
def direct(path):
    Path(path).write_text("direct")
"""
    )
    project.run("""
from shop.tasks import direct, note, tasks
tasks.schedule(note, "noted", "text")
spin.schedule(direct, "direct")
""")
    project.work()
    assert (project.folder / "noted").read_text() == "text"
    assert (project.folder / "direct").read_text() == "direct"


def test_an_app_may_use_the_name_tasks_for_something_else(make_project: Callable[..., Project]) -> None:
    """A module `tasks` without a registry is left alone."""
    project = make_project(tasks="tasks = ['buy milk']")
    project.manage("check")


def test_the_command_serves_one_queue(make_project: Callable[..., Project]) -> None:
    """`--queue` leaves the jobs of other queues where they are."""
    project = make_project(tasks="tasks.add(note, name='mail', queue='mail')")
    project.run("spin.schedule('mail', 'mail', 'x'); spin.schedule('note', 'other', 'x')")
    project.work("--queue", "mail")
    assert (project.folder / "mail").exists()
    assert not (project.folder / "other").exists()


@pytest.mark.parametrize("arguments", [["--threads", "0"], ["--queue", "_reserved"]])
def test_the_command_refuses_nonsense(project: Project, arguments: list[str]) -> None:
    """A wrong option is a command error with a message."""
    printed = project.manage("spinach", *arguments, expect=1)
    assert "CommandError" in printed
    assert "Traceback" not in printed


def test_defaults_need_no_broker(project: Project) -> None:
    """Without settings the namespace is `spinach`, and commands that schedule nothing need no broker."""
    project.set("del SPINACH_BROKER, SPINACH_NAMESPACE\n")
    project.manage("check")
    assert project.run("print(json.dumps(spin.namespace))") == "spinach"


def test_a_broker_that_is_none_is_refused(project: Project) -> None:
    """A `SPINACH_BROKER` of another type is refused with a message that says what is expected."""
    project.set("SPINACH_BROKER = 'redis://localhost'\n")
    assert "expected a broker" in project.manage("check", expect=1)


def test_the_command_without_a_broker_says_so(project: Project) -> None:
    """A broker that cannot be reached is a command error, not a traceback."""
    project.set(AWAY)
    printed = project.manage("spinach", expect=1)
    assert "CommandError" in printed
    assert "Traceback" not in printed


# --- sessions -------------------------------------------------------------------------------------


def test_expired_sessions_are_cleared(project: Project) -> None:
    """The task deletes sessions that are over, and only those."""
    project.manage("migrate", "-v", "0")
    project.run("""
from django.contrib.sessions.backends.db import SessionStore
for seconds in (-60, 60):
    session = SessionStore()
    session.set_expiry(seconds)
    session.create()
spin.schedule("spinachd:clear_expired_sessions")
""")
    project.work()
    left = "from django.contrib.sessions.models import Session; print(Session.objects.count())"
    assert project.run(left) == 1


@pytest.mark.parametrize("setting",
    ["", "import datetime\nSPINACH_CLEAR_SESSIONS_PERIODICITY = datetime.timedelta(weeks=1)\n"])  # fmt: skip
def test_sessions_are_cleared_regularly_on_request(project: Project, setting: str) -> None:
    """Workers clear sessions at the interval of the setting, and never without it."""
    project.set(setting)
    project.work()
    periodic = [entry[1] for entry in project.engine._broker.inspect_periodic_tasks()]
    assert periodic == (["spinachd:clear_expired_sessions"] if setting else [])


# --- database connections ---------------------------------------------------------------------------

QUERIES = """
import asyncio
from asgiref.sync import sync_to_async
from django.db import connection, connections

opened = []

def query():
    opened.append(connection.connection is not None)
    connection.cursor().execute("SELECT 1")

tasks.add(query, name="plain")

@tasks.task(name="coroutine")
async def coroutine():
    await sync_to_async(query)()
"""

RUN_TWO = """
from shop import tasks
from spinach import AsyncioWorkers, ThreadWorkers
spin.schedule({task!r})
spin.schedule({task!r})
spin.start_workers(number=1, stop_when_queue_empty=True, workers_class={workers})
print(json.dumps(tasks.opened))
"""


@pytest.mark.parametrize("workers", ["ThreadWorkers", "AsyncioWorkers"])
@pytest.mark.parametrize("task", ["plain", "coroutine"])
def test_no_job_finds_the_connection_of_another(
    make_project: Callable[..., Project], task: str, workers: str
) -> None:
    """Connections are closed after each job, in the thread they belong to."""
    project = make_project(tasks=QUERIES)
    assert project.run(RUN_TWO.format(task=task, workers=workers)) == [False, False]


def test_connections_live_as_long_as_the_settings_say(make_project: Callable[..., Project]) -> None:
    """With `CONN_MAX_AGE` the next job uses the connection again; it ends with the worker's thread."""
    project = make_project(settings="DATABASES['default']['CONN_MAX_AGE'] = 600\n", tasks=QUERIES)
    code = RUN_TWO.format(task="plain", workers="ThreadWorkers")
    assert project.run(f"""
from django.db.backends.signals import connection_created
made = []
connection_created.connect(lambda connection, **_: made.append(connection), weak=False)
{code}
print(json.dumps([tasks.opened, [connection.connection is not None for connection in made]]))
""") == [[False, True], [False]]
