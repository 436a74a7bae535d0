"""Steps through the key space, for what no index lists. Bounded, unless an operator asks for all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..connection import Connection
from ..keys import Keys, brokers_of_any, namespace_of_brokers
from .neighbours import Neighbours

_PAGE: Final = 1000
# A step takes the server about half a millisecond.
MAX_PAGES: Final = 200


def scan(connection: Connection, pattern: str, page: int, kind: str = "") -> Iterator[list[bytes]]:
    """Yield pages of the key names that match, in steps that never block the server."""
    cursor: bytes | int = b"0"
    options = ("TYPE", kind) if kind else ()
    while True:
        cursor, names = connection.call("SCAN", cursor, "MATCH", pattern, "COUNT", page, *options)
        yield names
        if cursor in (b"0", 0):
            return


def list_names(connection: Connection, keys: Keys, max_pages: int = MAX_PAGES) -> tuple[set[str], int]:
    """Return names of lists in the namespace that a bounded scan finds, and the steps it took."""
    prefix, neighbours = keys(""), Neighbours(connection, keys)
    names: set[str] = set()
    number = 0
    for page in scan(connection, keys.pattern, _PAGE, "list"):
        number += 1
        texts = (name.decode(errors="replace") for name in page)
        found = {text.removeprefix(prefix) for text in texts if text.startswith(prefix)}
        names |= {name for name in found if neighbours.own(name)}
        if number >= max_pages:
            break
    return names, number


def namespaces(connection: Connection, max_pages: int = MAX_PAGES) -> set[str]:
    """Return namespaces with registered workers that a bounded scan finds."""
    found: set[str] = set()
    for number, page in enumerate(scan(connection, brokers_of_any(), _PAGE, "hash"), 1):
        found |= {namespace_of_brokers(name.decode(errors="replace")) for name in page}
        if number >= max_pages:
            break
    return found
