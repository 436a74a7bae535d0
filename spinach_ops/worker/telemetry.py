"""Metrics and health over HTTP, and spans to a collector, for `spinach worker`. Both are off by default.

Light to import: what is asked for is loaded when the worker starts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spinach.logger import SafeLogger

from ..web.addresses import CannotListen, parse_ports

if TYPE_CHECKING:
    from spinach import Engine

logger = SafeLogger(__name__)


@dataclass(slots=True)
class WorkerTelemetry:
    """What a worker serves and sends.

    Attributes:
        facts: What the banner says of it.
    """

    facts: dict[str, str] = field(default_factory=dict)
    _endings: list[Callable[[], None]] = field(default_factory=list)

    def close(self) -> None:
        """End it, the latest first."""
        while self._endings:
            self._endings.pop()()

    def add(self, name: str, fact: str, ending: Callable[[], None] | None = None) -> None:
        """Note something, and how it ends."""
        self.facts[name] = fact
        if ending is not None:
            self._endings.append(ending)


def add_telemetry(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("metrics and traces")
    group.add_argument(
        "--metrics-port", metavar="PORT", type=_ports,
        help="serve /metrics, /healthz and /readyz; a range takes its first free port, 0 any (default: off)",
    )  # fmt: skip
    group.add_argument(
        "--metrics-host", metavar="HOST", default="127.0.0.1",
        help="address to serve them on; there is no authentication (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--no-namespace-metrics", action="store_true",
        help="serve only what this worker counts: with many workers, leave the rest to spinach-ops exporter",
    )  # fmt: skip
    group.add_argument(
        "--trace", action="store_true",
        help="export a trace of every job as the OTEL_* variables say (needs the extra otel)",
    )  # fmt: skip


def _ports(text: str) -> str:
    try:
        parse_ports(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def start_telemetry(engine: Engine, options: argparse.Namespace) -> WorkerTelemetry:
    """Start what the options ask for.

    Raises:
        TargetError: spans cannot be exported as asked for.
    """
    telemetry = WorkerTelemetry()
    if options.trace:
        _trace(engine, telemetry)
    if options.metrics_port is not None:
        _serve(engine, options, telemetry)
    return telemetry


def _trace(engine: Engine, telemetry: WorkerTelemetry) -> None:
    from .app_loader import TargetError

    try:
        from ..tracing.provider import TracingUnavailable, trace_worker  # takes longer to load than all else
    except Exception as error:  # the SDK reads some of its variables, and refuses them, as it is imported
        reason = (
            f"OpenTelemetry cannot be loaded, mostly for an OTEL_* variable: {type(error).__name__}: {error}"
        )
        raise TargetError(f"--trace: {reason}") from None
    try:
        end = trace_worker(engine)
    except TracingUnavailable as error:
        raise TargetError(f"--trace: {error}") from None
    telemetry.add("traces", "exported as the OTEL_* variables say", end)


def _serve(engine: Engine, options: argparse.Namespace, telemetry: WorkerTelemetry) -> None:
    """Serve metrics. Jobs do not depend on that: when it cannot be, the worker says so and works."""
    from ..serving import serve

    try:
        server = serve(
            engine,
            options.metrics_host,
            options.metrics_port,
            namespace_metrics=not options.no_namespace_metrics,
        )
    except CannotListen as error:
        logger.error("No metrics are served: %s", error)
        telemetry.add("metrics", "NOT SERVED, see above")
    else:
        telemetry.add("metrics", f"{server.url}/metrics", server.close)
