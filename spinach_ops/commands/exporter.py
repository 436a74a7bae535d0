"""`spinach-ops exporter`: serves the metrics of namespaces, read straight from Redis; needs no worker.

`/metrics` has the namespace family, `/sd` tells Prometheus where the workers serve their own, `/healthz` and
`/readyz` are for whatever keeps this process running.
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

from spinach.runtime.shutdown import StopRequest, stop_on_signal

from ..cli.errors import complain
from ..cli.options import (
    NAMESPACE_VARIABLE,
    OK,
    USAGE,
    UsageError,
    add_output,
    add_server,
    default_namespace,
    read_url,
)
from ..text import duration, printable
from ..web.addresses import CannotListen, parse_ports

if TYPE_CHECKING:
    from ..exporter.config import Target
    from ..metrics.snapshot_cache import SnapshotCache
    from ..web.http import HttpServer

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
        help="one poll serves all requests within so many seconds (default: %(default)s)")  # fmt: skip
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
    from ..metrics.multiprocess import ignore_multiprocess_folder

    ignore_multiprocess_folder()
    from ..exporter.serve import start

    targets = _targets(given)
    caches = _caches(targets, given.cache)
    host, port = _address(given.listen)
    request = StopRequest()
    with stop_on_signal(request):
        try:
            server = start(caches, host=host, port=port, per_worker=given.per_worker)
        except (CannotListen, ValueError) as error:
            return complain("spinach-ops exporter", error, USAGE)
        _announce(server, targets, given)
        request.wait()
        server.close()
    return OK


def _targets(given: argparse.Namespace) -> list[Target]:
    from ..exporter.config import Target, check_distinct, read_targets

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


def _caches(targets: Sequence[Target], cache_seconds: float) -> dict[str, SnapshotCache]:
    from spinach.brokers.redis.from_url import connect

    from ..metrics.registry import take_snapshot
    from ..metrics.snapshot_cache import SnapshotCache

    caches = {}
    for target in targets:
        for namespace in target.namespaces:
            try:
                broker = connect(target.url, namespace)
            except ValueError as error:
                raise UsageError(f"{target.name}: {error}") from None
            look = partial(take_snapshot, broker, queues=target.queues)
            caches[namespace] = SnapshotCache(look, cache_seconds=cache_seconds, name=f"{namespace}-snapshot")
    return caches


def _address(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    try:
        parse_ports(port)
    except ValueError as error:
        raise UsageError(f"--listen is {text!r}, expected HOST:PORT or PORT: {error}") from None
    return (host.strip("[]") or "127.0.0.1") if colon else "127.0.0.1", port


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
        f"serving {server.url}/metrics, /sd, /healthz, /readyz; at most one poll per {duration(given.cache)}"
    ]
    lines += [f"  {target.server}: {', '.join(target.namespaces)}" for target in targets]
    for line in lines:
        print(printable(line), file=sys.stderr, flush=True)
