"""Tasks, registries, batches."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from spinach.const import DEFAULT_QUEUE
from spinach.exc import UnknownTask
from spinach.task import Batch, Task, Tasks, name_of


def function() -> str:
    return "called"


def test_decorated_function_is_unchanged() -> None:
    """A decorated function stays the function it was, with the name of its task on it."""
    tasks = Tasks()

    @tasks.task(name="mine")
    def mine() -> int:
        return 7

    assert mine() == 7
    assert mine.task_name == "mine"  # type: ignore[attr-defined]
    assert tasks.get("mine").func is mine
    assert tasks.get(mine) is tasks.get("mine") is tasks.get(tasks.get("mine"))


def test_add_leaves_the_function_alone() -> None:
    """Registering by `add` touches nothing of the function."""
    tasks = Tasks()
    tasks.add(function, name="mine")
    assert tasks.names == ["mine"]
    assert not hasattr(function, "task_name")


def test_defaults() -> None:
    """A task takes what it is not told from its registry, and that from the constants."""
    plain, tuned = (
        Tasks(),
        Tasks(queue="mail", max_retries=4, periodicity=timedelta(minutes=1), max_concurrency=2),
    )
    plain.add(function, "one")
    tuned.add(function, "two")
    tuned.add(function, "three", queue="other", max_retries=9, max_concurrency=1)
    one, two, three = plain.get("one"), tuned.get("two"), tuned.get("three")
    assert (one.queue, one.max_retries, one.periodicity, one.max_concurrency) == (
        DEFAULT_QUEUE,
        0,
        None,
        None,
    )
    assert (two.queue, two.max_retries, two.period_seconds, two.max_concurrency) == ("mail", 4, 60, 2)
    assert (three.queue, three.max_retries, three.max_concurrency) == ("other", 9, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "\ud800"},
        {"name": "x" * 513},
        {"queue": "_reserved"},
        {"queue": ""},
        {"max_retries": -1},
        {"max_retries": 1.0},
        {"max_retries": True},
        {"periodicity": timedelta(0)},
        {"periodicity": timedelta(seconds=-5)},
        {"periodicity": timedelta(milliseconds=1_500)},
        {"periodicity": 60},
        {"max_concurrency": 0, "max_retries": 1},
        {"max_concurrency": 1.5, "max_retries": 1},
        {"max_concurrency": 1},
    ],
    ids=repr,
)
def test_unfit_values_are_refused(wrong: dict[str, Any]) -> None:
    """A task that could not be stored or kept is refused when it is made, and leaves nothing behind."""
    tasks = Tasks()
    with pytest.raises(ValueError):
        tasks.add(function, **{"name": "mine", **wrong})
    assert tasks.names == []


def test_not_callable_is_refused() -> None:
    """A task calls something."""
    with pytest.raises(TypeError, match="not callable"):
        Task("text", "mine", "q", 0, None)  # type: ignore[arg-type]


def test_reserved_default_queue_is_refused() -> None:
    """A registry's queue is checked like that of a task."""
    with pytest.raises(ValueError, match="reserved"):
        Tasks(queue="_mine")


def test_duplicate_name_is_refused() -> None:
    """A name stands for one task of a registry."""
    tasks = Tasks()
    tasks.add(function, "mine")
    with pytest.raises(ValueError, match="already registered"):
        tasks.add(function, "mine")


def test_unknown_task_names_the_known() -> None:
    """Who asks for an unknown task is told which ones there are."""
    tasks = Tasks()
    tasks.add(function, "known")
    with pytest.raises(UnknownTask, match=r"unknowm.*\['known'\]"):
        tasks.get("unknowm")


@pytest.mark.parametrize("no_task", [function, 5, None])
def test_what_is_no_task(no_task: Any) -> None:
    """A function that was not decorated has no task, and the error says how to get one."""
    with pytest.raises(TypeError, match=r"decorated with"):
        name_of(no_task)


def test_update_copies() -> None:
    """Tasks added to the source later are not seen; the newcomer wins over a namesake."""
    source, target = Tasks(), Tasks()
    source.add(function, "mine", queue="new")
    target.add(function, "mine", queue="old")
    target.update(source)
    source.add(function, "later")
    assert target.names == ["mine"]
    assert target.get("mine").queue == "new"


def test_unattached_registry_cannot_schedule() -> None:
    """A registry schedules once it is attached to an engine, not before."""
    tasks = Tasks()
    tasks.add(function, "mine")
    calls = (
        lambda: tasks.schedule("mine"),
        lambda: tasks.schedule_at("mine", datetime.now(timezone.utc)),
        lambda: tasks.schedule_batch(Batch()),
    )
    for call in calls:
        with pytest.raises(RuntimeError, match="attach_tasks"):
            call()


def test_batch_keeps_what_it_is_given() -> None:
    """A batch keeps its jobs in order; one without a date means now, whatever the clock says."""
    batch, date = Batch(), datetime(2030, 1, 1, tzinfo=timezone.utc)
    batch.schedule("one", 1, key=2)
    batch.schedule_at("two", date, 3)
    assert len(batch) == 2
    assert [tuple(entry) for entry in batch.entries] == [
        ("one", None, (1,), {"key": 2}),
        ("two", date, (3,), {}),
    ]


def test_keyword_arguments_of_jobs_are_free() -> None:
    """A job's own keyword may be called like a parameter that is positional here."""
    batch = Batch()
    batch.schedule("one", name="n", queue="q", args=1)
    assert batch.entries[0].kwargs == {"name": "n", "queue": "q", "args": 1}
