"""A TCP proxy before a server, for tests: cuts replies, delays them, or lets nothing through."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import redis

_CHUNK = 1 << 16


class Proxy:
    """Passes bytes between clients and one server until told otherwise.

    Args:
        target_port: Port of the server on 127.0.0.1.
    """

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._marks: dict[bytes, list[bool]] = {}
        self._delay_seconds = 0.0
        self._open = threading.Event()
        self._open.set()
        self._closed = threading.Event()
        self.cuts = 0
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._thread.start()

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self.port, **options)

    def cut_replies(self, mark: bytes, pattern: str) -> None:
        """Plan what becomes of the replies to requests that contain `mark`.

        Args:
            mark: Bytes of the request.
            pattern: One letter a request, in order: ``c`` cuts the connection once the server has answered,
                so that the request is applied and its reply lost; ``.`` lets the reply through. What comes
                after the pattern passes.
        """
        with self._lock:
            self._marks[mark] = [letter == "c" for letter in pattern]

    def delay(self, seconds: float) -> None:
        """Hold every reply back for a time."""
        self._delay_seconds = seconds

    def block(self) -> None:
        """Let nothing through in either direction, and keep the connections: a network that drops packets."""
        self._open.clear()

    def unblock(self) -> None:
        self._open.set()

    def redirect(self, target_port: int) -> None:
        """Lead new connections to another server, as a name or a virtual address that moves; keep the old."""
        self._target = target_port

    def forget(self) -> None:
        """Drop whatever the present connections send, and keep them open: a firewall that lost its table."""
        with self._lock:
            for connection in self._connections:
                connection.forgotten = True

    def cut(self) -> None:
        """Cut every connection."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def close(self) -> None:
        self._closed.set()
        self._open.set()
        # accept() does not notice that its socket was closed.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join(5)

    def _must_cut(self, request: bytes) -> bool:
        with self._lock:
            for mark, plan in self._marks.items():
                if plan and mark in request:
                    return plan.pop(0)
        return False

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target), 5)
                server.settimeout(None)
            except OSError:
                if not self._closed.is_set():
                    with contextlib.suppress(OSError, UnboundLocalError):
                        client.close()
                continue
            connection = _Connection(self, client, server)
            with self._lock:
                self._connections.add(connection)
            connection.start()

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.discard(connection)


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._cut_next = threading.Event()
        self.forgotten = False

    def start(self) -> None:
        for pump in (self._pump_requests, self._pump_replies):
            threading.Thread(target=pump, name="proxy-pump", daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._proxy._forget(self)

    def _pump_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(_CHUNK):
                self._proxy._open.wait()
                if self.forgotten:
                    continue
                if self._proxy._must_cut(data):
                    self._cut_next.set()
                self._server.sendall(data)
        self.close()

    def _pump_replies(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(_CHUNK):
                if self._cut_next.is_set():
                    self._proxy.cuts += 1
                    break
                if self._proxy._delay_seconds:
                    threading.Event().wait(self._proxy._delay_seconds)
                self._proxy._open.wait()
                if not self.forgotten:
                    self._client.sendall(data)
        self.close()
