"""The HTTP server of the exporter; reads Redis, needs no worker.

`/metrics` has the namespace family, `/sd` tells Prometheus where the workers serve their own, `/healthz` and
`/readyz` are for the process manager.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from spinach.brokers.redis.from_url import connect

from ..cli.errors import UsageError
from ..metrics.namespace_collector import NamespaceCollector
from ..metrics.registry import take_snapshot
from ..metrics.snapshot_cache import PollResult, SnapshotCache
from ..web.http import JSON, HttpServer, Request, Response, Route
from ..web.scrape import scrape_route
from .config import Target
from .service_discovery import http_sd


def serve_targets(
    targets: Sequence[Target], *, host: str, port: str | int, cache_seconds: float, per_worker: bool = False
) -> HttpServer:
    """Serve the metrics of the targets' namespaces; return the server.

    Args:
        targets: What to read; no namespace twice.
        host: Address to listen on.
        port: A port, a range such as ``9850-9869``, or 0 for any free one.
        cache_seconds: Each namespace is polled at most once in so many seconds.
        per_worker: Whether to add series for each worker.

    Raises:
        UsageError: A URL or a namespace is not valid.
        ValueError: `port` is not valid.
        CannotListen: The port is taken, or the host is not an address of this machine.
    """
    registry = CollectorRegistry()
    collector = NamespaceCollector(_caches(targets, cache_seconds), per_worker=per_worker)
    registry.register(collector)
    routes: dict[str, Route] = {
        "/metrics": scrape_route(registry),
        "/sd": Discovery(collector),
        "/healthz": lambda _: _json({"status": "ok"}),
        "/readyz": partial(_ready, collector),
    }
    return HttpServer(routes, host=host, port=port, name="exporter-http")


def _caches(targets: Sequence[Target], cache_seconds: float) -> dict[str, SnapshotCache]:
    caches = {}
    for target in targets:
        for namespace in target.namespaces:
            try:
                broker = connect(target.url, namespace)
            except ValueError as error:
                raise UsageError(f"{target.name}: {error}") from None
            read = partial(take_snapshot, broker, queues=target.queues)
            caches[namespace] = SnapshotCache(read, cache_seconds=cache_seconds, name=f"{namespace}-snapshot")
    return caches


class Discovery:
    """The route of `/sd`. A namespace that cannot be read keeps its last known workers.

    Their own pages are needed most in an outage.
    """

    def __init__(self, collector: NamespaceCollector) -> None:
        self._collector = collector
        self._groups: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, _: Request) -> Response:
        """Return the target groups as JSON."""
        for name, reading in self._collector.read().items():
            if reading.snapshot is not None:
                self._groups[name] = http_sd(reading.snapshot, here=socket.gethostname())
        # Prometheus drops its targets after an empty answer, and keeps them after an error.
        groups = [group for groups in list(self._groups.values()) for group in groups]
        return _json(groups, 200 if self._groups else 503)


def _ready(collector: NamespaceCollector, _: Request) -> Response:
    readings = collector.read_until_first()
    ready = any(reading is not None and reading.snapshot is not None for reading in readings.values())
    checks = {name: _check(reading) for name, reading in readings.items()}
    return _json({"status": "ok" if ready else "failing", "checks": checks}, 200 if ready else 503)


def _check(reading: PollResult | None) -> dict[str, str]:
    if reading is None:
        return {"status": "pending", "detail": "the server has not answered yet"}
    return {"status": "ok" if reading.snapshot is not None else reading.reason, "detail": reading.message}


def _json(value: object, status: int = 200) -> Response:
    return Response((json.dumps(value) + "\n").encode(), status, JSON)
