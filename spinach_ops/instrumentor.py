"""Tracing without a line of code: what `opentelemetry-instrument` calls, when it is installed, to trace every engine made from then on.

Instruments engines and nothing else, and leaves them as they were when it is taken away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from spinach import Engine

from .tracing import instrument_tracing


class SpinachInstrumentor(BaseInstrumentor):
    """Traces every engine of the process that is made while it is in place.

    Example:
        >>> SpinachInstrumentor().instrument(tracer_provider=provider)
    """

    # There is one instance per process, as the base class sees to.
    _undo: list[Callable[[], None]] | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what has to be installed: this distribution, which is."""
        return ("spinach-ops",)

    def _instrument(self, **options: Any) -> None:
        """Put a call of `instrument_tracing` after the making of each engine.

        Args:
            **options: Those of `instrument_tracing`; others, meant for other instrumentors, are left alone.
        """
        chosen = {name: options[name] for name in _OPTIONS & options.keys()}
        original: Any = Engine.__init__
        undo: list[Callable[[], None]] = [lambda: setattr(Engine, "__init__", original)]

        @functools.wraps(original)
        def make(engine: Engine, *args: Any, **kwargs: Any) -> None:
            original(engine, *args, **kwargs)
            undo.append(instrument_tracing(engine, **chosen))

        setattr(Engine, "__init__", make)  # noqa: B010 - to a type checker a method is no variable
        self._undo = undo

    def _uninstrument(self, **_options: Any) -> None:
        """Leave engines, those to come and those that were traced, without tracing."""
        undo, self._undo = self._undo, None
        for step in undo or ():
            step()


_OPTIONS = {
    "tracer_provider", "propagation", "create_spans", "span_name", "record_exceptions", "baggage", "job_attributes",
}  # fmt: skip
