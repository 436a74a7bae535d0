"""Addresses to listen on: which ports a text means, who can reach them, and why one cannot be had."""

from __future__ import annotations

import errno
from typing import Final

_LOOPBACK: Final = ("127.", "localhost", "::1", "::ffff:127.")


class CannotListen(OSError):
    """No port could be had; the message says which, why, and what to do."""


def ports(text: str | int) -> range:
    """Return the ports that a text such as ``9850``, ``9850-9869`` or ``0`` (any) stands for.

    Raises:
        ValueError: it stands for none.
    """
    first, dash, last = str(text).partition("-")
    if first.isascii() and first.isdecimal() and (not dash or (last.isascii() and last.isdecimal())):
        found = range(int(first), int(last if dash else first) + 1)
        if found and found[-1] <= 65535:
            return found
    raise ValueError(
        f"{text!r} is no port: expected a number up to 65535, a range such as 9850-9869, or 0 for any"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host.startswith(_LOOPBACK)


def why_not(error: OSError) -> str:
    """Return why a port could not be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "taken by another process; name another port, a range such as 9850-9869, or 0 for any"
    if error.errno == errno.EACCES:
        return "not permitted; name a port from 1024 on"
    return f"{error.strerror or error}; is it an address of this machine?"
