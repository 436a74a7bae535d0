"""Records errors on spans: status, type, and the exception as a bounded event or log record."""

from __future__ import annotations

import os
import time
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from spinach.error_text import describe, qualified_name, shorten, traceback_of

from .attributes import (
    ERROR_TYPE,
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
    SCHEMA_URL,
    Attributes,
    encodable,
)
from .failures import FailureLog

MAX_MESSAGE_CHARACTERS: Final = 1024
MAX_STACKTRACE_CHARACTERS: Final = 16_384
_EVENT: Final = "exception"
# The API's loggers while no logger provider is configured: they drop every record.
_INACTIVE_LOGGERS: Final = ("NoOpLogger", "ProxyLogger")
_OPT_IN: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"


class ErrorRecorder:
    """Records errors on spans.

    Args:
        with_exceptions: Whether to record messages and tracebacks.
        failures: Where failures are reported.
    """

    def __init__(self, with_exceptions: bool, failures: FailureLog) -> None:
        self._with_exceptions = with_exceptions
        self._failures = failures
        signals = {word.strip() for word in os.environ.get(_OPT_IN, "").split(",")}
        self._as_log = bool(signals & {"logs", "logs/dup"})
        self._as_event = "logs" not in signals or "logs/dup" in signals

    def record(self, span: trace.Span, error: BaseException) -> None:
        """Record on a recording span that it ended with an error."""
        kind = encodable(qualified_name(type(error)))
        span.set_attribute(ERROR_TYPE, kind)
        if not self._with_exceptions:
            span.set_status(Status(StatusCode.ERROR, kind))
            return
        message = encodable(shorten(describe(error), MAX_MESSAGE_CHARACTERS))
        span.set_status(Status(StatusCode.ERROR, f"{kind}: {message}"))
        attributes: Attributes = {
            EXCEPTION_TYPE: kind,
            EXCEPTION_MESSAGE: message,
            EXCEPTION_STACKTRACE: encodable(shorten(traceback_of(error), MAX_STACKTRACE_CHARACTERS)),
        }
        is_logged = self._as_log and self._log(span, attributes)
        if self._as_event or not is_logged:
            span.add_event(_EVENT, attributes)

    def _log(self, span: trace.Span, attributes: Attributes) -> bool:
        """Emit the exception as a log record of its span; return whether a logger took it."""
        try:
            # The module is experimental: if a release moves it, the exception becomes an event instead.
            from opentelemetry._logs import LogRecord, SeverityNumber, get_logger

            log = get_logger("spinach", schema_url=SCHEMA_URL)
            if type(log).__name__ in _INACTIVE_LOGGERS:
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
                    attributes=attributes,
                )
            )
        except Exception as error:
            self._failures.report("log an exception", error)
            return False
        return True
