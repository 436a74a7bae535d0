"""The loggers of the package: an application whose logging is broken still has its jobs run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest

from spinach.logger import SafeLogger


class Broken(logging.Handler):
    """A handler of an application that always raises."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__()
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        raise self.error(f"not {record.getMessage()}")


@pytest.fixture
def name() -> Iterator[str]:
    made = f"spinach.test-{uuid4().hex}"
    yield made
    logging.getLogger(made).handlers.clear()


def test_a_handler_that_raises_is_reported_once_per_class(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every method returns; stderr has one line per class of error, which names the logger."""
    first, second = type("First", (Exception,), {}), type("Second", (Exception,), {})
    logger = SafeLogger(name)
    handler = Broken(first)
    logging.getLogger(name).addHandler(handler)
    for error in (first, second, first):
        handler.error = error
        for log in (logger.warning, logger.error, logger.exception):
            log("said %s", "twice")
    lines = [line for line in capsys.readouterr().err.splitlines() if name in line]
    assert len(lines) == 2
    assert "First('not said twice')" in lines[0]
    assert "Second(" in lines[1]


def test_records_are_those_of_the_caller(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Function, file, level, extra and error of a record are the ones a plain logger would note."""
    logger = SafeLogger(name)
    caplog.set_level(logging.DEBUG, name)
    try:
        raise KeyError("gone")
    except KeyError:
        logger.exception("lost %d", 7, extra={"action": "lose"})
    logger.debug("low")
    logger.log(logging.INFO, "middle")
    lost, low, middle = caplog.records
    assert (lost.funcName, lost.filename, lost.levelno) == (
        "test_records_are_those_of_the_caller", "test_logger.py", logging.ERROR
    )  # fmt: skip
    assert (lost.getMessage(), lost.__dict__["action"]) == ("lost 7", "lose")
    assert lost.exc_info is not None
    assert lost.exc_info[0] is KeyError
    assert (low.levelno, middle.levelno) == (logging.DEBUG, logging.INFO)


def test_interrupts_pass(name: str) -> None:
    """A Ctrl-C that arrives inside a handler is not lost."""
    handler = Broken(Exception)
    handler.error = KeyboardInterrupt  # type: ignore[assignment]
    logging.getLogger(name).addHandler(handler)
    with pytest.raises(KeyboardInterrupt):
        SafeLogger(name).error("now")
