"""Errors on spans: status, type, and the exception as event or log record; cut to what a backend should bear."""

from __future__ import annotations

import os
import time
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from spinach.brokers.error_text import describe, qualified_name, shorten, traceback_of

from .attributes import (
    ERROR_TYPE,
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
    SCHEMA_URL,
    Attributes,
)
from .complaints import Complaints
from .exportable import encodable

MAX_MESSAGE_CHARACTERS: Final = 1024
MAX_STACKTRACE_CHARACTERS: Final = 16_384
_EVENT: Final = "exception"
# The API's loggers while no provider is configured: they drop what they get.
_SILENT: Final = ("NoOpLogger", "ProxyLogger")
_OPT_IN: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"


class ErrorRecorder:
    """Notes errors on spans.

    Args:
        with_exceptions: Whether messages and tracebacks are recorded.
        complaints: Where failures are told.
    """

    def __init__(self, with_exceptions: bool, complaints: Complaints) -> None:
        self._with_exceptions = with_exceptions
        self._complaints = complaints
        opted = {word.strip() for word in os.environ.get(_OPT_IN, "").split(",")}
        self._as_log = bool(opted & {"logs", "logs/dup"})
        self._as_event = "logs" not in opted or "logs/dup" in opted

    def record(self, span: trace.Span, error: BaseException) -> None:
        """Note on a recording span that `error` ended what it stands for."""
        kind = encodable(qualified_name(type(error)))
        span.set_attribute(ERROR_TYPE, kind)
        if not self._with_exceptions:
            span.set_status(Status(StatusCode.ERROR, kind))
            return
        message = encodable(shorten(describe(error), MAX_MESSAGE_CHARACTERS))
        span.set_status(Status(StatusCode.ERROR, f"{kind}: {message}"))
        facts: Attributes = {
            EXCEPTION_TYPE: kind,
            EXCEPTION_MESSAGE: message,
            EXCEPTION_STACKTRACE: encodable(shorten(traceback_of(error), MAX_STACKTRACE_CHARACTERS)),
        }
        logged = self._as_log and self._log(span, facts)
        if self._as_event or not logged:
            span.add_event(_EVENT, facts)

    def _log(self, span: trace.Span, facts: Attributes) -> bool:
        """Emit the exception as a log record of its span; return whether that worked."""
        try:
            # Still experimental, and asked for by few: a release that moves it costs them an event instead.
            from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

            log = get_logger("spinach", schema_url=SCHEMA_URL)
            if type(log).__name__ in _SILENT:
                return False
            now = time.time_ns()
            log.emit(
                LogRecord(
                    timestamp=now,
                    observed_timestamp=now,
                    context=trace.set_span_in_context(span),
                    severity_number=SeverityNumber.ERROR,
                    severity_text="ERROR",
                    event_name=_EVENT,
                    attributes=facts,
                )
            )
        except Exception as error:
            self._complaints.report("log an exception", error)
            return False
        return True
