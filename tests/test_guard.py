"""The guard around context managers of hooks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest

from spinach.guard import Guarded


def test_wrappers_are_entered_outermost_first_and_left_in_reverse_order() -> None:
    """Each gets the arguments; one that returns None puts nothing around the block."""
    log: list[str] = []

    def wrapper(name: str) -> Any:
        @contextmanager
        def around(job: str) -> Iterator[None]:
            log.append(f"enter {name} {job}")
            yield
            log.append(f"leave {name}")

        return around

    with Guarded([wrapper("outer"), lambda _: None, wrapper("inner")], ("job",), "a job"):
        log.append("block")
    assert log == ["enter outer job", "enter inner job", "block", "leave inner", "leave outer"]


class FailsAtExit:
    """Replaces what the block raised."""

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, *_: object) -> None:
        raise SystemExit("at exit")


def test_what_wrappers_raise_or_swallow_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The error of the block goes on; failures on entry and exit are logged with what they were put
    around.
    """

    def fails_on_entry() -> AbstractContextManager[None]:
        raise SystemExit("on entry")

    wrappers = [fails_on_entry, FailsAtExit, lambda: suppress(ValueError)]
    with pytest.raises(ValueError, match="of the block"), Guarded(wrappers, (), "job 1"):
        raise ValueError("of the block")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "failed before job 1; it is skipped" in caplog.text
    assert "failed after job 1; it is ignored" in caplog.text


def test_a_generator_that_raises_the_error_again_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    """A context manager made of a generator raises what it was given: no failure, and nothing is logged."""

    @contextmanager
    def around() -> Iterator[None]:
        yield

    with pytest.raises(ValueError, match="of the block"), Guarded([around], (), "job 1"):
        raise ValueError("of the block")
    assert caplog.records == []


def test_what_is_not_skipped_leaves_what_was_entered() -> None:
    """An interrupt on entry goes on to the caller, and the block does not run."""
    log: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        try:
            yield
        finally:
            log.append("left")

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Guarded([around, interrupted], (), "job 1", Exception):
        log.append("block")
    assert log == ["left"]
