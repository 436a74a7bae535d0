"""Addresses to listen on: parses ports, recognises loopback, explains why listening failed. Pure."""

from __future__ import annotations

import errno
from typing import Final

_LOOPBACK: Final = ("127.", "localhost", "::1", "::ffff:127.")


class CannotListen(OSError):
    """The server cannot listen; the message says on which port, why, and what to do."""


def parse_ports(text: str | int) -> range:
    """Return the ports that ``9850``, ``9850-9869`` or ``0`` (any free port) stands for.

    Raises:
        ValueError: it is neither a port nor a range of ports.
    """
    first, dash, last = str(text).partition("-")
    if first.isascii() and first.isdecimal() and (not dash or (last.isascii() and last.isdecimal())):
        found = range(int(first), int(last if dash else first) + 1)
        if found and found[-1] <= 65535:
            return found
    raise ValueError(
        f"{text!r} is not a port: expected a number up to 65535, a range such as 9850-9869, or 0 for any"
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    return host.startswith(_LOOPBACK)


def explain_refusal(error: OSError) -> str:
    """Return why the system refused to listen, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "taken by another process; name another port, a range such as 9850-9869, or 0 for any"
    if error.errno == errno.EACCES:
        return "not permitted; name a port from 1024 on"
    return f"{error.strerror or error}; is it an address of this machine?"
