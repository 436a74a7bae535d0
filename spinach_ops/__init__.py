"""The tools that watch the engine: metrics, spans, terminal UI, command line."""

from __future__ import annotations

from .instrument import Instrumentation, instrument
from .serve import serve

__all__ = ["Instrumentation", "instrument", "serve"]
