"""`spinach-ops exporter`: serves the metrics of namespaces, read straight from Redis; needs no worker.

`/metrics` has the namespace family, `/sd` tells Prometheus where the workers serve their own, `/healthz` and `/readyz`
are for whatever keeps this process running.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spinach.stopping import StopRequest, stop_on_signal

from .ending import complain
from .options import (
    NAMESPACE_VARIABLE,
    OK,
    USAGE,
    UsageError,
    add_output,
    add_server,
    default_namespace,
    read_url,
)
from .text import duration, printable

if TYPE_CHECKING:
    from .collector import NamespaceCollector
    from .feed import SnapshotFeed
    from .http import HttpServer, Request, Response, Route
    from .targets import Target

HELP = "serve the metrics of namespaces to Prometheus, read straight from Redis"
DEFAULT_LISTEN: Final = "127.0.0.1:9849"
_MAX_CACHE_SECONDS: Final = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--listen", metavar="[HOST:]PORT", default=DEFAULT_LISTEN,
        help="where to serve; PORT may be a range or 0 for any free one (default: %(default)s)")  # fmt: skip
    add("--targets", metavar="FILE", type=Path,
        help="a TOML file of servers and namespaces, in place of --redis and --namespace")  # fmt: skip
    add("--queue", metavar="Q", action="append", default=[], help="also look at this queue; may be repeated")
    add("--cache", metavar="SECS", type=_seconds, default="3s",
        help="one look serves all who ask within so many seconds (default: %(default)s)")  # fmt: skip
    add("--per-worker", action="store_true", help="add a series per worker, at most 200")
    group = add_server(parser)
    group.add_argument(
        "-n", "--namespace", metavar="NS", action="append", default=[],
        help=f"namespace to read; may be repeated (default: ${NAMESPACE_VARIABLE}, then the engine's default)",
    )  # fmt: skip
    add_output(parser)


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MAX_CACHE_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds from 0 to {_MAX_CACHE_SECONDS:.0f}"
        )
    return seconds


def run(given: argparse.Namespace) -> int:
    """Serve until a signal comes; return the exit code."""
    from .http import CannotListen

    targets = _targets(given)
    feeds = _feeds(targets, given.cache)
    host, port = _address(given.listen)
    request = StopRequest()
    with stop_on_signal(request):
        try:
            server = start(feeds, host=host, port=port, per_worker=given.per_worker)
        except (CannotListen, ValueError) as error:
            return complain("spinach-ops exporter", error, USAGE)
        _announce(server, targets, given)
        request.wait()
        server.close()
    return OK


def _targets(given: argparse.Namespace) -> list[Target]:
    from .targets import Target, check_distinct, read_targets

    if given.targets is not None:
        if given.redis or given.redis_file or given.namespace or given.queue:
            raise UsageError(
                "--targets already names servers, namespaces and queues: leave the other options out"
            )
        targets = read_targets(given.targets)
    else:
        names = given.namespace or [default_namespace(os.environ)]
        url = read_url(given, os.environ, sys.stderr)
        targets = [Target("default", url, tuple(names), tuple(given.queue))]
    check_distinct(targets)
    return targets


def _feeds(targets: Sequence[Target], cache_seconds: float) -> dict[str, SnapshotFeed]:
    from spinach.brokers.redis.connect import connect

    from .feed import SnapshotFeed
    from .registries import take_snapshot

    feeds = {}
    for target in targets:
        for namespace in target.namespaces:
            try:
                broker = connect(target.url, namespace)
            except ValueError as error:
                raise UsageError(f"{target.name}: {error}") from None
            look = partial(take_snapshot, broker, queues=target.queues)
            feeds[namespace] = SnapshotFeed(look, cache_seconds=cache_seconds, name=f"{namespace}-snapshot")
    return feeds


def start(
    feeds: dict[str, SnapshotFeed], *, host: str, port: str | int, per_worker: bool = False
) -> HttpServer:
    """Serve namespaces; return the server.

    Raises:
        ValueError: `port` is none.
        CannotListen: it is taken, or the host is not this machine's.
    """
    from prometheus_client import CollectorRegistry

    from .collector import NamespaceCollector
    from .http import HttpServer
    from .scrape import scrape_route

    registry = CollectorRegistry()
    collector = NamespaceCollector(feeds, per_worker=per_worker)
    registry.register(collector)
    routes: dict[str, Route] = {
        "/metrics": scrape_route(registry),
        "/sd": partial(_discover, collector),
        "/healthz": lambda _: _json({"status": "ok"}),
        "/readyz": partial(_ready, collector),
    }
    return HttpServer(routes, host=host, port=port, name="exporter-http")


def _discover(collector: NamespaceCollector, _: Request) -> Response:
    from .discovery import http_sd

    readings = collector.read()
    snapshots = [reading.snapshot for reading in readings.values() if reading.snapshot is not None]
    # An empty answer would make Prometheus forget its targets; an error makes it keep them.
    return _json(http_sd(snapshots), 200 if snapshots else 503)


def _ready(collector: NamespaceCollector, _: Request) -> Response:
    readings = collector.read()
    ready = any(reading.snapshot is not None for reading in readings.values())
    checks = {
        name: {"status": "ok" if reading.snapshot is not None else reading.reason, "detail": reading.message}
        for name, reading in readings.items()
    }
    return _json({"status": "ok" if ready else "failing", "checks": checks}, 200 if ready else 503)


def _json(value: object, status: int = 200) -> Response:
    from .http import JSON, Response

    return Response((json.dumps(value) + "\n").encode(), status, JSON)


def _address(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    return (host.strip("[]") or "127.0.0.1", port) if colon else ("127.0.0.1", text)


def _announce(server: HttpServer, targets: Sequence[Target], given: argparse.Namespace) -> None:
    if given.json:
        print(
            json.dumps(
                {"url": server.url, "namespaces": [name for each in targets for name in each.namespaces]}
            ),
            flush=True,
        )
        return
    lines = [
        f"serving {server.url}/metrics, /sd, /healthz, /readyz; one look per {duration(given.cache)} at the most"
    ]
    lines += [f"  {target.server}: {', '.join(target.namespaces)}" for target in targets]
    for line in lines:
        print(printable(line), file=sys.stderr, flush=True)
