"""Flask applications with background jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import flask
import pytest
from flask import Flask, current_app

from spinach import AsyncioWorkers, Batch, Engine, MemoryBroker, Tasks, signals
from spinach.contrib.flask_spinach import Spinach
from spinach.execution import Attempt
from tests.contrib.conftest import drain, run_to_end
from tests.servers import Server


def make_app(**config: Any) -> Flask:
    app = Flask("shop")
    app.config.from_mapping(SPINACH_BROKER=MemoryBroker(), **config)
    return app


@pytest.fixture
def app() -> Flask:
    return make_app(SPINACH_NAMESPACE=f"flask-{uuid4().hex[:8]}")


@pytest.fixture
def spinach(app: Flask) -> Iterator[Spinach]:
    spinach = Spinach(app)
    yield spinach
    spinach.engine.stop_workers()


def test_a_view_schedules_and_the_job_has_an_application_context(app: Flask, spinach: Spinach) -> None:
    """A view schedules a job, and the job runs in the context of the application."""
    seen = []

    @spinach.task(name="greet")
    def greet(name: str) -> None:
        seen.append((name, current_app.name))

    @app.get("/<name>")
    def index(name: str) -> str:
        return str(spinach.schedule("greet", name).id)

    assert app.test_client().get("/ann").status_code == 200
    drain(spinach.engine)
    assert seen == [("ann", "shop")]


@pytest.mark.parametrize("coroutine", [False, True])
def test_jobs_of_asyncio_workers_have_an_application_context(spinach: Spinach, coroutine: bool) -> None:
    """Asyncio workers keep the context too, for coroutines and for functions they hand to a thread."""
    seen = []

    def plain() -> None:
        seen.append(current_app.name)

    async def awaited() -> None:
        seen.append(current_app.name)

    spinach.add(awaited if coroutine else plain, name="job")
    spinach.schedule("job")
    drain(spinach.engine, workers_class=AsyncioWorkers)
    assert seen == ["shop"]


def test_each_job_has_a_context_of_its_own_that_is_torn_down(app: Flask, spinach: Spinach) -> None:
    """What a job leaves in `flask.g` is gone for the next, and teardown functions hear what it raised."""
    errors: list[BaseException | None] = []
    before = []
    app.teardown_appcontext(errors.append)

    @spinach.task(name="fails")
    def fails() -> None:
        before.append(flask.g.get("user"))
        flask.g.user = "ann"
        raise ValueError("on purpose")

    batch = Batch()
    batch.schedule(fails)
    batch.schedule(fails)
    spinach.schedule_batch(batch)
    drain(spinach.engine)
    assert before == [None, None]
    assert [type(error) for error in errors] == [ValueError, ValueError]


def test_receivers_of_failures_run_in_the_application_context(spinach: Spinach) -> None:
    """A receiver of `job_failed` can use the application."""
    seen = []

    @spinach.task(name="fails")
    def fails() -> None:
        raise ValueError("on purpose")

    def receive(_namespace: str, err: BaseException) -> None:
        seen.append((str(err), current_app.name))

    with signals.job_failed.connected_to(receive, sender=spinach.engine.namespace):
        spinach.schedule(fails)
        drain(spinach.engine)
    assert seen == [("on purpose", "shop")]


def test_a_job_scheduled_for_a_date_waits(spinach: Spinach) -> None:
    """`schedule_at` and `execute` are those of the engine."""
    spinach.add(lambda: 42, name="answer")
    job = spinach.schedule_at("answer", datetime(2999, 1, 1, tzinfo=timezone.utc))
    assert job.at.year == 2999
    assert spinach.execute("answer") == 42


def test_defaults() -> None:
    """The namespace is the name of the application, the broker Redis; making it connects to nothing."""
    app = Flask("shop")
    engine = Spinach(app).engine
    assert engine.namespace == "shop"
    assert type(engine._broker).__name__ == "RedisBroker"


def test_a_broker_that_is_none_is_refused() -> None:
    """A `SPINACH_BROKER` of another type is refused with a message that says what is expected."""
    app = Flask("shop")
    app.config["SPINACH_BROKER"] = "redis://localhost"
    with pytest.raises(TypeError, match="'redis://localhost', expected a broker"):
        Spinach(app)


# --- application factories -------------------------------------------------------------------------


def test_one_extension_serves_several_applications() -> None:
    """Tasks declared before or after an application belong to all, jobs to the current one."""
    spinach = Spinach()
    seen = []

    @spinach.task(name="early")
    def early() -> None:
        seen.append(("early", current_app.config["SPINACH_NAMESPACE"]))

    apps = [make_app(SPINACH_NAMESPACE=f"flask-{uuid4().hex[:8]}") for _ in range(2)]
    for app in apps:
        spinach.init_app(app)

    @spinach.task(name="late")
    def late() -> None:
        seen.append(("late", current_app.config["SPINACH_NAMESPACE"]))

    expected = []
    for app in apps:
        with app.app_context():
            spinach.schedule(early)
            spinach.schedule(late)
            drain(spinach.engine)
        expected += [("early", app.config["SPINACH_NAMESPACE"]), ("late", app.config["SPINACH_NAMESPACE"])]
    assert sorted(seen) == sorted(expected)


def test_a_registry_of_a_blueprint_is_attached_to_one_application(app: Flask) -> None:
    """`register_tasks(app, tasks)` attaches a registry that knows nothing of the application."""
    tasks = Tasks()
    tasks.add(lambda: None, name="auth:welcome")
    spinach = Spinach()
    spinach.init_app(app)
    spinach.register_tasks(app, tasks)
    assert tasks.schedule("auth:welcome").task_name == "auth:welcome"


def test_an_unknown_application_is_told_to_call_init_app(app: Flask) -> None:
    """Without `init_app` for the current application, or for any, the message says so."""
    spinach = Spinach()
    with pytest.raises(RuntimeError, match=r"call init_app\(app\) first"):
        spinach.schedule("anything")
    spinach.init_app(app)
    with Flask("other").app_context(), pytest.raises(RuntimeError, match="'other' is not known"):
        spinach.schedule("anything")


def test_an_application_is_initialized_once(app: Flask, spinach: Spinach) -> None:
    """A second extension for the same application is refused: two engines would run."""
    with pytest.raises(RuntimeError, match="already"):
        Spinach().init_app(app)


def test_subclasses_replace_broker_engine_and_context() -> None:
    """A subclass decides what broker and engine are made, and what surrounds a job."""
    seen = []

    class Custom(Spinach):
        def make_broker(self, app: Flask) -> MemoryBroker:
            return MemoryBroker()

        def make_engine(self, app: Flask, broker: Any) -> Engine:
            return Engine(broker, namespace="custom")

        @contextmanager
        def job_context(self, app: Flask, attempt: Attempt) -> Iterator[None]:
            with app.test_request_context(f"/jobs/{attempt.job.task_name}"):
                yield

    spinach = Custom(Flask("shop"))
    spinach.add(lambda: seen.append(flask.request.path), name="job")
    spinach.schedule("job")
    drain(spinach.engine)
    assert seen == ["/jobs/job"]
    assert spinach.engine.namespace == "custom"


# --- the command ------------------------------------------------------------------------------------


def test_the_command_runs_jobs_of_a_queue(app: Flask, spinach: Spinach) -> None:
    """`flask spinach` serves the given queue with the given number of threads."""
    seen: list[str] = []
    workers: list[str] = []
    spinach.add(lambda: seen.append("mail"), name="mail", queue="mail")
    spinach.add(lambda: seen.append("other"), name="other")
    spinach.schedule("mail")
    spinach.schedule("other")

    def receive(_namespace: str, worker_name: str) -> None:
        workers.append(worker_name)

    with signals.worker_started.connected_to(receive, sender=spinach.engine.namespace):
        result = app.test_cli_runner().invoke(
            args=["spinach", "--threads", "3", "--queue", "mail", "--stop-when-queue-empty"]
        )
    assert result.exit_code == 0, result.output
    assert seen == ["mail"]
    assert len(workers) == 3


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--threads", "0"], "0 is not in the range"), (["--queue", "_x"], "reserved")]
)
@pytest.mark.usefixtures("spinach")
def test_the_command_refuses_nonsense(app: Flask, arguments: list[str], message: str) -> None:
    """A wrong option ends the command with exit code 2 and a message."""
    result = app.test_cli_runner().invoke(args=["spinach", *arguments])
    assert result.exit_code == 2
    assert message in result.output


FACTORY = """
import os, redis
from flask import Flask, current_app
from spinach import RedisBroker
from spinach.contrib.flask_spinach import Spinach

