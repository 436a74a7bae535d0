"""A snapshot as JSON or as plain tables. Pure; text from Redis is escaped before it reaches a terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from spinach.brokers.base import Broker
from spinach.stats import NamespaceSnapshot, QueueStats, ServerStats, WorkerStats

from ..findings.finding import Finding
from ..findings.rules import findings
from ..polling.poller import Poll
from ..polling.rates import Rate
from ..text import duration, printable
from .options import Options

SCHEMA: Final = 1
_MAX_CELL: Final = 40
_RESET: Final = "\x1b[0m"
_COLORS: Final = {"error": "\x1b[31m", "warning": "\x1b[33m", "info": "\x1b[36m"}


def show(poll: Poll, options: Options, broker: Broker) -> None:
    """Print the result of a poll in the form that was asked for."""
    found = findings(poll.snapshot)
    if options.json:
        text = to_json(document(poll.snapshot, poll.rates, found, address=broker.address))
    else:
        text = plain(poll.snapshot, poll.rates, found, address=broker.address, color=options.color)
    print(text, flush=True)


def document(
    snapshot: NamespaceSnapshot, rates: Mapping[str, Rate], found: Sequence[Finding], *, address: str
) -> dict[str, Any]:
    """Return the result of a poll as described by `top/schema.json`; null stands for what is not known."""
    return {
        "schema": SCHEMA,
        "namespace": snapshot.namespace,
        "at": snapshot.at,
        "redis": {"address": address, **asdict(snapshot.server or ServerStats())},
        "totals": {
            "queued": snapshot.queued if snapshot.queues_are_read else None,
            "running": snapshot.running,
            "reserved": snapshot.reserved,
            "waiting": snapshot.scheduled,
            "late": snapshot.overdue,
            "failed": snapshot.failed,
        },
        "queues": [_queue(queue, rates.get(queue.name)) for queue in snapshot.queues],
        "workers": [_worker(worker) for worker in snapshot.workers],
        "connected": snapshot.connected,
        "findings": [finding.document() for finding in found],
    }


def _queue(queue: QueueStats, rate: Rate | None) -> dict[str, Any]:
    return {
        "name": queue.name,
        "depth": queue.depth,
        "oldest_seconds": queue.oldest_seconds,
        "in_per_second": rate.in_per_second if rate else None,
        "out_per_second": rate.out_per_second if rate else None,
        "paused": queue.paused,
        "exact": rate.exact if rate else False,
    }


def _worker(worker: WorkerStats) -> dict[str, Any]:
    return {
        "id": worker.info.id,
        "host": worker.info.name,
        "state": worker.state,
        "seen_seconds": worker.seen_seconds,
        "running": worker.running,
        "slots": worker.slots,
        "version": worker.info.version,
    }


def to_json(value: Any) -> str:
    """Return JSON on one line, in ASCII without control characters; numbers that are none become null."""
    # The encoder escapes everything a terminal obeys but DEL, which can only stand in a string.
    return json.dumps(_finite(value), allow_nan=False).replace("\x7f", "\\u007f")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def plain(
    snapshot: NamespaceSnapshot,
    rates: Mapping[str, Rate],
    found: Sequence[Finding],
    *,
    address: str,
    color: bool = False,
) -> str:
    """Return the result of a poll as text for a person."""
    blocks = [_head(snapshot, address), _queue_table(snapshot, rates)]
    if snapshot.workers:
        blocks.append(_worker_table(snapshot))
    if found:
        blocks.append(finding_lines(found, color=color))
    return "\n\n".join(blocks)


def _head(snapshot: NamespaceSnapshot, address: str) -> str:
    version = snapshot.server.version if snapshot.server else None
    costs = snapshot.costs
    late = f" ({snapshot.overdue} late)" if snapshot.overdue else ""
    at_least = "" if snapshot.queues_are_read else "≥"
    return (
        f"namespace {printable(snapshot.namespace)} at {printable(address)}, "
        f"server {printable(version or '?')}; "
        f"{costs.round_trips} round trips, {costs.commands} commands, {duration(costs.seconds)}\n"
        f"queued {at_least}{snapshot.queued}  running {_number(snapshot.running)}  "
        f"reserved {_number(snapshot.reserved)}  "
        f"waiting {_number(snapshot.scheduled)}{late}  failed {_number(snapshot.failed)}  "
        f"workers {_number(snapshot.connected)} connected, {len(snapshot.workers)} registered"
    )


def _queue_table(snapshot: NamespaceSnapshot, rates: Mapping[str, Rate]) -> str:
    rows = [("QUEUE", "DEPTH", "IN/s", "OUT/s", "OLDEST", "NEXT TASK")]
    for queue in snapshot.queues:
        rate = rates.get(queue.name)
        rows.append(
            (
                queue.name,
                _number(queue.depth),
                _rate(rate.in_per_second, rate) if rate else "-",
                _rate(rate.out_per_second, rate) if rate else "-",
                _age(queue),
                queue.next_task or "-",
            )
        )
    return table(rows, right=(1, 2, 3, 4)) if len(rows) > 1 else "no queues known"


def _age(queue: QueueStats) -> str:
    if queue.oldest_seconds is None:
        return "?"
    return duration(queue.oldest_seconds) if queue.depth else "-"


def _rate(per_second: float, rate: Rate) -> str:
    return f"{'=' if rate.exact else '≥'}{per_second:.1f}"


def _worker_table(snapshot: NamespaceSnapshot) -> str:
    rows = [("WORKER", "STATE", "SEEN", "RUN", "SLOTS", "QUEUES", "VERSION")]
    rows += [
        (
            f"{worker.info.name}/{worker.info.id[:8]}",
            worker.state,
            duration(worker.seen_seconds),
            _number(worker.running),
            _number(worker.slots),
            ",".join(worker.queues) or "?",
            worker.info.version or "upstream",
        )
        for worker in snapshot.workers
    ]
    return table(rows, right=(2, 3, 4))


def finding_lines(found: Iterable[Finding], *, color: bool) -> str:
    """Return findings as text, a line and a remedy each."""
    lines = []
    for finding in found:
        word = f"{_COLORS[finding.severity]}{finding.severity}{_RESET}" if color else finding.severity
        indent = "    so " if finding.explained_by else ""
        subject, evidence = printable(str(finding.subject)), printable(finding.evidence)
        lines.append(f"{indent}{word}: {subject}: {evidence} [{finding.code}]")
        lines.append(f"{' ' * len(indent)}  {printable(finding.remedy)}")
    return "\n".join(lines)


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return rows in columns; the first row is the head.

    Args:
        rows: Of equal length; cells may hold anything.
        right: Columns that are aligned to the right.
    """
    cells = [[printable(cell, _MAX_CELL) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)
