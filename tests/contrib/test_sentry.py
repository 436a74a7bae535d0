"""Sentry, with a real client whose events stay here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import sentry_sdk
from sentry_sdk.consts import DEFAULT_OPTIONS
from sentry_sdk.envelope import Envelope
from sentry_sdk.scope import Scope
from sentry_sdk.transport import Transport

from spinach import AsyncioWorkers, Batch, Engine, MemoryBroker, RetryException, ThreadWorkers
from spinach.contrib.sentry_sdk_spinach import SpinachIntegration
from spinach.exc import UnknownTask
from spinach.signals import job_failed
from tests.contrib.conftest import drain

BOTH_WORKERS = pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])


class Captured(Transport):
    """Keeps events instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.append(envelope.get_event())


@pytest.fixture
def connect() -> Iterator[Callable[..., list[Any]]]:
    """Set up Sentry; returns the list of captured events."""

    # Default integrations would patch this process for good; they are tested in another one.
    def connect(*integrations: Any, **options: Any) -> list[Any]:
        transport = Captured()
        sentry_sdk.init(
            dsn="http://key@localhost/1", transport=transport, default_integrations=False,
            integrations=integrations, **options,
        )  # fmt: skip
        return transport.events

    yield connect
    Scope.get_global_scope().set_client(None)


@pytest.fixture
def failing(engine: Engine) -> Engine:
    @engine.task(name="fails")
    def fails(secret: str) -> None:
        raise ValueError("on purpose")

    return engine


@BOTH_WORKERS
def test_a_failure_is_sent_with_the_fields_of_its_job(
    failing: Engine, connect: Callable[..., list[Any]], workers: Any
) -> None:
    """An event has the task as transaction, the exception, and the job's fields but not its arguments."""
    events = connect(SpinachIntegration())
    job = failing.schedule("fails", "hush")
    drain(failing, workers_class=workers)
    (event,) = events
    assert event["transaction"] == "fails"
    assert event["transaction_info"] == {"source": "task"}
    (exception,) = event["exception"]["values"]
    assert (exception["type"], exception["value"]) == ("ValueError", "on purpose")
    assert exception["mechanism"] == {"type": "spinach", "handled": False}
    assert exception["stacktrace"]["frames"][-1]["function"] == "fails"
    extra = event["extra"]
    assert (extra["id"], extra["queue"], extra["status"]) == (str(job.id), "spinach", "FAILED")
    assert (extra["max_retries"], extra["retries"]) == (0, 0)
    assert "hush" not in str(extra)


@pytest.mark.filterwarnings("ignore:The send_default_pii option:DeprecationWarning")
@pytest.mark.parametrize("option", [{"send_default_pii": True}, {"data_collection": {"queues": True}}])
def test_arguments_are_sent_on_request(
    failing: Engine, connect: Callable[..., list[Any]], option: dict[str, Any]
) -> None:
    """With `send_default_pii`, or what took its place, the event carries the arguments of the job."""
    if not option.keys() <= DEFAULT_OPTIONS.keys():
        pytest.skip("this release of sentry-sdk does not know the option")
    events = connect(SpinachIntegration(), **option)
    failing.schedule("fails", secret="hush")
    drain(failing)
    assert events[0]["extra"]["task_kwargs"] == {"secret": "hush"}


@pytest.mark.parametrize("send_retries", [False, True])
def test_retries_are_sent_on_request(
    engine: Engine, connect: Callable[..., list[Any]], send_retries: bool
) -> None:
    """The error of an attempt that is retried is sent with `send_retries` only."""
    events = connect(SpinachIntegration(send_retries=send_retries))

    @engine.task(name="again", max_retries=1)
    def again() -> None:
        raise RetryException("busy")

    engine.schedule("again")
    drain(engine)
    assert [event["extra"]["retries"] for event in events] == ([1] if send_retries else [])


@BOTH_WORKERS
def test_jobs_do_not_hear_of_each_other(
    engine: Engine, connect: Callable[..., list[Any]], workers: Any
) -> None:
    """What a job reports itself names its task; its tags and breadcrumbs end with it."""
    events = connect(SpinachIntegration())

    @engine.task(name="reports")
    async def reports(number: int) -> None:
        sentry_sdk.set_tag(f"tag-{number}", "set")
        sentry_sdk.add_breadcrumb(message=f"crumb {number}")
        await asyncio.sleep(0)
        sentry_sdk.capture_message(f"message {number}")

    batch = Batch()
    for number in range(5):
        batch.schedule("reports", number)
    engine.schedule_batch(batch)
    drain(engine, workers_class=workers)
    assert len(events) == 5
    for event in events:
        number = event["message"].split()[1]
        assert event["transaction"] == "reports"
        assert event["tags"] == {f"tag-{number}": "set"}
        assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == [f"crumb {number}"]
    assert len({event["contexts"]["trace"]["trace_id"] for event in events}) == 5


def test_a_job_that_never_started_is_sent_too(connect: Callable[..., list[Any]]) -> None:
    """The failure of a job whose task is unknown here is sent, although no attempt began."""
    events = connect(SpinachIntegration())
    broker, namespace = MemoryBroker(), f"contrib-{uuid4().hex[:8]}"
    engine = Engine(broker, namespace=namespace)
    engine.task(lambda: None, name="known")
    engine.schedule("known")
    engine._tasks.tasks.clear()
    drain(engine)
    (event,) = events
    assert event["transaction"] == "known"
    assert event["exception"]["values"][0]["type"] == UnknownTask.__name__


def test_a_client_without_the_integration_hears_nothing(
    failing: Engine, connect: Callable[..., list[Any]]
) -> None:
    """Once set up in a process, it stays silent for clients that did not ask for it."""
    connect(SpinachIntegration())
    events = connect()
    failing.schedule("fails", "hush")
    drain(failing)
    assert job_failed.receivers
    assert events == []


PROGRAM = """
import json, logging
import sentry_sdk
from sentry_sdk.transport import Transport
from spinach import Engine, MemoryBroker
from spinach.contrib.sentry_sdk_spinach import SpinachIntegration

events = []

class Captured(Transport):
    def capture_envelope(self, envelope):
        events.append(envelope.get_event())

engine = Engine(MemoryBroker())

@engine.task(name="fails")
def fails():
    logging.getLogger("shop").warning("about to fail")
    raise ValueError("on purpose")

logging.basicConfig()
sentry_sdk.init(dsn="http://key@localhost/1", transport=Captured(), integrations=[SpinachIntegration()])
engine.schedule("fails")
engine.start_workers(stop_when_queue_empty=True)
print(json.dumps([
    [event["transaction"], event["exception"]["values"][0]["mechanism"]["type"],
     [crumb["message"] for crumb in event["breadcrumbs"]["values"]]]
    for event in events
]))
"""


def test_a_failure_is_sent_once_beside_the_default_integrations(run_program: Callable[..., Any]) -> None:
    """Sentry's logging integration does not send the engine's log of the same failure."""
    assert run_program(PROGRAM) == [["fails", "spinach", ["about to fail"]]]
