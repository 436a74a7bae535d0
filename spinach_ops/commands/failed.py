"""`spinach-ops failed`: what fails and since when, and the newest failed jobs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final

from spinach.stats import FailedJob, FailureGroup

from ..cli import tables
from ..cli.namespaces import is_empty, nothing_there
from ..cli.options import OK, add_common, read_common
from ..text import printable

HELP = "what failed for good and since when, and the newest of these jobs"
_DEFAULT_LIMIT: Final = 20
_MAX_LIMIT: Final = 1000
_MAX_ARGUMENTS: Final = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add(
        "--limit", metavar="N", type=_limit, default=_DEFAULT_LIMIT, help="show N jobs (default: %(default)s)"
    )
    add("--traceback", action="store_true", help="show the traceback of each")
    add("--args", action="store_true", help="show the arguments of each; they may be confidential")
    add_common(parser)


def _limit(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= _MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MAX_LIMIT}")
    return number


def run(given: argparse.Namespace) -> int:
    """Show failed jobs; return the exit code."""
    options = read_common(given)
    broker = options.connect()
    groups, letters = broker.failure_groups(), broker.failed_jobs(given.limit)
    if options.json:
        jobs = [_document(letter, given) for letter in letters]
        found = {
            "schema": tables.SCHEMA,
            "namespace": options.namespace,
            "groups": [_group(one) for one in groups],
        }
        print(tables.to_json({**found, "failed": jobs}))
    else:
        print(_plain(groups, letters, given))
    if not groups and not letters and is_empty(broker.snapshot(totals=False)):
        print(nothing_there(broker), file=sys.stderr)
    return OK


def _group(group: FailureGroup) -> dict[str, Any]:
    return {name: getattr(group, name) for name in FailureGroup.__slots__}


def _document(letter: FailedJob, given: argparse.Namespace) -> dict[str, Any]:
    hidden = {"raw"} if given.traceback else {"raw", "traceback"}
    facts = {name: getattr(letter, name) for name in FailedJob.__slots__ if name not in hidden}
    return {**facts, "arguments": _arguments(letter)} if given.args else facts


def _plain(groups: Sequence[FailureGroup], letters: Sequence[FailedJob], given: argparse.Namespace) -> str:
    if not letters and not groups:
        return "no failed jobs"
    rows = [("TASK", "ERROR", "COUNT", "SINCE", "LAST", "SAMPLE")]
    rows += [
        (
            one.task_name, one.error_type, str(one.count), date(one.first_seen), date(one.last_seen),
            one.sample_message,
        )
        for one in groups
    ]  # fmt: skip
    blocks = [tables.table(rows, right=(2,))] if groups else []
    return "\n\n".join([*blocks, *(_letter_text(letter, given) for letter in letters)])


def _letter_text(letter: FailedJob, given: argparse.Namespace) -> str:
    lines = [
        f"{date(letter.failed_at)}  {letter.task_name or '(no task)'} {letter.id}  queue {letter.queue or '?'}, "
        f"attempt {letter.attempts}, {letter.reason}",
        f"  {letter.error_type}: {letter.message}",
    ]
    if given.args:
        lines.append(f"  arguments: {json.dumps(_arguments(letter), ensure_ascii=False)}"[:_MAX_ARGUMENTS])
    if given.traceback:
        lines += [f"    {line}" for line in letter.traceback.splitlines()]
    return "\n".join(printable(line) for line in lines)


def _arguments(letter: FailedJob) -> dict[str, Any]:
    """Return the arguments, or the bytes where they are no job's."""
    try:
        job = json.loads(letter.raw)
        return {"args": job["task_args"], "kwargs": job["task_kwargs"]}
    except (ValueError, RecursionError, KeyError, TypeError):
        return {"raw": letter.raw[:_MAX_ARGUMENTS].decode(errors="backslashreplace")}


def date(timestamp: float) -> str:
    """Return a time (epoch seconds) as UTC for a person."""
    try:
        return datetime.fromtimestamp(timestamp, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "?"
