"""The route of `/metrics`: a registry in the format that the scraper asks for, two at once at the most."""

from __future__ import annotations

import math
import threading
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ..metrics.namespace_collector import DEADLINE_SECONDS, deadline
from .http import Request, Response, Route

# Rendering takes the interpreter's lock: what more scrapers get is slower jobs.
_AT_ONCE: Final = 2
_TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"
# A family is asked for by its name, its samples carry these too.
_SUFFIXES: Final = ("", "_total", "_bucket", "_count", "_sum", "_info")
# Left for rendering and the way back.
_MARGIN_SECONDS: Final = 0.5


def scrape_route(registry: CollectorRegistry) -> Route:
    """Return a route that renders a registry."""
    places = threading.BoundedSemaphore(_AT_ONCE)

    def metrics(request: Request) -> Response:
        if not places.acquire(blocking=False):
            return Response(b"two scrapes are under way already\n", 503, headers={"Retry-After": "1"})
        token = deadline.set(_deadline_of(request))
        try:
            return _render(registry, request)
        finally:
            deadline.reset(token)
            places.release()

    return metrics


def _render(registry: CollectorRegistry, request: Request) -> Response:
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    asked = request.query.get("name[]")
    names = [name + suffix for name in asked or () for suffix in _SUFFIXES]
    chosen = registry.restricted_registry(names) if names else registry
    return Response(encode(chosen), content_type=content_type)


def _deadline_of(request: Request) -> float:
    try:
        given = float(request.headers.get(_TIMEOUT_HEADER, ""))
    except ValueError:
        return DEADLINE_SECONDS
    if not math.isfinite(given):
        return DEADLINE_SECONDS
    return min(DEADLINE_SECONDS, max(0.1, given - _MARGIN_SECONDS))
