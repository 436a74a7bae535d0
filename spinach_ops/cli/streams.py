"""Keeps a command at work whose standard streams are closed, full or without a reader."""

from __future__ import annotations

import io
import os
import sys
from typing import Final

_MODES: Final = {"stdin": "r", "stdout": "w", "stderr": "w"}


class _Lossy(io.FileIO):
    """A file that drops what it cannot write, and tries the next write: a full disk may have room then."""

    def write(self, data: object, /) -> int:
        """Write, or report as written what could not be written."""
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        try:
            written = super().write(data)  # type: ignore[arg-type]
        except OSError:
            return size
        return size if written is None else written  # None: it would block


def open_closed_streams() -> None:
    """Open `os.devnull` in place of the standard streams that the parent process closed.

    Otherwise the first file that the command opens gets the descriptor, and programs that jobs start write
    into that file.
    """
    for name, mode in _MODES.items():
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest free one, which is the closed one
            os.set_inheritable(descriptor, True)
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def drop_what_cannot_be_written(*names: str) -> None:
    """Make writes to standard streams succeed, whatever becomes of their files.

    Args:
        names: `stdout` or `stderr`; one that the program replaced, as test runners do, is left alone.
    """
    for name in names:
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
            continue
        raw = _Lossy(stream.fileno(), "w", closefd=False)
        lossy = io.TextIOWrapper(
            raw if stream.write_through else io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, lossy)
