"""The tools around the engine: metrics, tracing, logs, the terminal UI and the command line."""

from __future__ import annotations

from .instrument import Instrumentation, instrument
from .serve import serve

__all__ = ["Instrumentation", "instrument", "serve"]
