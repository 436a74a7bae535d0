"""Traces without code: `opentelemetry-instrument` calls `SpinachInstrumentor`, which instruments new engines.

It instruments engines and nothing else, and leaves them unchanged when it is removed.
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
    """Traces and measures every engine that this process makes after `instrument` and before `uninstrument`.

    `instrument` takes the options of `spinach_ops.tracing.instrument_tracing`, and `meter_provider`.

    Example:
        >>> SpinachInstrumentor().instrument(tracer_provider=provider)
    """

    # The base class makes one instance per process.
    _undo: list[Callable[[], None]] | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the distributions that must be installed: this one."""
        return ("spinach-ops",)

    def _instrument(self, **options: Any) -> None:
        """Instrument each engine at the end of its `__init__`.

        Args:
            **options: Those of `instrument_tracing`, and `meter_provider`. Others are for other
            instrumentors.

        Raises:
            ValueError: an option has a value that is not allowed.
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
            for action, step in steps.items():
                try:
                    undo.append(step(engine))
                except BaseException as error:  # the application gets its engine even if a provider fails
                    failures.report(action, error)

        setattr(Engine, "__init__", make)  # noqa: B010 - to a type checker a method is not a variable
        self._undo = undo

    def _uninstrument(self, **_options: Any) -> None:
        """Remove the instrumentation from existing engines; later ones get none."""
        undo, self._undo = self._undo, None
        for step in undo or ():
            step()


_CHECKED = {"propagation", "create_spans", "span_name", "record_exceptions", "baggage"}
_OPTIONS = _CHECKED | {"tracer_provider", "job_attributes"}
