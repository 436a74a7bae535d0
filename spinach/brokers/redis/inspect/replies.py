"""Turns replies of the server into values of `stats`, one function per kind of reply.

It reads leniently: a reply that cannot be read is noted as an error, never raised. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ....stats import (
    COUNTERS,
    HISTOGRAM_EDGES,
    HistogramStats,
    LimitStats,
    LostWorker,
    PeriodicStats,
    QueueStats,
    ServerStats,
)
from ....stats.jobs import JobInfo
from ....stats.numbers import integer, parse_count, parse_integer, parse_number
from ....stats.workers import WorkerInfo, is_abandoned
from ..connection import pairs
from .pipeline import Pipeline

# Each poll sends a marker to the server and back. A queue with a larger last element has no rates.
_MAX_MARKER_BYTES: Final = 16_384
_MAX_NAME: Final = 1024
_LOST: Final = "workers_lost_"
_TRIMMED: Final = "dead_letters_trimmed"
_FOLDED: Final = "folded"

Counters = Mapping[tuple[str, str, str], int]
Histograms = Mapping[str, HistogramStats]


def queue_name(name: object) -> str | None:
    """Return the name of a queue as text; None when it cannot be one."""
    if isinstance(name, bytes):
        try:
            name = name.decode()
        except UnicodeDecodeError:
            return None
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or name.startswith("_"):
        return None
    # JSON escapes may give lone surrogates, which cannot be sent.
    return name if name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name) else None


def hash_of(page: Any) -> dict[bytes, bytes]:
    """Return the fields in a reply to HSCAN."""
    return dict(pairs(page[1])) if page else {}


def is_cut(page: Any) -> bool:
    """Whether a reply to a scan command is only a part."""
    return bool(page) and page[0] not in (b"0", 0)


def object_of(pipeline: Pipeline, text: bytes, what: str) -> dict[str, Any] | None:
    """Return a JSON object; note an error when the text is not one."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        pipeline.note("malformed", what, str(error))
        return None
    if type(fields) is not dict:
        pipeline.note("malformed", what, f"not an object: {type(fields).__name__}")
        return None
    return fields


def queue_stats(
    pipeline: Pipeline, name: str, now: float, *, depth: int | None, head: bytes | None, tail: bytes | None
) -> QueueStats:
    """Return a queue, given its length, first and last element."""
    oldest: float | None = 0.0 if depth == 0 else None
    job = JobInfo.read(head) if head is not None else None
    if job is not None and job.error:
        pipeline.note("malformed", f"first job of queue {name}", job.error)
    if job is not None and job.ready_since is not None:
        oldest = max(0.0, now - job.ready_since)
    return QueueStats(
        name=name,
        depth=depth,
        oldest_seconds=oldest,
        next_task=job.task_name or None if job else None,
        head_at=job.at if job else None,
        tail=tail if tail is not None and len(tail) <= _MAX_MARKER_BYTES else None,
        element_bytes=max(len(head or b""), len(tail or b"")),
    )


def limits(pipeline: Pipeline, limited: Any, taken: Any) -> tuple[LimitStats, ...]:
    """Return the limits, by task name."""
    counted = hash_of(taken)
    found = []
    for field, text in sorted(hash_of(limited).items()):
        name = field.decode(errors="replace")
        limit, slots = parse_count(text), parse_count(counted.get(field, b"0"))
        if limit is None or slots is None:
            pipeline.note("malformed", f"concurrency limit of {name}", f"{text!r}, {counted.get(field)!r}")
        else:
            found.append(LimitStats(name, limit, slots))
    return tuple(found)


def periodic(
    pipeline: Pipeline, tasks: Any, planned: Any, now: float, workers: Sequence[WorkerInfo] = ()
) -> tuple[PeriodicStats, ...]:
    """Return the periodic tasks, soonest first."""
    runs = {name: parse_number(score) for name, score in pairs(planned)}
    found = []
    for field, text in hash_of(tasks).items():
        name = field.decode(errors="replace")
        fields = object_of(pipeline, text, f"periodic task {name}")
        if fields is None:
            continue
        run, abandoned = runs.get(field), is_abandoned(name, workers)
        found.append(
            PeriodicStats(
                task_name=name,
                queue=queue_name(fields.get("queue")) or "",
                period_seconds=integer(fields.get("periodicity")),
                next_run=run,
                late_seconds=0.0 if run is None or abandoned else max(0.0, now - run),
                abandoned=abandoned,
            )
        )
    return tuple(sorted(found, key=lambda task: (task.next_run or 0.0, task.task_name)))


def counters(page: Any) -> tuple[Counters, dict[str, int], int, int]:
    """Return totals, workers lost by reason, dead letters trimmed, counts without a field of their own."""
    totals: dict[tuple[str, str, str], int] = {}
    lost: dict[str, int] = {}
    special = {_TRIMMED: 0, _FOLDED: 0}
    for queue, task, counter, number in _named(hash_of(page)):
        if counter in COUNTERS:
            totals[queue, task, counter] = number
        elif counter.startswith(_LOST):
            lost[counter.removeprefix(_LOST)] = number
        elif counter in special:
            special[counter] = number
    return totals, lost, special[_TRIMMED], special[_FOLDED]


def histograms(page: Any) -> tuple[Histograms, Histograms]:
    """Return the times that jobs waited and that attempts ran, by queue."""
    found: dict[str, dict[str, tuple[list[int], list[int]]]] = {"wait": {}, "run": {}}
    for queue, kind, bucket, number in _named(hash_of(page)):
        if kind not in found:
            continue
        buckets, total = found[kind].setdefault(queue, ([0] * (len(HISTOGRAM_EDGES) + 1), [0]))
        if bucket == "sum_us":
            total[0] = number
        elif bucket.isdecimal() and int(bucket) < len(buckets):
            buckets[int(bucket)] = number
    waits, runs = (
        {queue: HistogramStats(tuple(buckets), total[0] / 1e6) for queue, (buckets, total) in kind.items()}
        for kind in found.values()
    )
    return waits, runs


def _named(fields: Mapping[bytes, bytes]) -> Iterable[tuple[str, str, str, int]]:
    for field, text in fields.items():
        number = parse_count(text)
        try:
            names = json.loads(field)
        except (ValueError, RecursionError):
            continue
        if number is not None and type(names) is list and len(names) == 3:
            yield str(names[0]), str(names[1]), str(names[2]), number


def lost(pipeline: Pipeline, texts: Iterable[bytes]) -> tuple[LostWorker, ...]:
    """Return the lost workers that their records describe."""
    found = (object_of(pipeline, text, "record of a lost worker") for text in texts)
    return tuple(LostWorker.from_record(fields) for fields in found if fields is not None)


def server(texts: Iterable[Any], skew: float) -> ServerStats:
    """Return the server that replies to INFO describe."""
    facts: dict[str, str] = {}
    for text in texts:
        lines = text.decode(errors="replace").splitlines() if isinstance(text, bytes) else ()
        facts |= dict(line.split(":", 1) for line in lines if ":" in line)
    version = facts.get("valkey_version") or facts.get("redis_version")
    return ServerStats(
        version=version,
        memory_used_bytes=parse_integer(facts.get("used_memory", "").encode()),
        memory_max_bytes=parse_integer(facts.get("maxmemory", "").encode()),
        eviction_policy=facts.get("maxmemory_policy"),
        clock_skew_seconds=skew,
    )


def is_malformed(info: WorkerInfo, entry: bytes) -> bool:
    """Whether a registry entry could not be read, so that only the heartbeat of its worker is known."""
    return bool(entry) and not info.details
