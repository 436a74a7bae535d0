"""Makes a tracer provider from the ``OTEL_*`` variables for `spinach worker --trace`, and shuts it down.

Never shuts down a provider that the application made.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Final

from opentelemetry import trace
from opentelemetry.environment_variables import OTEL_PYTHON_TRACER_PROVIDER
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from spinach import Engine

from . import instrument_tracing
from .tracers import bounded_flush_of

# The flush before the shutdown counts too: spans delay the end of a worker no longer than this.
SHUTDOWN_SECONDS: Final = 5.0
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP: Final = "http/protobuf"


class TracingUnavailable(Exception):
    """Spans cannot be exported as configured; the message says what to do."""


def trace_worker(engine: Engine) -> Callable[[], None]:
    """Trace an engine's jobs, with the application's provider or else with one made from the environment.

    Args:
        engine: Its namespace is the name of the service unless ``OTEL_SERVICE_NAME`` is set.

    Returns:
        A function that ends the tracing, and shuts down the provider if this function made it.

    Raises:
        TracingUnavailable: the exporter is not installed, or a variable has a value that cannot be used.
    """
    made = None
    _check_provider(os.environ)
    with _configuration_errors():
        present = trace.get_tracer_provider()
    if isinstance(present, trace.ProxyTracerProvider):
        made = make_provider(engine.namespace)
        # Spans that the tasks themselves make are exported, too.
        trace.set_tracer_provider(made)
    remove = instrument_tracing(engine)

    def end() -> None:
        remove()
        if made is not None:
            shut_down(made)

    return end


def _check_provider(environment: Mapping[str, str]) -> None:
    """Check that the provider the environment names is installed: otherwise the API would log a traceback."""
    wanted = environment.get(OTEL_PYTHON_TRACER_PROVIDER)
    if wanted is None or getattr(trace, "_TRACER_PROVIDER", None) is not None:
        return
    known = sorted({entry.name for entry in entry_points(group="opentelemetry_tracer_provider")})
    if wanted not in known:
        raise TracingUnavailable(
            f"{OTEL_PYTHON_TRACER_PROVIDER} is {wanted!r}; installed are {', '.join(known)}. "
            "Unset the variable, and the worker makes a provider"
        )


def make_provider(service: str, environment: Mapping[str, str] = os.environ) -> TracerProvider:
    """Return a provider that exports in the background; the SDK reads sampler, limits and batches itself.

    Args:
        service: Name of the service, unless the environment has one.
        environment: The variables that the SDK does not read itself.

    Raises:
        TracingUnavailable: see `trace_worker`.
    """
    exporter = _exporter(environment)
    named = environment.get(OTEL_SERVICE_NAME) or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    with _configuration_errors():
        resource = Resource.create(None if named else {SERVICE_NAME: service})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        if exporter is not None:
            provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


@contextmanager
def _configuration_errors() -> Iterator[None]:
    """Turn what the SDK raises about its variables into `TracingUnavailable`."""
    try:
        yield
    except Exception as error:
        raise TracingUnavailable(
            f"an OTEL_* variable cannot be used: {type(error).__name__}: {error}".rstrip(": ")
        ) from None


def shut_down(provider: TracerProvider) -> None:
    """Export what is left and shut down; with the flush before, this takes at most `SHUTDOWN_SECONDS`."""
    thread = threading.Thread(target=provider.shutdown, name="spinach-trace-shutdown", daemon=True)
    thread.start()
    thread.join(bounded_flush_of(provider).remaining_of(SHUTDOWN_SECONDS))


def _exporter(environment: Mapping[str, str]) -> SpanExporter | None:
    wanted = environment.get(_EXPORTER, "").strip() or "otlp"
    if wanted == "none":
        return None
    if wanted == "console":
        return ConsoleSpanExporter()
    if wanted != "otlp":
        raise TracingUnavailable(f"{_EXPORTER} is {wanted!r}; known are otlp, console and none")
    return _otlp_exporter(environment)


def _otlp_exporter(environment: Mapping[str, str]) -> SpanExporter:
    for name in _PROTOCOLS:
        protocol = environment.get(name, "").strip()
        if protocol and protocol != _HTTP:
            raise TracingUnavailable(
                f"{name} is {protocol!r}, but spans are exported by {_HTTP} only: unset it, and point "
                "OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port for HTTP, usually 4318"
            )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # an extra
    except ImportError as error:
        raise TracingUnavailable(
            f"the OTLP exporter is not installed ({error}): pip install 'spinach-ops[otel]'"
        ) from None
    try:
        return OTLPSpanExporter()
    except (ValueError, OSError) as error:  # raised by some releases; others log it and go on
        raise TracingUnavailable(f"an OTEL_EXPORTER_OTLP_* variable cannot be used: {error}") from None
