"""Rules about the server, about clocks, and about what could not be read. Pure: they read nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spinach.stats import NamespaceSnapshot

from ..text import duration
from .finding import Finding, Rule, Subject

_SKEW_SECONDS: Final = 2.0
_ALMOST_FULL: Final = 0.9
# Near the limit the server refuses what does not fit into the rest.
_FULL: Final = 0.995
# The scripts use commands that came with Redis 6.2.
_OLDEST_SERVER: Final = (6, 2)
_SERVER: Final = Subject("server")


def _server(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    server = snapshot.server
    if server is None:
        return
    if server.evicting:
        yield Finding(
            "eviction", "error" if server.memory_max_bytes else "warning", _SERVER,
            f"maxmemory-policy is {server.eviction_policy}: when memory is full, the server may delete jobs",
            "set maxmemory-policy to noeviction",
        )  # fmt: skip
    used = (server.memory_used_bytes or 0) / server.memory_max_bytes if server.memory_max_bytes else 0.0
    if used >= _FULL and not server.evicting:
        yield Finding(
            "memory_full", "error", _SERVER,
            f"its memory is full ({used:.0%} of maxmemory): no job can be scheduled; workers go on",
            "raise maxmemory, or find out what grows",
        )  # fmt: skip
    elif used > _ALMOST_FULL:
        yield Finding(
            "memory", "warning", _SERVER,
            f"{used:.0%} of maxmemory is used: when it is full, "
            + ("keys are deleted, and jobs are keys" if server.evicting else "no job can be scheduled"),
            "raise maxmemory, or find out what grows",
        )  # fmt: skip
    if _is_too_old(server.version):
        yield Finding(
            "server_version", "error", _SERVER, f"runs version {server.version}",
            "use Redis 6.2 or newer, or Valkey",
        )  # fmt: skip


def _is_too_old(version: str | None) -> bool:
    parts = (version or "").split(".")[:2]
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return False
    return (int(parts[0]), int(parts[1])) < _OLDEST_SERVER


def _clocks(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    skew = snapshot.server.clock_skew_seconds if snapshot.server else None
    if skew is not None and abs(skew) > _SKEW_SECONDS:
        yield Finding(
            "clock_skew", "warning", Subject("machine", "", "this machine"),
            f"its clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the server's",
            "run NTP on both machines",
        )  # fmt: skip
    for queue in snapshot.queues:
        ahead = (queue.head_at or 0.0) - snapshot.at
        if ahead > _SKEW_SECONDS:
            yield Finding(
                "producer_clock", "warning", Subject("queue", queue.name),
                f"the date of its first job is {duration(ahead)} in the future",
                "the clock of a producer or of a worker of 0.0.25 is wrong: run NTP there",
            )  # fmt: skip


def _unread(snapshot: NamespaceSnapshot) -> Iterator[Finding]:
    for error in snapshot.errors:
        yield Finding(
            f"unread_{error.reason}", "warning", Subject("data", error.what, error.what), error.message,
            "grant this user what the message names" if error.reason == "permission"
            else "find out which program writes to this key: it does not hold what Spinach keeps there",
        )  # fmt: skip
    for what in snapshot.truncated:
        yield Finding(
            "truncated", "info", Subject("data", what, what), f"there are more {what} than are read",
            "spread them over several namespaces",
        )  # fmt: skip


SERVER_RULES: Final[tuple[Rule, ...]] = (_server, _clocks, _unread)
