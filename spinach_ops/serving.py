"""`serve` opens a port with `/metrics`, `/healthz` and `/readyz` for the process of an engine.

Opens no port before it is called. Light to import: the first call loads prometheus_client.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from spinach.logger import SafeLogger

from .instrumentation import instrument
from .web.addresses import parse_ports

if TYPE_CHECKING:
    from spinach import Engine
    from spinach.runtime.vitals import Vitals

    from .web.health import Health
    from .web.http import HttpServer, Response, Route

logger = SafeLogger(__name__)

# The first worker of a machine takes the first port; each further worker takes the next free one.
DEFAULT_PORTS: Final = "9850-9869"
# The field of a worker's record that holds the URL of its metrics.
METRICS_URL: Final = "metrics_url"


def serve(
    engine: Engine,
    host: str | int = "127.0.0.1",
    port: int | str = DEFAULT_PORTS,
    *,
    namespace_metrics: bool = True,
) -> HttpServer:
    """Serve metrics and health of this process over HTTP until the returned server is closed.

    Instruments the engine, without tracing, unless it is instrumented already. The address goes to the log
    and into the worker's record.

    Args:
        engine: The engine.
        host: Address to listen on. There is no authentication: any client that reaches an address other than
            loopback can read the pages. A number is taken as the port, as in ``serve(engine, 9850)``.
        port: A number, a range such as ``"9850-9869"`` whose first free port is taken, or 0 for any free
            port.
        namespace_metrics: Whether `/metrics` also reads the whole namespace from the broker; see
            `instrument`.

    Returns:
        The server, with `port`, `url` and `close()`.

    Raises:
        ValueError: `port` is not a port or a range of ports.
        CannotListen: the port is taken, or the address does not belong to this machine.

    Example:
        >>> server = serve(engine, port=9850)
        >>> server.url
        'http://127.0.0.1:9850'
        >>> server.close()
    """
    from .web.http import HttpServer
    from .web.scrape import scrape_route

    if isinstance(host, int):
        host, port = "127.0.0.1", host
    parse_ports(port)
    registry = instrument(engine, namespace_metrics=namespace_metrics, tracing=False).registry
    routes: dict[str, Route] = {"/metrics": scrape_route(registry), **health_routes(lambda: engine.vitals)}
    on_close = ExitStack()
    server = HttpServer(
        routes, host=host, port=port, name=f"{engine.namespace}-http", on_close=on_close.close
    )
    on_close.callback(engine.announce(METRICS_URL, f"{server.url}/metrics"))
    logger.info("Metrics at %s/metrics", server.url, extra={"action": "serving_metrics"})
    return server


def health_routes(vitals: Callable[[], Vitals | None]) -> dict[str, Route]:
    """Return the routes `/healthz` and `/readyz`: they answer 200 if every check passes, else 503.

    Args:
        vitals: Returns the vitals of the process, None while no workers run.
    """
    from .web.health import liveness, readiness

    return {
        "/healthz": lambda _: _answer(liveness(vitals())),
        "/readyz": lambda _: _answer(readiness(vitals())),
    }


def _answer(health: Health) -> Response:
    from .web.http import JSON, Response

    body = json.dumps(health.document()) + "\n"
    return Response(body.encode(), 200 if health.ok else 503, JSON)
