"""Tasks as people write them: wrapped functions, odd callables, parameters that are called `task` or `at`."""

from __future__ import annotations

import functools
from collections import UserString
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from enum import Enum, IntEnum
from typing import Any

import pytest

from spinach import AbortException, Batch, Engine, MemoryBroker, RetryException, Tasks
from spinach.exc import InvalidJobArguments, InvalidJobSignatureError
from spinach.job import Job
from spinach.retry import Verdict, decide

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def engine() -> Engine:
    return Engine(MemoryBroker())


def supply_first(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(number: int) -> Any:
        return function("supplied", number)

    return wrapper


def test_the_callable_itself_decides_which_arguments_fit(engine: Engine) -> None:
    """A decorator made with `functools.wraps` that supplies an argument: its own signature counts."""

    @engine.task(name="wrapped")
    @supply_first
    def wrapped(connection: str, number: int) -> None: ...

    engine.schedule("wrapped", 1)
    with pytest.raises(InvalidJobSignatureError):
        engine.schedule("wrapped", "connection", 1)


@pytest.mark.parametrize("name", ["task", "at", "self", "batch", "name"])
def test_parameters_may_have_any_name(engine: Engine, name: str) -> None:
    """A function with a parameter called `task`, `at` or `self` takes it by name."""
    function: Any = {
        "task": lambda task: task, "at": lambda at: at, "self": lambda self: self,
        "batch": lambda batch: batch,
        "name": lambda name: name,
    }[name]  # fmt: skip
    engine._tasks.add(function, name="odd")
    tasks, batch = Tasks(), Batch()
    tasks.bind(engine)
    batch.schedule("odd", **{name: 1})
    batch.schedule_at("odd", NOW, **{name: 1})
    jobs = [
        engine.schedule("odd", **{name: 1}), engine.schedule_at("odd", NOW, **{name: 1}),
        tasks.schedule("odd", **{name: 1}), *engine.schedule_batch(batch),
    ]  # fmt: skip
    assert [job.task_kwargs for job in jobs] == [{name: 1}] * 5
    assert engine.execute("odd", **{name: 1}) == 1


def test_task_and_date_may_be_given_by_name(engine: Engine) -> None:
    """Calls that name `task=` and `at=` work as before."""
    engine._tasks.add(lambda number: number, name="plain")
    assert engine.schedule(task="plain", number=1).task_kwargs == {"number": 1}
    assert engine.schedule_at(task="plain", at=NOW, number=1).at == NOW
    assert engine.schedule_at("plain", at=NOW, number=1).at == NOW
    with pytest.raises(TypeError, match="'task' is missing"):
        engine.schedule()
    with pytest.raises(TypeError, match="'at' is missing"):
        engine.schedule_at("plain")


class Slotted:
    __slots__ = ()

    def __call__(self) -> str:
        return "slotted"

    def method(self) -> str:
        return "method"


@pytest.mark.parametrize(
    "callable_", [Slotted().method, Slotted(), len, functools.partial(len, "abc"), str.upper]
)
def test_callables_without_room_for_attributes_are_tasks(engine: Engine, callable_: Any) -> None:
    """Bound methods, builtins and objects with slots can be tasks, scheduled by name."""
    assert engine.task(callable_, name="odd") is callable_
    assert engine.tasks["odd"].func is callable_


def test_one_function_under_two_names(engine: Engine) -> None:
    """Both names are tasks of their own; the function stands for the last one."""

    def function() -> None: ...

    engine.task(function, name="first")
    engine.task(function, name="second", max_retries=3)
    assert engine.schedule("first").max_retries == 0
    assert engine.schedule(function).task_name == "second"


def generate() -> Iterator[int]:
    yield 1


async def generate_later() -> AsyncIterator[int]:
    yield 1


class Generates:
    def __call__(self) -> Iterator[int]:
        yield 1

    def method(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "function", [generate, generate_later, Generates(), Generates().method, functools.partial(generate)]
)
def test_generator_functions_are_refused(engine: Engine, function: Any) -> None:
    """Their body would never run: the definition says so."""
    with pytest.raises(TypeError, match="generator function"):
        engine.task(function, name="generator")
    assert "generator" not in engine.tasks


def test_periodic_tasks_need_no_arguments(engine: Engine) -> None:
    """A periodic task whose function needs arguments is refused, since nobody gives them."""
    with pytest.raises(ValueError, match=r"periodic.*number"):
        engine.task(lambda number: number, name="needs", periodicity=timedelta(seconds=5))
    engine.task(lambda number=1, *rest, **more: number, name="default", periodicity=timedelta(seconds=5))


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ExceptionGroup("g", [ValueError(), AbortException("stop")]), Verdict.FAILED),
        (ExceptionGroup("g", [ExceptionGroup("inner", [AbortException("stop")])]), Verdict.FAILED),
        (ExceptionGroup("g", [AbortException("stop"), RetryException("again")]), Verdict.FAILED),
        (ExceptionGroup("g", [RetryException("again", at=NOW)]), Verdict.RETRIED),
        (BaseExceptionGroup("g", [KeyboardInterrupt(), RetryException("again", at=NOW)]), Verdict.RETRIED),
    ],
)
def test_groups_are_looked_into(error: BaseException, verdict: Verdict) -> None:
    """Abort and retry that were raised inside an exception group count as if raised alone."""
    outcome = decide(Job("t", "q", NOW, 3), error, now=NOW - timedelta(days=1))
    assert outcome.verdict is verdict
    assert outcome.at == (NOW if verdict is Verdict.RETRIED else None)


