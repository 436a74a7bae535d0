"""The sampler that keeps linked traces together, for those who make a tracer provider. Owns only the name."""

from __future__ import annotations

from .tracing.samplers import LinkedSampler

__all__ = ["LinkedSampler"]
