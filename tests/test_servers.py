"""The servers that other tests stand on."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from .servers import SERVER_KINDS, Server


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_server_answers(kind: str, request: pytest.FixtureRequest) -> None:
    """Each kind of server runs on the loopback and answers."""
    server: Server = request.getfixturevalue(f"{kind}_server")
    with server.client() as client:
        assert client.ping()
        assert client.info("server")["process_id"] == server.pid
    assert server.url.startswith("redis://127.0.0.1:")


def test_killed_server_is_gone_and_comes_back(make_server: Callable[..., Server]) -> None:
    """A killed server comes back on its port with what its append-only file holds."""
    server = make_server("valkey", "--appendonly", "yes", "--appendfsync", "always")
    pid, port = server.pid, server.port
    assert pid is not None
    with server.client() as client:
        client.set("kept", "1")
        server.restart()
        assert client.get("kept") == b"1"
    assert server.port == port
    assert server.pid != pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
