"""Reads dead letters, failure groups, and jobs of a queue or a worker, one kind per call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from ....stats.jobs import FailedJob, FailureGroup, JobInfo
from ....stats.numbers import parse_number
from ... import dead_letters
from ..connection import pairs, value
from ..parking import in_order_of_parking
from ..session import Session

# 500 groups of four fields, and a scan counts fields and values: 4,000, and some room.
GROUP_FIELDS: Final = 5000


def failed_jobs(session: Session, limit: int) -> list[FailedJob]:
    """Return the newest dead letters, newest first."""
    if limit < 1:
        return []
    keys = session.keys
    newest = pairs(session.connection.call("ZREVRANGE", keys.failed, 0, limit - 1, "WITHSCORES"))
    if not newest:
        return []
    records = session.connection.call("HMGET", keys.failed_data, *(name for name, _ in newest))
    return [
        dead_letters.from_record(name.decode(errors="replace"), record, float(score))
        for (name, score), record in zip(newest, records, strict=True)
        if record is not None
    ]


def failure_groups(session: Session) -> list[FailureGroup]:
    """Return what fails and since when, the latest first."""
    keys = session.keys
    replies = session.connection.read(
        *(
            ("HSCAN", key, 0, "COUNT", GROUP_FIELDS)
            for key in (keys.failure_groups, keys.attempt_errors, keys.attempt_tracebacks)
        )
    )
    for reply in replies:
        if isinstance(reply, Exception):
            raise session.connection.translated(reply)
    failed, erring, tracebacks = replies
    texts = {_parse_field(field): text.decode(errors="replace") for field, text in pairs(tracebacks[1])}
    with_tracebacks = (
        replace(group, sample_traceback=texts.get((group.task_name, group.error_type, "traceback"), ""))
        for group in erring_groups(erring[1])
    )
    return FailureGroup.merged(groups_of(failed[1]), with_tracebacks)


def erring_groups(entries: Any) -> list[FailureGroup]:
    """Return the groups of attempts that ended in an error, the latest first."""
    return [replace(group, count=0, attempts=group.count) for group in groups_of(entries)]


def groups_of(entries: Any) -> list[FailureGroup]:
    """Return the groups that the fields of their hash describe, the latest first."""
    facts: dict[tuple[str, str], dict[str, bytes]] = {}
    for field, text in pairs(entries):
        named = _parse_field(field)
        if named is not None:
            task, error_type, fact = named
            facts.setdefault((task, error_type), {})[fact] = text
    groups = [_group(*names, known) for names, known in facts.items()]
    return sorted(groups, key=lambda group: group.last_seen, reverse=True)


def _parse_field(field: bytes) -> tuple[str, str, str] | None:
    try:
        names = json.loads(field)
    except (ValueError, RecursionError):
        return None
    if type(names) is not list or len(names) != 3 or any(type(name) is not str for name in names):
        return None
    return names[0], names[1], names[2]


def _group(task: str, error_type: str, facts: dict[str, bytes]) -> FailureGroup:
    sample_id, _, message = facts.get("sample", b"").decode(errors="replace").partition(" ")
    return FailureGroup(
        task_name=task,
        error_type=error_type,
        count=int(_fact(facts, "count")),
        first_seen=_fact(facts, "first"),
        last_seen=_fact(facts, "last"),
        sample_id=sample_id,
        sample_message=message,
    )


def _fact(facts: dict[str, bytes], name: str) -> float:
    return parse_number(facts.get(name, b"")) or 0.0


def queued_jobs(session: Session, queue: str, limit: int) -> list[JobInfo]:
    """Return the first jobs of a queue."""
    if limit < 1:
        return []
    keys = session.keys
    parked, texts = session.connection.read(
        ("ZRANGE", keys.parked(queue), 0, limit - 1), ("LRANGE", keys.queue(queue), 0, limit - 1)
    )
    if isinstance(texts, Exception):
        raise session.connection.translated(texts)
    return jobs_of([*in_order_of_parking(value(parked, [])), *texts][:limit])


def running_jobs(session: Session, worker_id: str, limit: int) -> list[JobInfo]:
    """Return jobs that a worker holds, reserved ones included."""
    key = session.keys.running(worker_id)
    found: dict[Any, bytes] = {}
    cursor: Any = 0
    while len(found) < limit:
        cursor, entries = session.connection.call("HSCAN", key, cursor, "COUNT", min(limit, 200))
        found.update(pairs(entries))
        if cursor in (b"0", 0):
            break
    return jobs_of(list(found.values())[:limit])


def jobs_of(texts: Iterable[bytes]) -> list[JobInfo]:
    """Return the jobs that stored texts describe."""
    return [JobInfo.read(text) for text in texts]