class Zone(datetime):
    """A subclass with arithmetic of its own, as pendulum's."""

    def __sub__(self, other: Any) -> Any:
        return "not a timedelta"

    def __rsub__(self, other: Any) -> Any:
        return "not a timedelta"

    def astimezone(self, tz: Any = None) -> Any:
        raise AttributeError("not the usual arguments")


@pytest.mark.parametrize("offset", [0, 5, -8])
def test_dates_of_any_class_are_the_moment_they_name(engine: Engine, offset: int) -> None:
    """A subclass of datetime is taken as the moment it names, in any zone."""
    engine._tasks.add(lambda: None, name="plain")
    zone = timezone(timedelta(hours=offset))
    job = engine.schedule_at("plain", Zone(2031, 5, 6, 7, 8, 9, 10, tzinfo=zone))
    assert job.at == datetime(2031, 5, 6, 7, 8, 9, 10, tzinfo=zone)
    assert type(job.at) is datetime
    assert Job.deserialize(job.serialize()).at == job.at


@pytest.mark.parametrize(
    "date",
    [
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_dates_out_of_range_are_a_clear_error(engine: Engine, date: datetime) -> None:
    """What UTC cannot represent is said at the call."""
    engine._tasks.add(lambda: None, name="plain")
    with pytest.raises(ValueError, match="out of range"):
        engine.schedule_at("plain", date)


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [{1: "a", "1": "b"}, [{None: 1, "null": 2}], {"x": {True: 1, "true": 2}}, {1: 1, 1.0 + 0.5: 2, "1.5": 3}],
)
def test_keys_that_fall_together_are_refused(engine: Engine, value: Any) -> None:
    """Two keys that JSON makes one would lose an entry without a word."""
    engine._tasks.add(lambda value: None, name="takes")
    with pytest.raises(InvalidJobArguments, match="two keys"):
        engine.schedule("takes", value)
    with pytest.raises(InvalidJobArguments, match="two keys"):
        engine.schedule("takes", value=value)


@pytest.mark.parametrize(
    "value", [(1, 2), [(1,)], {1: 2}, {"a": {2: 3}}, Level.HIGH, Text("x"), [True, {"a": (1,)}]], ids=repr
)
def test_strict_arguments_arrive_equal_or_are_refused(value: Any) -> None:
    """With `strict_arguments` what JSON would change is refused; without, it is changed as documented."""
    strict, lenient = Engine(MemoryBroker(), strict_arguments=True), Engine(MemoryBroker())
    for engine in (strict, lenient):
        engine._tasks.add(lambda value: None, name="takes")
    lenient.schedule("takes", value)
    with pytest.raises(InvalidJobArguments):
        strict.schedule("takes", value)
    strict.schedule("takes", [1, 2.5, None, True, {"a": ["b", {}]}])


@pytest.mark.parametrize("value", [Color.RED, {1, 2}, b"x", UserString("x"), float("nan")], ids=repr)
def test_what_json_cannot_write_is_refused(engine: Engine, value: Any) -> None:
    """As ever."""
    engine._tasks.add(lambda value: None, name="takes")
    with pytest.raises(InvalidJobArguments):
        engine.schedule("takes", value)


@pytest.mark.parametrize("kind", ["list", "dict", "mixed"])
def test_nesting_that_is_accepted_can_be_run(engine: Engine, kind: str) -> None:
    """Up to the limit it is read back, one level more is refused."""
    engine._tasks.add(lambda value: None, name="takes")

    def nested(levels: int) -> Any:
        value: Any = 1
        for level in range(levels):
            value = {"a": value} if kind == "dict" or (kind == "mixed" and level % 2) else [value]
        return value

    job = engine.schedule("takes", nested(499))
    assert Job.deserialize(job.serialize()).task_args == (nested(499),)
    with pytest.raises(InvalidJobArguments, match="levels deep"):
        engine.schedule("takes", nested(502))
