"""Tracing without a line of code: what `opentelemetry-instrument` calls, when it is installed, to trace every engine made from then on.

Instruments engines and nothing else, and leaves them as they were when it is taken away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from spinach import Engine

from .metrics.otel import instrument_otel_metrics
from .tracing import instrument_tracing
from .tracing.failures import FailureLog
from .tracing.settings import TracingSettings


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
        """Put calls of `instrument_tracing` and `instrument_otel_metrics` after the making of each engine.

        Args:
            **options: Those of `instrument_tracing`, and `meter_provider`; others, meant for other instrumentors, are left alone.

        Raises:
            ValueError: an option has no such value.
        """
        chosen = {name: options[name] for name in _OPTIONS & options.keys()}
        failures = FailureLog()
        TracingSettings(failures=failures, **{name: chosen[name] for name in _CHECKED & chosen.keys()})
        steps: dict[str, Callable[[Engine], Callable[[], None]]] = {
            "trace an engine": functools.partial(instrument_tracing, **chosen),
            "measure an engine": functools.partial(
                instrument_otel_metrics, meter_provider=options.get("meter_provider")
            ),
        }
        original: Any = Engine.__init__
        undo: list[Callable[[], None]] = [lambda: setattr(Engine, "__init__", original)]

        @functools.wraps(original)
        def make(engine: Engine, *args: Any, **kwargs: Any) -> None:
            original(engine, *args, **kwargs)
            for name, put_on in steps.items():
                try:
                    undo.append(put_on(engine))
                except BaseException as error:  # the application gets its engine, whatever a provider does
                    failures.report(name, error)

        setattr(Engine, "__init__", make)  # noqa: B010 - to a type checker a method is no variable
        self._undo = undo

    def _uninstrument(self, **_options: Any) -> None:
        """Leave engines, those to come and those that were traced, without tracing."""
        undo, self._undo = self._undo, None
        for step in undo or ():
            step()


_CHECKED = {"propagation", "create_spans", "span_name", "record_exceptions", "baggage"}
_OPTIONS = {
    "tracer_provider", "propagation", "create_spans", "span_name", "record_exceptions", "baggage", "job_attributes",
}  # fmt: skip
