"""Finds the tracer, suppresses spans of background services, and flushes the provider in bounded time.

Never shuts down a provider.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER

from spinach import const

from .attributes import SCHEMA_URL
from .failures import FailureLog, logger

FLUSH_SECONDS: Final = 5.0
# The keys that instrumentation packages check: that of the API, and the plain one of older releases.
_SUPPRESSING_KEYS: Final = (_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation")
# True for every package that checks, and still distinct from the True that other code sets.
_BY_SERVICE: Final = "a background service of spinach"


class TracerSource:
    """The tracer of one engine.

    Args:
        provider: Makes the tracer. None means the global provider, which an application may set at any time.
        failures: Where failures are reported.
    """

    def __init__(self, provider: trace.TracerProvider | None, failures: FailureLog) -> None:
        self._given = provider
        self._failures = failures
        self._provider: trace.TracerProvider | None = None
        self._tracer: trace.Tracer | None = None
        self._is_resolved = False
        self._drops_unsampled = False
        # With this variable set, get_tracer_provider() makes the provider it names.
        self._is_global = provider is None and OTEL_PYTHON_TRACER_PROVIDER not in os.environ

    def current(self) -> trace.Tracer | None:
        """Return the tracer; None while no provider is configured, or if it makes no spans."""
        return self._tracer if self._is_resolved else self._resolve()

    def _resolve(self) -> trace.Tracer | None:
        # Runs for every job until a provider is set, so read one variable first, if the API still has it.
        if self._is_global and getattr(trace, "_TRACER_PROVIDER", self) is None:
            return None
        try:
            provider = self._given or trace.get_tracer_provider()
            if isinstance(provider, trace.ProxyTracerProvider):
                return None
            tracer = provider.get_tracer("spinach", const.VERSION, schema_url=SCHEMA_URL)
        except BaseException as error:
            self._failures.report("get a tracer", error)
        else:
            self._provider = provider
            self._tracer = None if isinstance(tracer, trace.NoOpTracer) else tracer
            self._drops_unsampled = _drops_children_of_unsampled(tracer)
        # Also after a failure: another try would fail, and the API would log it, with every job.
        self._is_resolved = True
        return self._tracer

    def drops_child_of(self, parent: trace.SpanContext) -> bool:
        """Return whether the sampler certainly drops a child of `parent`: then it need not be made."""
        return self._drops_unsampled and parent.is_valid and not parent.trace_flags.sampled

    def flush(self) -> None:
        """Export the spans that have ended; return after at most `FLUSH_SECONDS`."""
        force_flush = getattr(self._provider, "force_flush", None)
        if force_flush is None:
            return

        def flush() -> None:
            try:
                force_flush(int(FLUSH_SECONDS * 1000))
            except BaseException as error:
                self._failures.report("flush", error)

        # Some processors ignore the timeout, and an exporter may hang: then its thread is left behind.
        if not bounded_flush_of(self._provider).run(flush, FLUSH_SECONDS):
            logger.warning(
                "Spans could not be exported within %.0f s; the last ones may be missing", FLUSH_SECONDS,
                extra={"action": "tracing_flush_timeout"},
            )  # fmt: skip


def _drops_children_of_unsampled(tracer: trace.Tracer) -> bool:
    sampler = getattr(tracer, "sampler", None)
    if sampler is None:
        return False
    try:
        from .samplers import drops_children_of_unsampled  # the SDK is loaded: this tracer comes from it

        return drops_children_of_unsampled(sampler)
    except Exception:  # another release of the SDK names its attributes differently: then make every span
        return False


class BoundedFlush:
    """Flushes one provider, in one thread at a time, for all engines that share it."""

    def __init__(self) -> None:
        self._running = threading.Lock()  # held while a flush runs, even a hung one
        self._began = 0.0
        self._deadline = 0.0
        self._took = 0.0

    def run(self, flush: Callable[[], object], seconds: float) -> bool:
        """Flush; return whether that ended in time.

        Args:
            flush: Called in a thread of its own; must not raise.
            seconds: How long to wait for it. While an earlier flush runs, only until the deadline of that
                one.
        """
        if not self._running.acquire(timeout=max(0.0, self._deadline - time.monotonic())):
            return False
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        ended = threading.Event()

        def run() -> None:
            try:
                flush()
            finally:
                self._took = time.monotonic() - self._began
                self._running.release()
                ended.set()

        try:
            threading.Thread(target=run, name="spinach-trace-flush", daemon=True).start()
        except BaseException:  # no more threads, or the interpreter ends
            self._running.release()
            raise
        return ended.wait(seconds)

    def remaining_of(self, seconds: float) -> float:
        """Return what the latest flush left of the seconds that it shares with what follows."""
        took = time.monotonic() - self._began if self._running.locked() else self._took
        return max(0.0, seconds - took)


_flushes: Final[WeakKeyDictionary[Any, BoundedFlush]] = WeakKeyDictionary()
_flushes_lock: Final = threading.Lock()


def bounded_flush_of(provider: object) -> BoundedFlush:
    """Return the one `BoundedFlush` of a provider."""
    with _flushes_lock:
        try:
            return _flushes.setdefault(provider, BoundedFlush())
        except TypeError:  # a provider without hash or weak references: each engine flushes it separately
            return BoundedFlush()


def is_suppressed(context: Context) -> bool:
    """Return whether a context asks for no instrumentation."""
    return _SUPPRESS_INSTRUMENTATION_KEY in context and bool(context[_SUPPRESS_INSTRUMENTATION_KEY])


@contextmanager
def suppress_instrumentation() -> Iterator[None]:
    """Ask for no instrumentation in this thread: what a background service polls belongs to no trace."""
    token = context_api.attach(_with_suppression(context_api.get_current(), _BY_SERVICE))
    try:
        yield
    finally:
        context_api.detach(token)


def submission_context(context: Context) -> Context | None:
    """Return the context for the span of a call that schedules; None if other code asks for no spans.

    Jobs that a receiver schedules in the thread of a background service are traced.
    """
    suppression = context.get(_SUPPRESS_INSTRUMENTATION_KEY)
    if not suppression:
        return context
    return _with_suppression(context, False) if suppression is _BY_SERVICE else None


def _with_suppression(context: Context, value: object) -> Context:
    for key in _SUPPRESSING_KEYS:
        context = context_api.set_value(key, value, context)
    return context
