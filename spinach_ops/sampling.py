"""A sampler that keeps both halves of a story: a trace that was linked to goes with the one that links to it."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from .tracing.attributes import LINK


class LinkedSampler(Sampler):
    """Decides on roots that continue a job's story as was decided on what they link to; asks another sampler otherwise.

    Such roots are attempts of delayed, retried or recovered jobs and of large batches. They are kept if what
    scheduled the job, or the attempt before, was kept, and dropped if not.

    Args:
        root: Decides on everything else.

    Example:
        >>> TracerProvider(sampler=LinkedSampler(ParentBased(TraceIdRatioBased(0.01))))
    """

    def __init__(self, root: Sampler) -> None:
        self._root = root

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide on a span that begins."""
        earlier = [link.context for link in links or () if link.attributes and LINK in link.attributes]
        if kind is not SpanKind.CONSUMER or not earlier or _has_parent(parent_context):
            return self._root.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        if any(context.trace_flags.sampled for context in earlier):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        """Describe the sampler."""
        return f"LinkedSampler{{{self._root.get_description()}}}"


def _has_parent(context: Context | None) -> bool:
    return get_current_span(context).get_span_context().is_valid
