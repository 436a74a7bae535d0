"""What is wrong with the server, with clocks, and with what could not be read. Pure rules over snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spinach.stats import NamespaceSnapshot

from ..text import duration
from .finding import Finding, Rule

_SKEW_SECONDS: Final = 2.0
_FULL: Final = 0.9
# What our scripts need of the server.
_OLDEST_SERVER: Final = (6, 2)


def _server(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    server = snapshot.server
    if server is None:
        return
    if server.evicting:
        yield Finding(
            "eviction", "error" if server.memory_max_bytes else "warning", "server",
            f"maxmemory-policy is {server.eviction_policy}: when memory is full, jobs may be deleted",
            "set maxmemory-policy noeviction",
        )  # fmt: skip
    if server.memory_max_bytes and (server.memory_used_bytes or 0) > _FULL * server.memory_max_bytes:
        yield Finding(
            "memory", "warning", "server",
            f"{server.memory_used_bytes} of {server.memory_max_bytes} bytes are used",
            "give it more memory, or find what grows",
        )  # fmt: skip
    if _is_too_old(server.version):
        yield Finding(
            "server_version",
            "error",
            "server",
            f"version {server.version}",
            "use Redis 6.2 or newer, or Valkey",
        )


def _is_too_old(version: str | None) -> bool:
    parts = (version or "").split(".")[:2]
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return False
    return (int(parts[0]), int(parts[1])) < _OLDEST_SERVER


def _clocks(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    skew = snapshot.server.clock_skew_seconds if snapshot.server else None
    if skew is not None and abs(skew) > _SKEW_SECONDS:
        yield Finding(
            "clock_skew", "warning", "this machine",
            f"its clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the server's",
            "run NTP on both",
        )  # fmt: skip
    for queue in snapshot.queues:
        ahead = (queue.head_at or 0.0) - snapshot.at
        if ahead > _SKEW_SECONDS:
            yield Finding(
                "producer_clock", "warning", f"queue {queue.name}",
                f"the date of its first job is {duration(ahead)} in the future",
                "the clock of a producer, or of an old worker, is wrong: run NTP there",
            )  # fmt: skip


def _unread(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for error in snapshot.errors:
        yield Finding(
            f"unread_{error.reason}", "warning", error.what, error.message,
            "grant what is missing" if error.reason == "permission"
            else "something else writes to this key, or an application wrote something odd",
        )  # fmt: skip
    for what in snapshot.truncated:
        yield Finding(
            "truncated", "info", what, f"there are more {what} than are shown", "use several namespaces"
        )


SERVER_RULES: Final[tuple[Rule, ...]] = (_server, _clocks, _unread)
