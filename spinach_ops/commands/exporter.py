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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spinach.runtime.shutdown import StopRequest, stop_on_signal

from ..cli.errors import UsageError
from ..cli.exit_codes import OK
from ..cli.numbers import seconds
from ..cli.options import (
    NAMESPACE_VARIABLE,
    add_output,
    add_queues,
    add_server,
    default_namespace,
    read_url,
)
from ..text import duration, printable
from ..web.addresses import CannotListen, parse_ports

if TYPE_CHECKING:
    from ..exporter.config import Target
    from ..web.http import HttpServer

HELP = "serve the metrics of namespaces to Prometheus; reads Redis, needs no worker"
DEFAULT_LISTEN: Final = "127.0.0.1:9849"
_MAX_CACHE_SECONDS: Final = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--listen", metavar="[HOST:]PORT", default=DEFAULT_LISTEN,
        help="address to serve on; PORT may be a range, or 0 for any free port; there is no authentication "
        "(default: %(default)s)")  # fmt: skip
    add("--targets", metavar="FILE", type=Path,
        help="a TOML file of servers and namespaces, in place of --redis and --namespace")  # fmt: skip
    add_queues(parser)
    add("--cache", metavar="SECS", type=seconds(0, _MAX_CACHE_SECONDS), default="3s",
        help="one poll serves all requests within so many seconds (default: %(default)s)")  # fmt: skip
    add("--per-worker", action="store_true", help="add a series per worker, at most 200")
    group = add_server(parser)
    group.add_argument(
        "-n", "--namespace", metavar="NS", action="append", default=[],
        help=f"namespace to read; may be repeated (default: ${NAMESPACE_VARIABLE}, then "
        f"{default_namespace({})!r})",
    )  # fmt: skip
    add_output(parser)


def run(given: argparse.Namespace) -> int:
    """Serve until a signal comes; return the exit code."""
    from ..metrics.multiprocess import ignore_multiprocess_folder

    ignore_multiprocess_folder()
    from ..exporter.serve import serve_targets

    targets = _targets(given)
    host, port = _address(given.listen)
    request = StopRequest()
    with stop_on_signal(request):
        try:
            server = serve_targets(
                targets, host=host, port=port, cache_seconds=given.cache, per_worker=given.per_worker
            )
        except (CannotListen, ValueError) as error:
            raise UsageError(str(error)) from None
        _announce(server, targets, given)
        request.wait()
        server.close()
    return OK


def _targets(given: argparse.Namespace) -> list[Target]:
    from ..exporter.config import Target, check_distinct, read_targets

    if given.targets is not None:
        if given.redis or given.redis_file or given.namespace or given.queue:
            raise UsageError(
                "--targets names the servers, namespaces and queues: leave the other options out"
            )
        targets = read_targets(given.targets)
    else:
        names = given.namespace or [default_namespace(os.environ)]
        url = read_url(given, os.environ, sys.stderr)
        targets = [Target("default", url, tuple(names), tuple(given.queue))]
    check_distinct(targets)
    return targets


def _address(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    try:
        parse_ports(port)
    except ValueError as error:
        raise UsageError(f"--listen is {text!r}, expected HOST:PORT or PORT: {error}") from None
    return (host.strip("[]") or "127.0.0.1") if colon else "127.0.0.1", port


def _announce(server: HttpServer, targets: Sequence[Target], given: argparse.Namespace) -> None:
    if given.json:
        namespaces = [name for target in targets for name in target.namespaces]
        print(json.dumps({"url": server.url, "namespaces": namespaces}), flush=True)
        return
    lines = [
        f"serving {server.url}/metrics, /sd, /healthz, /readyz; at most one poll per {duration(given.cache)}"
    ]
    for line in lines:
        print(printable(line), file=sys.stderr, flush=True)
