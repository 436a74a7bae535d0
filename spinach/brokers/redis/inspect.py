"""Sight: reads state, changes nothing, and never reads more than it was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from ...stats import FailedJob
from . import letters
from .link import Link, pairs
from .session import Session


def scan(link: Link, pattern: str, page: int) -> Iterator[list[bytes]]:
    """Yield pages of the key names that match, in steps that never block the server."""
    cursor: bytes | int = b"0"
    while True:
        cursor, names = link.call("SCAN", cursor, "MATCH", pattern, "COUNT", page)
        yield names
        if cursor in (b"0", 0):
            return


def failed_jobs(session: Session, limit: int) -> list[FailedJob]:
    """Return the newest dead letters, newest first."""
    keys = session.keys
    newest = pairs(session.link.call("ZREVRANGE", keys.failed, 0, limit - 1, "WITHSCORES"))
    if not newest:
        return []
    records = session.link.call("HMGET", keys.failed_data, *(name for name, _ in newest))
    return [
        letters.from_record(name.decode(errors="replace"), record, float(score))
        for (name, score), record in zip(newest, records, strict=True)
        if record is not None
    ]
