"""A sampler that keeps or drops linked traces together, and a check of what other samplers drop.

The only module of tracing that needs the SDK; nothing loads it unless the application uses the SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    StaticSampler,
)
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from .attributes import LINK

# What the SDK makes from OTEL_TRACES_SAMPLER. Other subclasses may decide differently: ask them each time.
_PARENT_BASED: Final = (ParentBased, ParentBasedTraceIdRatio)


class LinkedSampler(Sampler):
    """Gives an attempt that starts a trace of its own the decision of the spans it links to.

    Such attempts are those of delayed, retried or recovered jobs and of large batches. They are kept if the
    call that scheduled the job, or the previous attempt, was kept, and dropped otherwise. Another sampler
    decides on every other span.

    Args:
        root: The other sampler.

    Example:
        >>> TracerProvider(sampler=LinkedSampler(ParentBased(TraceIdRatioBased(0.01))))
    """

    def __init__(self, root: Sampler) -> None:
        self._root = root

    @property
    def root(self) -> Sampler:
        """The sampler that decides on every other span."""
        return self._root

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
        """Decide on a span that starts; arguments as in the base class."""
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


def drops_children_of_unsampled(sampler: Sampler) -> bool:
    """Return whether a sampler certainly drops every child of a parent that is not sampled.

    With few traces sampled, most spans would be made only to be dropped, at a third of the cost of a span.
    """
    if type(sampler) is LinkedSampler:
        sampler = sampler.root
    return type(sampler) in _PARENT_BASED and all(
        _drops_all(vars(sampler)[f"_{where}_parent_not_sampled"]) for where in ("remote", "local")
    )


def _drops_all(sampler: Sampler) -> bool:
    return type(sampler) is StaticSampler and vars(sampler)["_decision"] is Decision.DROP


def _has_parent(context: Context | None) -> bool:
    return get_current_span(context).get_span_context().is_valid
