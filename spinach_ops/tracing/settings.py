"""What an application asked for when it turned tracing on: checked once, then only read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from spinach.job import Job

from .attributes import Describer
from .complaints import Complaints
from .exportable import name

Propagate = Literal["auto", "child", "link", "none"]
SpanName = Literal["task", "destination"]
Decide = Callable[[Job], Propagate]

_MODES: Final = get_args(Propagate)
_NAMES: Final = get_args(SpanName)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `instrument_tracing`, where they are documented.

    Raises:
        ValueError: an option has no such value.
    """

    complaints: Complaints
    propagation: Propagate | Decide = "auto"
    create_spans: bool = True
    span_name: SpanName = "task"
    record_exceptions: bool = True
    baggage: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not callable(self.propagation) and self.propagation not in _MODES:
            raise ValueError(
                f"propagation is {self.propagation!r}, expected one of {_MODES}, or a function of a job that returns one"
            )
        if self.span_name not in _NAMES:
            raise ValueError(f"span_name is {self.span_name!r}, expected one of {_NAMES}")
        if isinstance(self.baggage, str):
            raise ValueError(f"baggage is {self.baggage!r}, expected names such as ({self.baggage!r},)")

    def mode_of(self, job: Job) -> Propagate:
        """Return how a job is tied to what scheduled it; *auto* where the application's function fails."""
        if not callable(self.propagation):
            return self.propagation
        try:
            mode = self.propagation(job)
            if mode not in _MODES:
                raise ValueError(f"propagation returned {mode!r}, expected one of {_MODES}")
        except BaseException as error:
            self.complaints.report("call propagation", error)
            return "auto"
        return mode

    def name_of(self, operation: str, job: Job, describer: Describer) -> str:
        """Return the name of a span about one job."""
        if self.span_name == "task":
            return f"{operation} {name(job.task_name)}"
        return f"{operation} {describer.destination(job.queue)}"
