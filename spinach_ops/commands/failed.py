"""`spinach-ops failed`: prints which tasks fail with which error since when, and the newest failed jobs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Final

from spinach.stats import FailedJob, FailureGroup

from ..cli import tables
from ..cli.exit_codes import OK
from ..cli.namespaces import explain_empty, is_empty
from ..cli.numbers import whole_number
from ..cli.options import add_common, read_common
from ..text import printable

HELP = "show which tasks failed for good, why and since when, and the newest failed jobs"
_DEFAULT_LIMIT: Final = 20
_MAX_LIMIT: Final = 1000
_MAX_ARGUMENTS: Final = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--limit", metavar="N", type=whole_number(1, _MAX_LIMIT), default=_DEFAULT_LIMIT,
        help="show the newest N failed jobs (default: %(default)s)")  # fmt: skip
    add("--traceback", action="store_true", help="show the traceback of each job")
    add("--args", action="store_true", help="show the arguments of each job; they may be confidential")
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Show failed jobs; return the exit code."""
    options = read_common(given)
    broker = options.connect()
    groups, jobs = broker.failure_groups(), broker.failed_jobs(given.limit)
    if options.json:
        document = {
            "schema": tables.SCHEMA,
            "namespace": options.namespace,
            "groups": [_group(group, given) for group in groups],
            "failed": [_document(job, given) for job in jobs],
        }
        print(tables.to_json(document))
    else:
        print(_plain(groups, jobs, given))
    if not groups and not jobs and is_empty(broker.snapshot(totals=False)):
        print(explain_empty(broker), file=sys.stderr)
    return OK


def _group(group: FailureGroup, given: argparse.Namespace) -> dict[str, Any]:
    hidden = set() if given.traceback else {"sample_traceback"}
    return {name: value for name, value in asdict(group).items() if name not in hidden}


def _document(job: FailedJob, given: argparse.Namespace) -> dict[str, Any]:
    hidden = {"raw"} if given.traceback else {"raw", "traceback"}
    facts = {name: value for name, value in asdict(job).items() if name not in hidden}
    return {**facts, "arguments": _arguments(job)} if given.args else facts


def _plain(groups: Sequence[FailureGroup], jobs: Sequence[FailedJob], given: argparse.Namespace) -> str:
    if not jobs and not groups:
        return "no failed jobs"
    rows = [("TASK", "ERROR", "COUNT", "ERRORS", "SINCE", "LAST", "SAMPLE")]
    rows += [
        (
            group.task_name, group.error_type, str(group.count), str(group.attempts or "?"),
            date(group.first_seen),
            date(group.last_seen),
            group.sample_message,
        )
        for group in groups
    ]  # fmt: skip
    blocks = [tables.table(rows, right=(2, 3))] if groups else []
    if given.traceback:
        blocks += [_sample_text(group) for group in groups if group.sample_traceback]
    return "\n\n".join([*blocks, *(_job_text(job, given) for job in jobs)])


def _sample_text(group: FailureGroup) -> str:
    """Return the traceback of an attempt that was repeated: its job may never fail for good."""
    lines = [
        f"{group.task_name}: an attempt that ended with {group.error_type}, and was repeated",
        *(f"    {line}" for line in group.sample_traceback.splitlines()),
    ]
    return "\n".join(printable(line) for line in lines)


def _job_text(job: FailedJob, given: argparse.Namespace) -> str:
    lines = [
        f"{date(job.failed_at)}  {job.task_name or '(no task)'} {job.id}  queue {job.queue or '?'}, "
        f"attempt {job.attempts}, {job.reason}",
        f"  {job.error_type}: {job.message}",
    ]
    if given.args:
        lines.append(f"  arguments: {json.dumps(_arguments(job), ensure_ascii=False)}"[:_MAX_ARGUMENTS])
    if given.traceback:
        lines += [f"    {line}" for line in job.traceback.splitlines()]
    return "\n".join(printable(line) for line in lines)


def _arguments(job: FailedJob) -> dict[str, Any]:
    """Return the arguments, or the raw text of a job that cannot be decoded."""
    try:
        fields = json.loads(job.raw)
        return {"args": fields["task_args"], "kwargs": fields["task_kwargs"]}
    except (ValueError, RecursionError, KeyError, TypeError):
        return {"raw": job.raw[:_MAX_ARGUMENTS].decode(errors="backslashreplace")}


def date(timestamp: float) -> str:
    """Return epoch seconds as a date in UTC."""
    try:
        return datetime.fromtimestamp(timestamp, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "?"
