"""Starts an OpenTelemetry collector on the loopback, which writes the spans to a readable file."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples.shared.child_process import ChildProcess, free_port

HOW_TO_GET: Final = (
    "pip install rotel opentelemetry-exporter-otlp-proto-http; "
    "without rotel, name a collector of your own in OTEL_EXPORTER_OTLP_ENDPOINT"
)
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True, slots=True)
class SpanDestination:
    """The collector that gets the spans.

    Attributes:
        endpoint: Its URL, for OTLP over HTTP.
        child: Its process, None if the run did not start it.
    """

    endpoint: str
    child: ChildProcess | None

    @property
    def where(self) -> str:
        """The place of the spans, for a person."""
        return str(self.child.log) if self.child else f"in the collector at {self.endpoint}"

    def environment(self, service: str) -> dict[str, str]:
        """Return the variables that make a process send its spans there."""
        return {
            _ENDPOINT: self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": service,
            "OTEL_BSP_SCHEDULE_DELAY": "1000",  # milliseconds: a person waits for them
        }


def start(data: Path) -> SpanDestination | None:
    """Return the collector that the environment names, or start one; None where none is installed."""
    if not _can_export():
        return None
    named = os.environ.get(_ENDPOINT)
    if named:
        return SpanDestination(named, None)
    agent = _agent()
    if agent is None:
        return None
    grpc, http = free_port(), free_port()
    command = [
        str(agent), "start", "--pid-file", str(data / "collector.pid"),
        "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}",
        "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed",
    ]  # fmt: skip
    child = ChildProcess("traces", command, data)
    try:
        child.await_condition(lambda: "Starting Rotel" in child.tail(), "it does not say that it started")
    except BaseException:
        child.stop()
        raise
    return SpanDestination(f"http://127.0.0.1:{http}", child)


def _can_export() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False


def _agent() -> Path | None:
    found = importlib.util.find_spec("rotel")  # not imported: it would start to configure itself
    if found is None or found.origin is None:
        return None
    agent = Path(found.origin).with_name("rotel-agent")
    return agent if os.access(agent, os.X_OK) else None
