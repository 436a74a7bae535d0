"""Which tracer makes the spans, and what is done with the provider it comes from: flushed within bounds, never shut down."""

from __future__ import annotations

import os
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
from .flushing import flushing_of

FLUSH_SECONDS: Final = 5.0
# What instrumentation packages look for: the key of the API, and the plain one of older releases.
_SUPPRESSING_KEYS: Final = (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation")
# Means True to all who look, and tells ours from what somebody else asked for.
_BY_DUTY: Final = "a background duty of spinach"


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
        try:
            provider = self._given or trace.get_tracer_provider()
            if isinstance(provider, trace.ProxyTracerProvider):
                return None
            tracer = provider.get_tracer("spinach", const.VERSION, schema_url=SCHEMA_URL)
        except BaseException as error:
            self._complaints.report("get a tracer", error)
        else:
            self._provider = provider
            self._tracer = None if isinstance(tracer, trace.NoOpTracer) else tracer
            self._drops_unsampled = _drops_children_of_unsampled(tracer)
        # After a failure, too: asking again would fail, and be logged by the API, with every job.
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
        if not flushing_of(self._provider).run(run, FLUSH_SECONDS):
            logger.warning(
                "Spans could not be exported within %.0f s; the last ones may be missing", FLUSH_SECONDS,
                extra={"action": "tracing_flush_timeout"},
            )  # fmt: skip


def _drops_children_of_unsampled(tracer: trace.Tracer) -> bool:
    sampler = getattr(tracer, "sampler", None)
    if sampler is None:
        return False
    try:
        from .samplers import drops_children_of_unsampled  # its SDK is loaded: this tracer is from there

        return drops_children_of_unsampled(sampler)
    except Exception:  # a release that spells it differently: then every span is made
        return False


def is_suppressed(context: Context) -> bool:
    """Return whether whoever made a context current asked for no instrumentation."""
    return _SUPPRESS_INSTRUMENTATION_KEY in context and bool(context[_SUPPRESS_INSTRUMENTATION_KEY])


@contextmanager
def suppressed() -> Iterator[None]:
    """Ask for no instrumentation in this thread: what a duty polls belongs to nobody's trace."""
    token = context_api.attach(_with_suppression(context_api.get_current(), _BY_DUTY))
    try:
        yield
    finally:
        context_api.detach(token)


def of_caller(context: Context) -> Context:
    """Return a context without what `suppressed` asked for: what a receiver does in a duty's thread is no polling."""
    is_ours = context.get(_SUPPRESS_INSTRUMENTATION_KEY) is _BY_DUTY
    return _with_suppression(context, False) if is_ours else context


def _with_suppression(context: Context, value: object) -> Context:
    for key in _SUPPRESSING_KEYS:
        context = context_api.set_value(key, value, context)
    return context
