"""Contexts in the headers of jobs: what travels, how much of it, and how it is read back from whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from spinach.job import Job

from .complaints import Complaints

#: Says that attempts are linked to the creation context instead of being its children.
LINK_HEADER: Final = "spinach-link"
#: The context of the attempt before, in the form of ``traceparent``.
PREVIOUS_HEADER: Final = "spinach-previous"
# Headers are stored with every job: a large baggage would cost more than the job.
MAX_BYTES: Final = 2048
_TRACEPARENT: Final = "traceparent"
_BAGGAGE: Final = "baggage"
_W3C: Final = TraceContextTextMapPropagator()


class Propagation:
    """Writes contexts into headers and reads them, by the application's global propagator.

    Args:
        baggage: Names of the baggage that may travel.
        complaints: Where failures are told.
    """

    def __init__(self, baggage: Sequence[str], complaints: Complaints) -> None:
        self._baggage = frozenset(baggage)
        self._complaints = complaints
        self._propagator: TextMapPropagator | None = None
        self._fields: tuple[str, ...] = ()

    def headers(self, context: Context) -> dict[str, str]:
        """Return the headers that carry a context; none where that fails."""
        carrier: dict[str, str] = {}
        try:
            propagate.inject(carrier, context=context)
            if len(carrier) == 1 and _is_plain(carrier.get(_TRACEPARENT)):
                return carrier  # as nearly always: no baggage, no vendor's state
            carrier = {}
            propagate.inject(carrier, context=self._with_allowed_baggage(context))
        except BaseException as error:
            self._complaints.report("write a context into headers", error)
        texts = {name: text for name, text in carrier.items() if _is_plain(name) and _is_plain(text)}
        if sum(len(name) + len(text) for name, text in texts.items()) > MAX_BYTES:
            texts = {_TRACEPARENT: texts[_TRACEPARENT]} if _TRACEPARENT in texts else {}
        return texts

    def read(self, headers: Mapping[str, str], context: Context) -> Context:
        """Return a context with what the headers carry; malformed ones carry nothing."""
        try:
            propagator = propagate.get_global_textmap()
            if propagator is not self._propagator:
                self._learn_fields(propagator)
            carrier = {}
            for name in self._fields:
                text = headers.get(name)
                if text is not None and len(text) <= MAX_BYTES:
                    carrier[name] = text
            if not carrier:
                return context
            found = propagator.extract(carrier, context=context)
            return self._with_allowed_baggage(found) if _BAGGAGE in carrier else found
        except BaseException as error:
            self._complaints.report("read a context from headers", error)
            return context

    def _learn_fields(self, propagator: TextMapPropagator) -> None:
        fields = propagator.fields if self._baggage else propagator.fields - {_BAGGAGE}
        self._fields, self._propagator = tuple(sorted(fields)), propagator

    def _with_allowed_baggage(self, context: Context) -> Context:
        items = baggage.get_all(context)
        if not items or items.keys() <= self._baggage:
            return context
        context = baggage.clear(context)
        for name in self._baggage & items.keys():
            context = baggage.set_baggage(name, items[name], context)
        return context


def add_headers(job: Job, headers: Mapping[str, str]) -> None:
    """Give a job headers beside those it has."""
    job.headers = {**(job.headers or {}), **headers}


def traceparent_of(span: trace.SpanContext) -> str:
    """Return a span's context in the form of ``traceparent``."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def previous_of(headers: Mapping[str, str]) -> trace.SpanContext | None:
    """Return the context of the attempt before, None where there is none that can be read."""
    text = headers.get(PREVIOUS_HEADER)
    if text is None:
        return None
    found = trace.get_current_span(_W3C.extract({_TRACEPARENT: text}, context=Context())).get_span_context()
    return found if found.is_valid else None


def _is_plain(text: object) -> bool:
    # A propagator may put in anything; what is no ASCII text would not pass through JSON as it is.
    return type(text) is str and text.isascii() and len(text) <= MAX_BYTES
