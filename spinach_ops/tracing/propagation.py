"""Contexts in the headers of jobs: what travels, how much of it, and how it is read back from whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator

from spinach.job import Job

from . import w3c
from .complaints import Complaints

#: Says that attempts are linked to the creation context instead of being its children.
LINK_HEADER: Final = "spinach-link"
#: The context of the attempt before, in the form of ``traceparent``.
PREVIOUS_HEADER: Final = "spinach-previous"
# Headers are stored with every job: a large baggage would cost more than the job.
MAX_BYTES: Final = 2048


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
        self._is_standard = False

    def headers(self, context: Context) -> dict[str, str]:
        """Return the headers that carry a context; none where that fails."""
        try:
            propagator = self._current()
            if not baggage.get_all(context):
                span = trace.get_current_span(context).get_span_context()
                if self._is_standard and not span.trace_state:
                    return {w3c.TRACEPARENT: w3c.spelled(span)} if span.is_valid else {}
            else:
                context = self._with_allowed_baggage(context)
            carrier: dict[str, str] = {}
            propagator.inject(carrier, context=context)
        except BaseException as error:
            self._complaints.report("write a context into headers", error)
            return {}
        return self._fitting(carrier)

    def read(self, headers: Mapping[str, str], context: Context) -> Context:
        """Return a context with what the headers carry; malformed ones carry nothing."""
        try:
            propagator = self._current()
            carrier = {}
            for name in self._fields:
                text = headers.get(name)
                if text is not None and len(text) <= MAX_BYTES:
                    carrier[name] = text
            if not carrier:
                return context
            if self._is_standard and len(carrier) == 1 and (plain := carrier.get(w3c.TRACEPARENT)):
                span = w3c.parse(plain)
                if span is not None:
                    return trace.set_span_in_context(trace.NonRecordingSpan(span), context)
            found = propagator.extract(carrier, context=context)
            return self._with_allowed_baggage(found) if w3c.BAGGAGE in carrier else found
        except BaseException as error:
            self._complaints.report("read a context from headers", error)
            return context

    def _current(self) -> TextMapPropagator:
        """Return the global propagator, which the application may change at any time."""
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            fields = propagator.fields if self._baggage else propagator.fields - {w3c.BAGGAGE}
            self._fields = tuple(sorted(fields))
            self._is_standard = w3c.is_standard(propagator)
            self._propagator = propagator
        return propagator

    def _with_allowed_baggage(self, context: Context) -> Context:
        items = baggage.get_all(context)
        if not items or items.keys() <= self._baggage:
            return context
        context = baggage.clear(context)
        for name in self._baggage & items.keys():
            context = baggage.set_baggage(name, items[name], context)
        return context

    def _fitting(self, carrier: Mapping[str, str]) -> dict[str, str]:
        """Return what may stand in headers: plain texts, and less and less where all is too much."""
        texts = {name: text for name, text in carrier.items() if _is_plain(name) and _is_plain(text)}
        contexts = set(self._fields) - {w3c.BAGGAGE}
        for names in (texts.keys(), texts.keys() - {w3c.BAGGAGE}, contexts, contexts - {w3c.TRACESTATE}):
            kept = {name: text for name, text in texts.items() if name in names}
            if sum(len(name) + len(text) for name, text in kept.items()) <= MAX_BYTES:
                return kept
        return {}


def add_headers(job: Job, headers: Mapping[str, str]) -> None:
    """Give a job headers beside those it has."""
    job.headers = {**(job.headers or {}), **headers}


def previous_of(headers: Mapping[str, str]) -> trace.SpanContext | None:
    """Return the context of the attempt before, None where there is none that can be read."""
    text = headers.get(PREVIOUS_HEADER)
    return None if text is None else w3c.parse(text)


def _is_plain(text: object) -> bool:
    # A propagator may put in anything; what is no ASCII text would not pass through JSON as it is.
    return type(text) is str and text.isascii() and len(text) <= MAX_BYTES
