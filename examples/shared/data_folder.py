"""The data folder of a run: emptied at the start, locked for one run. Deletes no files of others."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

# A run empties a folder only if it has this file, and only while it holds the lock on it.
MARKER: Final = ".spinach-demo"


class FolderRefused(Exception):
    """The folder cannot be used; the message says why, and what to do."""


@contextmanager
def exclusive_folder(data: Path) -> Iterator[Path]:
    """Empty the folder and lock it until the block ends; yield its absolute path.

    Raises:
        FolderRefused: it has other files, another run uses it, or it cannot be created.
    """
    with ExitStack() as held:
        try:
            held.enter_context(_locked(data))
            _empty(data)
        except OSError as error:
            raise FolderRefused(f"{data} cannot be used: {error}; name another folder with --data") from None
        yield data.resolve()


def _locked(data: Path) -> IO[bytes]:
    """Return the marker file, locked until it is closed or the process ends."""
    data.mkdir(parents=True, exist_ok=True)
    if any(data.iterdir()) and not (data / MARKER).exists():
        raise FolderRefused(f"{data} holds files that are not the demo's; name another folder with --data")
    marker = (data / MARKER).open("ab")
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        marker.close()
        raise FolderRefused(f"another demo runs in {data}; name another folder with --data") from None
    return marker


def _empty(data: Path) -> None:
    for entry in data.iterdir():
        if entry.name == MARKER:  # it carries the lock
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
