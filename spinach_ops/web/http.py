"""A small web server for scrapers and probes: a few routes, read only, bounded in connections, time and size.

It knows nothing of jobs. A client that is slow, hangs or floods the server may cost other clients their
connection, and nothing else.
"""

from __future__ import annotations

import errno
import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from weakref import WeakSet

from spinach.logger import SafeLogger

from .addresses import CannotListen, explain_refusal, is_loopback, parse_ports

logger = SafeLogger(__name__)

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"
# Scrapers and probes are few; beyond this the server closes the oldest connection for the newest.
_MAX_CONNECTIONS: Final = 16
# For each read and write of a connection.
_TIMEOUT_SECONDS: Final = 10.0
_NO_DESCRIPTOR_PAUSE_SECONDS: Final = 0.1
_MAX_FIELDS: Final = 100
_COMPRESS_FROM_BYTES: Final = 1024
# Level 1 makes 65 kB of 1.1 MB of metrics; a higher level saves little more and takes much longer.
_COMPRESSION_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a client; names of headers are in lower case."""

    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer of a route."""

    body: bytes
    status: int = 200
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[Request], Response]


class HttpServer:
    """Serves routes from a thread of its own until it is closed.

    Args:
        routes: The routes by path.
        host: Address to listen on.
        port: A number, a range whose first free port is taken, or 0 for any free port.
        name: Name of the thread.
        on_close: Called when the server closes.

    Attributes:
        host: The address it listens on.
        port: The port it listens on.

    Raises:
        ValueError: `port` is not a port or a range of ports.
        CannotListen: the address does not belong to this machine, or every port is taken.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        host: str,
        port: str | int,
        name: str,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._server = _listen(host, parse_ports(port))
        self._server.routes = dict(routes)
        self._on_close = on_close
        self._process = os.getpid()
        self.host = host
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name=name, daemon=True
        )
        self._thread.start()
        _servers.add(self)
        if not is_loopback(host):
            logger.warning(
                "Every client that reaches %s can read it: there is no authentication",
                self.url,
                extra={"action": "serving_openly"},
            )

    @property
    def url(self) -> str:
        """The URL at which other machines reach the server."""
        host = socket.gethostname() if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def close(self) -> None:
        """Stop listening; open connections end by themselves. A second call does nothing."""
        if self._process != os.getpid():  # a forked child: it has no such thread, and closed the socket
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def close_in_child(self) -> None:
        """Close the socket in a forked child, which would keep the port and never answer."""
        self._server.socket.close()


_servers: Final[WeakSet[HttpServer]] = WeakSet()


def _close_in_child() -> None:
    for server in list(_servers):
        server.close_in_child()


os.register_at_fork(after_in_child=_close_in_child)


def _listen(host: str, candidates: Iterable[int]) -> _Server:
    refusals = []
    for port in candidates:
        try:
            return (_Server6 if ":" in host else _Server)((host, port), _Handler)
        except (TypeError, UnicodeError) as error:
            raise CannotListen(f"cannot listen on {host!r}: it is not an address ({error})") from error
        except OSError as error:
            refusals.append((port, error))
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                break
    last, refusal = refusals[-1]
    others = f" and {len(refusals) - 1} before it" if len(refusals) > 1 else ""
    raise CannotListen(
        f"cannot listen on {host}, port {last}{others}: {explain_refusal(refusal)}"
    ) from refusal


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 32
    routes: Mapping[str, Route]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = threading.Lock()
        self._pause = threading.Event()
        self._open: dict[int, socket.socket] = {}

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; without a free file descriptor, pause, so that the thread does not spin."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._pause.wait(_NO_DESCRIPTOR_PAUSE_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection; if there are too many, close the oldest."""
        with self._lock:
            oldest = next(iter(self._open.values())) if len(self._open) >= _MAX_CONNECTIONS else None
            if oldest is not None:
                self._open.pop(id(oldest), None)
            self._open[id(request)] = request
        if oldest is not None:
            _shut_down(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that has been served."""
        with self._lock:
            self._open.pop(id(request), None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log at level DEBUG that a client went away: nothing is wrong."""
        logger.debug("A connection from %s ended early", client_address, exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


def gzip_accepted(header: str) -> bool:
    """Return whether an `Accept-Encoding` header names gzip with a weight other than 0."""
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the client closed it already
        logger.debug("The client closed its connection first")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT_SECONDS
    server_version = "spinach"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a request with its route."""
        self._send(self._answer())

    do_HEAD = do_GET  # noqa: N815 - names of the base class

    def do_POST(self) -> None:
        """Refuse: the server is read only."""
        self._send(Response(b"only GET and HEAD\n", 405, headers={"Allow": "GET, HEAD"}))

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST  # noqa: N815

    def _answer(self) -> Response:
        try:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, max_num_fields=_MAX_FIELDS)
        except ValueError:
            return Response(b"the address cannot be parsed\n", 400)
        route = self.server.routes.get(parts.path)
        if route is None:
            known = ", ".join(sorted(self.server.routes))
            return Response(f"no such path; known are {known}\n".encode(), 404)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            return route(Request(parts.path, query, headers))
        except Exception:
            logger.exception("Route %s failed", parts.path, extra={"action": "request_failed"})
            return Response(b"the route failed; see the log of this process\n", 500)

    def _send(self, response: Response) -> None:
        body = response.body
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if len(body) >= _COMPRESS_FROM_BYTES and gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, _COMPRESSION_LEVEL)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        """Keep requests out of the log of jobs."""
        logger.debug(format, *arguments)
