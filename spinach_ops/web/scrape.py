"""The route of `/metrics`: renders a registry as the scraper asks, at most twice at the same time."""

from __future__ import annotations

import math
import threading
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ..metrics.namespace_collector import DEADLINE_SECONDS, deadline
from .http import Request, Response, Route

# Rendering holds the interpreter's lock: each further scrape would only slow down jobs.
_MAX_RENDERS: Final = 2
_TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"
# `name[]` names a family, but its samples may have one of these suffixes.
_SUFFIXES: Final = ("", "_total", "_bucket", "_count", "_sum", "_info")
# Left for rendering and for sending the page.
_MARGIN_SECONDS: Final = 0.5


def scrape_route(registry: CollectorRegistry) -> Route:
    """Return the route that renders a registry.

    The scraper's own timeout, from its header, shortens how long the collectors may wait for Redis.
    """
    renders = threading.BoundedSemaphore(_MAX_RENDERS)

    def metrics(request: Request) -> Response:
        if not renders.acquire(blocking=False):
            return Response(
                b"two scrapes are running already; try again in a second\n", 503, headers={"Retry-After": "1"}
            )
        token = deadline.set(_deadline_of(request))
        try:
            return _render(registry, request)
        finally:
            deadline.reset(token)
            renders.release()

    return metrics


def _render(registry: CollectorRegistry, request: Request) -> Response:
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    names = [name + suffix for name in request.query.get("name[]", ()) for suffix in _SUFFIXES]
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
