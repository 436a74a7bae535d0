"""`spinach-ops jobs`: prints the jobs that run, those of a queue, or those that wait for their date."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from spinach.stats import MAX_PAGE, HeldJob, JobInfo, NamespaceSnapshot, Page, RunningJob, Wanted

from ..cli import tables
from ..cli.exit_codes import OK
from ..cli.numbers import whole_number
from ..cli.options import add_common, read_common
from ..text import duration, printable
from .failed import date

HELP = "show the jobs that run and since when, those of a queue, or those that wait for their date"
_DEFAULT_LIMIT: Final = 20
_MAX_ARGUMENTS: Final = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--running", action="store_true", help="jobs that workers hold (default)")
    which.add_argument("--queue", metavar="Q", help="the first jobs of this queue")
    which.add_argument(
        "--scheduled", action="store_true", help="jobs that wait for their date, first ones first"
    )
    add = parser.add_argument
    add("--longest", action="store_true", help="of the jobs that run, those that have run for longest")
    add("--limit", metavar="N", type=whole_number(1, MAX_PAGE), default=_DEFAULT_LIMIT,
        help="show N jobs (default: %(default)s)")  # fmt: skip
    add("--args", action="store_true", help="show the arguments of each job; they may be confidential")
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Show jobs; return the exit code."""
    options = read_common(given)
    wanted = _wanted(given)
    snapshot = options.connect().snapshot(totals=False, wanted=[wanted])
    page = snapshot.pages[0]
    rows = (
        [_fields(job) for job in page.jobs] if wanted.kind != "running" else _running(snapshot, page, given)
    )
    shown = rows[: given.limit]
    if options.json:
        print(tables.to_json({"schema": tables.SCHEMA, "namespace": options.namespace, "jobs": [
            {name: value for name, value in row.items() if name != "arguments" or given.args} for row in shown
        ]}))  # fmt: skip
    else:
        print(_plain(shown, snapshot, given) if shown else _none(given))
    return OK


def _wanted(given: argparse.Namespace) -> Wanted:
    if given.queue is not None:
        return Wanted("queue", given.queue, given.limit)
    if given.scheduled:
        return Wanted("scheduled", limit=given.limit)
    return Wanted("running", limit=MAX_PAGE)  # a hash has no order: the longest may be anywhere


def _running(snapshot: NamespaceSnapshot, page: Page, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the jobs that run, the longest first; those that are only reserved come last."""
    rows = {held.job.id: _held(held) for held in page.held}
    # More jobs may run than a page has. Heartbeats name those that have run for longest.
    for worker in snapshot.workers:
        for job in worker.longest if worker.state != "dead" and len(page.held) >= MAX_PAGE else ():
            rows.setdefault(job.id, _announced(worker.info.id, job))
    found = sorted(rows.values(), key=lambda row: (row["reserved"], row["started_at"] or float("inf")))
    return [row for row in found if row["started_at"] is not None] if given.longest else found


def _fields(job: JobInfo) -> dict[str, Any]:
    return {
        "id": job.id, "task": job.task_name, "queue": job.queue, "at": job.at, "enqueued_at": job.enqueued_at,
        "retries": job.retries, "max_retries": job.max_retries, "error": job.error,
        "arguments": _arguments(job),
    }  # fmt: skip


def _held(held: HeldJob) -> dict[str, Any]:
    return {
        **_fields(held.job), "worker": held.worker_id, "started_at": held.job.started_at,
        "reserved": held.reserved,
    }  # fmt: skip


def _announced(worker_id: str, job: RunningJob) -> dict[str, Any]:
    known = JobInfo(b"", id=job.id, task_name=job.task_name, queue=job.queue, started_at=job.started_at)
    return _held(HeldJob(worker_id, known))


def _arguments(job: JobInfo) -> dict[str, Any] | None:
    try:
        fields = json.loads(job.raw)
        return {"args": fields["task_args"], "kwargs": fields["task_kwargs"]}
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _none(given: argparse.Namespace) -> str:
    if given.queue is not None:
        return f"no jobs in queue {printable(given.queue)}"
    return "no job waits for its date" if given.scheduled else "no job runs"


def _plain(rows: list[dict[str, Any]], snapshot: NamespaceSnapshot, given: argparse.Namespace) -> str:
    heads = {"queue": "AGE", "scheduled": "DUE", "running": "RUN"}
    kind = "queue" if given.queue is not None else "scheduled" if given.scheduled else "running"
    hosts = {worker.info.id: f"{worker.info.name or '?'}/{worker.info.id[:8]}" for worker in snapshot.workers}
    table = [("TASK", heads[kind], "TRY", "QUEUE", "WORKER", "ID", *(("ARGS",) if given.args else ()))]
    for row in rows:
        worker = row.get("worker", "")
        tries = "?" if row["retries"] is None else f"{row['retries']}/{row['max_retries']}"
        arguments = json.dumps(row["arguments"], ensure_ascii=False)[:_MAX_ARGUMENTS]
        table.append((
            row["task"] or f"not a job: {row['error']}", _time(row, kind, snapshot.at), tries, row["queue"],
            hosts.get(worker, worker[:8]), row["id"], *((arguments,) if given.args else ()),
        ))  # fmt: skip
    return tables.table(table, right=(1, 2))


def _time(row: dict[str, Any], kind: str, now: float) -> str:
    if kind == "scheduled":
        return "?" if row["at"] is None else date(row["at"])
    if kind == "running":
        since = row["started_at"]
        return "reserved" if row["reserved"] else "?" if since is None else duration(max(0.0, now - since))
    since = None if row["at"] is None else max(row["at"], row["enqueued_at"] or row["at"])
    return "?" if since is None else duration(max(0.0, now - since))