spinach = Spinach()

@spinach.task(name="touch")
def touch(path):
    open(path, "w").write(current_app.name)

def create_app():
    app = Flask("factory")
    app.config["SPINACH_BROKER"] = RedisBroker(redis.Redis(port=int(os.environ["PORT"])))
    app.config["SPINACH_NAMESPACE"] = os.environ["NAMESPACE"]
    spinach.init_app(app)
    return app
"""


def test_the_command_of_a_real_process(tmp_path: Path, valkey_server: Server) -> None:
    """`flask --app ... spinach` finds the factory, runs what another process scheduled, and ends."""
    (tmp_path / "shop.py").write_text(FACTORY)
    environment = {"PORT": str(valkey_server.port), "NAMESPACE": f"flask-{uuid4().hex[:8]}"}
    target = tmp_path / "touched"
    client = f"import shop; app = shop.create_app(); shop.spinach.schedule('touch', {os.fspath(target)!r})"
    run_to_end("-c", client, cwd=tmp_path, **environment)
    command = ("-m", "flask", "--app", "shop", "spinach", "--stop-when-queue-empty")
    run_to_end(*command, cwd=tmp_path, **environment)
    assert target.read_text() == "factory"


def test_the_command_without_a_broker_says_so(tmp_path: Path) -> None:
    """A broker that cannot be reached ends the command with a message, not a traceback."""
    (tmp_path / "shop.py").write_text(FACTORY)
    command = ("-m", "flask", "--app", "shop", "spinach")
    done = run_to_end(*command, cwd=tmp_path, expect=1, PORT="1", NAMESPACE="nowhere")
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr
