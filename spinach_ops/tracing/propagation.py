"""Trace contexts in the headers of jobs: what is written, how much of it, and how it is read back.

The common case, a plain W3C ``traceparent``, is read and written here directly: every job pays for both, and
the propagators take three times as long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from spinach.job import Job

from .failures import FailureLog

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"
#: Says that attempts link to the call that scheduled the job instead of being its children.
LINK_HEADER: Final = "spinach-link"
#: The context of the previous attempt, in the form of ``traceparent``.
PREVIOUS_HEADER: Final = "spinach-previous"
# Headers are stored with every job: a large baggage would take more memory than the job.
MAX_BYTES: Final = 2048

_match: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
_W3C: Final = (TraceContextTextMapPropagator, W3CBaggagePropagator)


class HeaderPropagator:
    """Writes contexts into headers and reads them, with the application's global propagator.

    Args:
        baggage: Names of the baggage entries that may travel.
        failures: Where failures are reported.
    """

    def __init__(self, baggage: Sequence[str], failures: FailureLog) -> None:
        self._baggage = frozenset(baggage)
        self._failures = failures
        self._propagator: TextMapPropagator | None = None
        self._fields: tuple[str, ...] = ()
        self._is_w3c = False

    def inject(self, context: Context) -> dict[str, str]:
        """Return the headers that carry a context; none if that fails."""
        try:
            propagator = self._current()
            if not baggage.get_all(context):
                span = trace.get_current_span(context).get_span_context()
                if self._is_w3c and not span.trace_state:
                    return {TRACEPARENT: format_traceparent(span)} if span.is_valid else {}
            else:
                context = self._with_allowed_baggage(context)
            carrier: dict[str, str] = {}
            propagator.inject(carrier, context=context)
        except BaseException as error:
            self._failures.report("write a context into headers", error)
            return {}
        return self._fitting(carrier)

    def extract(self, headers: Mapping[str, str], context: Context) -> Context:
        """Return a context with what the headers carry; malformed headers add nothing."""
        try:
            propagator = self._current()
            carrier = {}
            for name in self._fields:
                text = headers.get(name)
                if text is not None and len(text) <= MAX_BYTES:
                    carrier[name] = text
            if not carrier:
                return context
            if self._is_w3c and len(carrier) == 1 and (plain := carrier.get(TRACEPARENT)):
                span = parse_traceparent(plain)
                if span is not None:
                    return trace.set_span_in_context(trace.NonRecordingSpan(span), context)
            found = propagator.extract(carrier, context=context)
            return self._with_allowed_baggage(found) if BAGGAGE in carrier else found
        except BaseException as error:
            self._failures.report("read a context from headers", error)
            return context

    def _current(self) -> TextMapPropagator:
        """Return the global propagator, which the application may replace at any time."""
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            fields = propagator.fields if self._baggage else propagator.fields - {BAGGAGE}
            self._fields = tuple(sorted(fields))
            self._is_w3c = _is_w3c(propagator)
            self._propagator = propagator
        return propagator

    def _with_allowed_baggage(self, context: Context) -> Context:
        items = baggage.get_all(context)
        if not items or items.keys() <= self._baggage:
            return context
        context = baggage.clear(context)
        for name in self._baggage & items.keys():
            context = baggage.set_baggage(name, items[name], context)
        return context

    def _fitting(self, carrier: Mapping[str, str]) -> dict[str, str]:
        """Return the plain texts among the headers; beyond `MAX_BYTES`, leave the less important out."""
        texts = {name: text for name, text in carrier.items() if _is_plain(name) and _is_plain(text)}
        contexts = set(self._fields) - {BAGGAGE}
        for names in (texts.keys(), texts.keys() - {BAGGAGE}, contexts, contexts - {TRACESTATE}):
            kept = {name: text for name, text in texts.items() if name in names}
            if sum(len(name) + len(text) for name, text in kept.items()) <= MAX_BYTES:
                return kept
        return {}


def add_headers(job: Job, headers: Mapping[str, str]) -> None:
    """Give a job more headers; those it has stay unless one is replaced."""
    job.headers = {**(job.headers or {}), **headers}


def previous_attempt(headers: Mapping[str, str]) -> SpanContext | None:
    """Return the context of the previous attempt, or None if the headers carry none that is well formed."""
    text = headers.get(PREVIOUS_HEADER)
    return None if text is None else parse_traceparent(text)


def parse_traceparent(text: str) -> SpanContext | None:
    """Return the context of a ``traceparent`` of version 00, or None for any other text."""
    found = _match(text)
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return context if context.is_valid else None


def format_traceparent(context: SpanContext) -> str:
    """Return a context as a ``traceparent`` of version 00."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _is_w3c(propagator: TextMapPropagator) -> bool:
    """Return whether a propagator consists of those of W3C only; False if it does not show its parts."""
    parts = getattr(propagator, "_propagators", (propagator,))
    return TraceContextTextMapPropagator in map(type, parts) and all(type(part) in _W3C for part in parts)


def _is_plain(text: object) -> bool:
    # A propagator may write anything. Jobs are stored as JSON, which returns only ASCII texts unchanged.
    return type(text) is str and text.isascii() and len(text) <= MAX_BYTES
