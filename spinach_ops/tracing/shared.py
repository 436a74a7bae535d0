"""What scheduling and attempts have in common when they are traced: made once for an engine, then only read."""

from __future__ import annotations

from dataclasses import dataclass

from .attributes import Describer
from .complaints import Complaints
from .errors import ErrorRecorder
from .propagation import Propagation
from .settings import Settings
from .tracers import Tracers


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts that both sides use."""

    tracers: Tracers
    describer: Describer
    propagation: Propagation
    settings: Settings
    errors: ErrorRecorder
    complaints: Complaints
