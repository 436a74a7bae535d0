"""Engines that are traced into memory, and the spans they left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spinach import Engine
from spinach_ops.tracing import instrument_tracing
from tests.engine.conftest import Engines, engines, redis_engines
from tests.waiting import wait_until

__all__ = ["Engines", "Traces", "engines", "redis_engines"]


class Spans(SpanProcessor):
    """Counts the spans that are open."""

    def __init__(self) -> None:
        self.open: set[Any] = set()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.open.add(span.get_span_context().span_id)

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        self.open.discard(span.context.span_id)


class Traces:
    """A provider whose spans stay in memory."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.processor = Spans()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.provider.add_span_processor(self.processor)
        self.tracer = self.provider.get_tracer("application")
        self._removers: list[Callable[[], None]] = []

    def watch(self, engine: Engine, **options: Any) -> Callable[[], None]:
        remove = instrument_tracing(engine, tracer_provider=self.provider, **options)
        self._removers.append(remove)
        return remove

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the ended spans of this name, in the order of their start."""
        found = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        (span,) = wait_until(lambda: self.named(name), f"a span {name!r}")
        return span

    def some(self, name: str, count: int) -> list[ReadableSpan]:
        wait_until(lambda: len(self.named(name)) >= count, f"{count} spans {name!r}")
        return self.named(name)

    def close(self) -> None:
        for remove in self._removers:
            remove()
        self.provider.shutdown()


@pytest.fixture
def traces() -> Iterator[Traces]:
    made = Traces()
    yield made
    made.close()
    assert context_api.get_current() == {}


def identity(span: ReadableSpan) -> tuple[int, int]:
    """Return trace and span id."""
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    """Return trace and span id of the parent, None for a root."""
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def links(span: ReadableSpan) -> list[tuple[tuple[int, int], Any]]:
    """Return the identities a span links to, each with its kind."""
    return [
        ((link.context.trace_id, link.context.span_id), (link.attributes or {}).get("spinach.link"))
        for link in span.links
    ]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
