"""Which tracer makes the spans, and what is done with the provider it comes from: flushed within bounds, never shut down."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER

from spinach import const

from .attributes import SCHEMA_URL
from .complaints import Complaints, logger

FLUSH_SECONDS: Final = 5.0
# What instrumentation packages look for: the key of the API, and the plain one of older releases.
_SUPPRESSING_KEYS: Final = (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation")

_LINKED: Final = re.compile(r"LinkedSampler\{(.*)\}")
# The end is that of the outermost sampler: one that is nested would be followed by another brace.
_FOLLOWS_PARENT: Final = re.compile(
    r"ParentBased\{root:.*,remoteParentSampled:[^{},]+,remoteParentNotSampled:AlwaysOffSampler,"
    r"localParentSampled:[^{},]+,localParentNotSampled:AlwaysOffSampler\}"
)


class Tracers:
    """The tracer of one engine.

    Args:
        provider: Where to get it, by default the global provider, which an application may set at any time.
        complaints: Where failures are told.
    """

    def __init__(self, provider: trace.TracerProvider | None, complaints: Complaints) -> None:
        self._given = provider
        self._complaints = complaints
        self._provider: trace.TracerProvider | None = None
        self._tracer: trace.Tracer | None = None
        self._is_settled = False
        self._drops_unsampled = False
        # What get_tracer_provider() would look up in the environment, each time.
        self._is_global = provider is None and OTEL_PYTHON_TRACER_PROVIDER not in os.environ

    def current(self) -> trace.Tracer | None:
        """Return the tracer, None while no provider is configured or where it makes no spans."""
        return self._tracer if self._is_settled else self._look()

    def _look(self) -> trace.Tracer | None:
        # Asked for with every job until a provider is set: a look at one variable, where the API still has it.
        if self._is_global and getattr(trace, "_TRACER_PROVIDER", self) is None:
            return None
        provider = self._given or trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider):
            return None
        try:
            tracer = provider.get_tracer("spinach", const.VERSION, schema_url=SCHEMA_URL)
        except Exception as error:
            self._complaints.report("get a tracer", error)
        else:
            self._provider = provider
            self._tracer = None if isinstance(tracer, trace.NoOpTracer) else tracer
            self._drops_unsampled = _drops_children_of_unsampled(tracer)
        self._is_settled = True
        return self._tracer

    def drops_child_of(self, parent: trace.SpanContext) -> bool:
        """Return whether a child would be dropped for certain, so that there is no need to make it."""
        return self._drops_unsampled and parent.is_valid and not parent.trace_flags.sampled

    def flush(self) -> None:
        """Export what has ended, in at most `FLUSH_SECONDS`, whatever the processors do."""
        flush = getattr(self._provider, "force_flush", None)
        if flush is None:
            return

        def run() -> None:
            try:
                flush(int(FLUSH_SECONDS * 1000))
            except BaseException as error:
                self._complaints.report("flush", error)

        # Some processors ignore the timeout, and an exporter may hang: the thread is left behind then.
        thread = threading.Thread(target=run, name="spinach-trace-flush", daemon=True)
        thread.start()
        thread.join(FLUSH_SECONDS)
        if thread.is_alive():
            logger.warning(
                "Spans could not be exported within %.0f s; the last ones may be missing", FLUSH_SECONDS,
                extra={"action": "tracing_flush_timeout"},
            )  # fmt: skip


def _drops_children_of_unsampled(tracer: trace.Tracer) -> bool:
    """Return whether a tracer's sampler describes itself as one that follows the parent, as is usual.

    With few traces sampled, most spans would be made only to be dropped, and that costs a third of making them.
    """
    try:
        description: str = tracer.sampler.get_description()  # type: ignore[attr-defined]
        inner = _LINKED.fullmatch(description)
        return _FOLLOWS_PARENT.fullmatch(inner[1] if inner else description) is not None
    except Exception:
        return False


def is_suppressed(context: Context) -> bool:
    """Return whether whoever made a context current asked for no instrumentation."""
    return _SUPPRESS_INSTRUMENTATION_KEY in context and bool(context[_SUPPRESS_INSTRUMENTATION_KEY])


@contextmanager
def suppressed() -> Iterator[None]:
    """Ask for no instrumentation in this thread: what a duty polls belongs to nobody's trace."""
    context = context_api.get_current()
    for key in _SUPPRESSING_KEYS:
        context = context_api.set_value(key, True, context)
    token = context_api.attach(context)
    try:
        yield
    finally:
        context_api.detach(token)
