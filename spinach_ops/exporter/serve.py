"""Serves the metrics of namespaces, read straight from Redis, and where their workers serve their own.

`/metrics` has the namespace family, `/sd` tells Prometheus where the workers serve their own, `/healthz` and
`/readyz` are for the process manager.
"""

from __future__ import annotations

import json
import socket
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from ..metrics.namespace_collector import NamespaceCollector
from ..metrics.snapshot_cache import PollResult, SnapshotCache
from ..web.http import JSON, HttpServer, Request, Response, Route
from ..web.scrape import scrape_route
from .service_discovery import http_sd


def start(
    caches: dict[str, SnapshotCache], *, host: str, port: str | int, per_worker: bool = False
) -> HttpServer:
    """Serve namespaces; return the server.

    Raises:
        ValueError: `port` is none.
        CannotListen: it is taken, or the host is not this machine's.
    """
    registry = CollectorRegistry()
    collector = NamespaceCollector(caches, per_worker=per_worker)
    registry.register(collector)
    routes: dict[str, Route] = {
        "/metrics": scrape_route(registry),
        "/sd": Discovery(collector),
        "/healthz": lambda _: _json({"status": "ok"}),
        "/readyz": partial(_ready, collector),
    }
    return HttpServer(routes, host=host, port=port, name="exporter-http")


class Discovery:
    """The route of `/sd`. A namespace that cannot be read keeps its last known workers.

    Their own pages are needed most in an outage.
    """

    def __init__(self, collector: NamespaceCollector) -> None:
        self._collector = collector
        self._groups: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, _: Request) -> Response:
        """Return the target groups, as JSON."""
        for name, reading in self._collector.read().items():
            if reading.snapshot is not None:
                self._groups[name] = http_sd(reading.snapshot, here=socket.gethostname())
        # An empty answer would make Prometheus forget its targets; an error makes it keep them.
        groups = [group for groups in list(self._groups.values()) for group in groups]
        return _json(groups, 200 if self._groups else 503)


def _ready(collector: NamespaceCollector, _: Request) -> Response:
    readings = collector.read_until_first()
    ready = any(reading is not None and reading.snapshot is not None for reading in readings.values())
    checks = {name: _check(reading) for name, reading in readings.items()}
    return _json({"status": "ok" if ready else "failing", "checks": checks}, 200 if ready else 503)


def _check(reading: PollResult | None) -> dict[str, str]:
    if reading is None:
        return {"status": "pending", "detail": "not answered yet"}
    return {"status": "ok" if reading.snapshot is not None else reading.reason, "detail": reading.message}


def _json(value: object, status: int = 200) -> Response:
    return Response((json.dumps(value) + "\n").encode(), status, JSON)
