"""Serves what an engine's process knows of itself: `/metrics`, `/healthz`, `/readyz`. Off until it is asked for.

Light to import: `serve` loads what it needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from logging import getLogger
from typing import TYPE_CHECKING, Final

from .instrument import instrument
from .web.addresses import ports

if TYPE_CHECKING:
    from spinach import Engine
    from spinach.runtime.vitals import Vitals

    from .web.health import Health
    from .web.http import HttpServer, Response, Route

logger = getLogger(__name__)

# One worker on a machine has the first; more of them find theirs by themselves.
DEFAULT_PORTS: Final = "9850-9869"
# The fact under which a worker's record tells where its metrics are.
METRICS_URL: Final = "metrics_url"


def serve(
    engine: Engine,
    host: str | int = "127.0.0.1",
    port: int | str = DEFAULT_PORTS,
    *,
    namespace_metrics: bool = True,
) -> HttpServer:
    """Serve metrics and health of this process over HTTP until the returned server is closed.

    Counts what the engine does, unless it is instrumented already. The address goes to the log and into the worker's record.

    Args:
        engine: Whose metrics.
        host: Address to listen on. Whatever is not loopback is open to all who reach it: there is no authentication.
            A number here is the port, so that ``serve(engine, 9850)`` means what it seems to.
        port: A number, a range such as ``"9850-9869"`` of which the first free one is taken, or 0 for any.
        namespace_metrics: As in `instrument`.

    Returns:
        The server: it has a `port`, a `url`, and `close()`.

    Raises:
        ValueError: `port` is none.
        CannotListen: the port is taken, or the address is not this machine's.
    """
    from .web.http import HttpServer
    from .web.scrape import scrape_route

    if isinstance(host, int):
        host, port = "127.0.0.1", host
    ports(port)
    registry = instrument(engine, namespace_metrics=namespace_metrics, tracing=False).registry
    routes: dict[str, Route] = {"/metrics": scrape_route(registry), **health_routes(lambda: engine.vitals)}
    endings = ExitStack()
    server = HttpServer(routes, host=host, port=port, name=f"{engine.namespace}-http", on_close=endings.close)
    endings.callback(engine.announce(METRICS_URL, f"{server.url}/metrics"))
    logger.info("Metrics at %s/metrics", server.url, extra={"action": "serving_metrics"})
    return server


def health_routes(vitals: Callable[[], Vitals | None]) -> dict[str, Route]:
    """Return the routes of health checks; 200 when all is well, else 503."""
    from .web.health import liveness, readiness

    return {
        "/healthz": lambda _: _answer(liveness(vitals())),
        "/readyz": lambda _: _answer(readiness(vitals())),
    }


def _answer(health: Health) -> Response:
    from .web.http import JSON, Response

    body = json.dumps(health.document()) + "\n"
    return Response(body.encode(), 200 if health.ok else 503, JSON)
