"""Trace contexts as W3C spells them: read and written directly where the application's propagator would do just that.

Every job pays for this twice, and the general way costs three times as much. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"

_match: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})").fullmatch
_STANDARD: Final = (TraceContextTextMapPropagator, W3CBaggagePropagator)


def is_standard(propagator: TextMapPropagator) -> bool:
    """Return whether a propagator is, or is put together from, those of W3C; False for any that cannot be told."""
    parts = getattr(propagator, "_propagators", (propagator,))
    return TraceContextTextMapPropagator in map(type, parts) and all(
        type(part) in _STANDARD for part in parts
    )


def parse(traceparent: str) -> SpanContext | None:
    """Return the context of a ``traceparent`` of version 00, None for any other text."""
    found = _match(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return context if context.is_valid else None


def spelled(context: SpanContext) -> str:
    """Return a context in the form of ``traceparent``."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
