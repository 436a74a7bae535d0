"""The options of `instrument_tracing`: checked once, then only read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from spinach.job import Job

from .attributes import AttributeBuilder, encodable_name
from .failures import FailureLog

PropagationMode = Literal["auto", "child", "link", "none"]
SpanName = Literal["task", "destination"]
PropagationFunction = Callable[[Job], PropagationMode]

_MODES: Final = get_args(PropagationMode)
_NAMES: Final = get_args(SpanName)


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """The options of `instrument_tracing`, which documents them.

    Raises:
        ValueError: an option has a value that is not allowed.
    """

    failures: FailureLog
    propagation: PropagationMode | PropagationFunction = "auto"
    create_spans: bool = True
    span_name: SpanName = "task"
    record_exceptions: bool = True
    baggage: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not callable(self.propagation) and self.propagation not in _MODES:
            raise ValueError(
                f"propagation is {self.propagation!r}, expected one of {_MODES}, "
                "or a function that returns one of them for a job"
            )
        if self.span_name not in _NAMES:
            raise ValueError(f"span_name is {self.span_name!r}, expected one of {_NAMES}")
        if isinstance(self.baggage, str):
            raise ValueError(f"baggage is {self.baggage!r}, expected names such as ({self.baggage!r},)")

    def mode_for(self, job: Job) -> PropagationMode:
        """Return how a job is tied to the call that scheduled it; *auto* if the given function fails."""
        if not callable(self.propagation):
            return self.propagation
        try:
            mode = self.propagation(job)
            if mode not in _MODES:
                raise ValueError(f"propagation returned {mode!r}, expected one of {_MODES}")
        except BaseException as error:
            self.failures.report("call propagation", error)
            return "auto"
        return mode

    def span_name_for(self, operation: str, job: Job, attributes: AttributeBuilder) -> str:
        """Return the name of a span about one job."""
        if self.span_name == "task":
            return f"{operation} {encodable_name(job.task_name)}"
        return f"{operation} {attributes.destination(job.queue)}"
