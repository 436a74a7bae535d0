"""Fixtures of the tests of metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from spinach import Engine, MemoryBroker
from spinach_ops import Instrumentation, instrument
from tests.fleet import make_fleet
from tests.old_package import old_python
from tests.prometheus import make_prometheus

__all__ = ["make_fleet", "make_prometheus", "old_python"]


class Samples:
    """The samples of a registry, looked up by name and labels."""

    def __init__(self, instrumentation: Instrumentation) -> None:
        self._registry = instrumentation.registry
        self._namespace = instrumentation.engine.namespace

    def __call__(self, name: str, **labels: str) -> float | None:
        """Return one sample of the engine's namespace, None when there is none."""
        return self._registry.get_sample_value(name, {"spinach_namespace": self._namespace, **labels})


MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    """Make engines on brokers in memory; their workers end with the test."""
    with contextlib.ExitStack() as engines:

        def make(namespace: str = "") -> Engine:
            engine = Engine(MemoryBroker(), namespace=namespace or f"metrics-{uuid4().hex[:8]}")
            engines.callback(engine.stop_workers)
            return engine

        yield make


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    return make_engine()


@pytest.fixture
def samples(engine: Engine) -> Iterator[Samples]:
    """The samples of `engine`, instrumented."""
    instrumentation = instrument(engine)
    yield Samples(instrumentation)
    instrumentation.uninstrument()
