"""Which trace an observation belongs to: the way from a slow bucket on a graph to the span that was slow."""

from __future__ import annotations

from opentelemetry import trace


def current_exemplar() -> dict[str, str] | None:
    """Return the identity of the current span where it is sampled: others cannot be looked at."""
    context = trace.get_current_span().get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
