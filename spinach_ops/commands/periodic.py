"""`spinach-ops periodic`: the periodic tasks and their next runs; removes one that no worker has any more."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from spinach.stats import PeriodicStats

from ..cli import tables
from ..cli.errors import UsageError
from ..cli.exit_codes import OK
from ..cli.options import add_common, read_common
from ..text import duration, printable
from .failed import date

HELP = "periodic tasks and their next runs; remove one that is gone from the code"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--remove", metavar="TASK", help="schedule this task no more; refused while a worker still has it"
    )
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Show the periodic tasks, or remove one; return the exit code."""
    options = read_common(given)
    broker = options.connect()
    tasks = broker.snapshot(totals=False).periodic or ()
    if given.remove is not None:
        _check_removable(given.remove, tasks, options.namespace)
        broker.remove_periodic_task(given.remove)
        tasks = tuple(task for task in tasks if task.task_name != given.remove)
    if options.json:
        found = {"schema": tables.SCHEMA, "namespace": options.namespace}
        print(tables.to_json({**found, "periodic": [asdict(task) for task in tasks]}))
    elif given.remove is not None:
        print(f"removed periodic task {printable(given.remove)}")
    else:
        print(_plain(tasks))
    return OK


def _check_removable(name: str, tasks: tuple[PeriodicStats, ...], namespace: str) -> None:
    found = next((task for task in tasks if task.task_name == name), None)
    if found is None:
        known = ", ".join(task.task_name for task in tasks) or "none"
        raise UsageError(f"namespace {namespace!r} has no periodic task {name!r}; it has: {known}")
    if not found.abandoned:
        raise UsageError(
            f"periodic task {name!r} may be in the code of a worker, which would register it again: "
            "take it out of the code and restart the workers first"
        )


def _plain(tasks: tuple[PeriodicStats, ...]) -> str:
    if not tasks:
        return "no periodic tasks"
    rows = [("TASK", "QUEUE", "EVERY", "NEXT RUN", "NOTE")]
    return tables.table(rows + [_row(task) for task in tasks], right=(2,))


def _row(task: PeriodicStats) -> tuple[str, ...]:
    every = "?" if task.period_seconds is None else duration(task.period_seconds)
    planned = "-" if task.next_run is None else date(task.next_run)
    note = f"late by {duration(task.late_seconds)}" if task.late_seconds >= 1 else ""
    return (
        task.task_name,
        task.queue,
        every,
        planned,
        "no worker has it: not scheduled" if task.abandoned else note,
    )
