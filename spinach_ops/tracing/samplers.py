"""A sampler that keeps both halves of a story, and whether a sampler drops whatever its parent did not keep.

The only part of tracing that needs the SDK; loaded where a provider of the SDK is in use.
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

# What the SDK makes from OTEL_TRACES_SAMPLER. Other subclasses may decide as they like, whatever they call themselves.
_PARENT_BASED: Final = (ParentBased, ParentBasedTraceIdRatio)


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

    @property
    def root(self) -> Sampler:
        """Who decides on everything else."""
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


def drops_children_of_unsampled(sampler: Sampler) -> bool:
    """Return whether a sampler is one that follows the parent, as is usual; False for any that cannot be told.

    With few traces sampled, most spans would be made only to be dropped, and that costs a third of making them.
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
