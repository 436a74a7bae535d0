"""The end of the demo: reports what happened, and compares the totals with a direct computation."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from typing import Final

from examples.shared.console import Console
from examples.shared.termination import end_with_parent, signals_blocked
from spinach import RedisBroker, const

from .catalogue import Totals, analyse, archive_size, totals_of
from .settings import CLOCK_QUEUE, MAX_PACKAGES_AT_ONCE, SUMMARY_SECONDS
from .store import Store

_PROCESSES: Final = 2
_CHUNK: Final = 8


def unfinished_work(broker: RedisBroker) -> str:
    """Return the work that is left in the broker, empty for none."""
    for queue in (const.DEFAULT_QUEUE, CLOCK_QUEUE):
        if not broker.is_queue_empty(queue):
            return f"the queue {queue} is not empty"
    failed = broker.failed_jobs()
    if failed:
        return f"{len(failed)} jobs failed for good, the newest of {failed[0].task_name}: {failed[0].message}"
    return ""


def report_events(store: Store, console: Console) -> bool:
    """Report delayed, periodic and limited jobs; return whether every promise was kept."""
    outcomes = dict(store.rows("SELECT outcome, count(*) FROM attempts GROUP BY outcome ORDER BY outcome"))
    highest = store.highest_concurrency("catalogue:package")
    late = [1000 * (ran - due) for due, ran in store.rows("SELECT due, ran FROM notes ORDER BY due")]
    summaries = store.value("SELECT count(*) FROM summaries")
    console.say(f"Attempts by outcome: {', '.join(f'{count} {name}' for name, count in outcomes.items())}")
    after = ", ".join(f"{late_ms:.0f} ms" for late_ms in late)
    console.say(f"Delayed jobs ran {after} after their date, none before it")
    console.say(f"Periodic summaries: {summaries}, one every {SUMMARY_SECONDS} s for any number of workers")
    console.say(f"Packages at once: {highest} at most, the limit is {MAX_PACKAGES_AT_ONCE}")
    early, over = min(late) < 0, highest > MAX_PACKAGES_AT_ONCE
    if early or over or not summaries:
        console.say("BROKEN PROMISE: a delayed job ran early, a limit was passed, or no summary ran")
        return False
    return True


def compute_directly(root: Path, packages: dict[str, list[str]]) -> Totals:
    """Compute everything again, without jobs, broker and database."""
    paths = [path for members in packages.values() for path in members]
    # Spawned, not forked: this process has threads and connections. An interrupt ends the pool at once.
    resource_tracker.ensure_running()  # first, because its start unblocks signals
    with (
        signals_blocked()
    ):  # Ctrl-C interrupts this process; each process of the pool would print a traceback
        pool = get_context("spawn").Pool(_PROCESSES, _begin, (os.getpid(),))
    with pool:
        files = pool.imap(partial(analyse, root), paths, _CHUNK)
        archives = pool.imap(partial(archive_size, root), packages.values())
        return totals_of(files, archives)


def _begin(parent: int) -> None:
    """Prepare a process of the pool: ignore Ctrl-C, and end when the parent does."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def compare(store: Store, root: Path, packages: dict[str, list[str]], console: Console) -> bool:
    """Show both totals side by side; return whether they agree."""
    console.say("Checking: the same totals computed directly, without jobs")
    found, expected = asdict(store.totals()), asdict(compute_directly(root, packages))
    console.show(f"\n         {'':18}{'by jobs':>18}{'directly':>18}")
    for name, value in found.items():
        verdict = "" if value == expected[name] else "   DIFFERS"
        console.show(
            f"         {name.replace('_', ' '):18}{_cell(value):>18}{_cell(expected[name]):>18}{verdict}"
        )
    differing = [name for name in found if found[name] != expected[name]]
    console.show("")
    if differing:
        console.say(f"TOTALS DIFFER: {', '.join(differing)}")
    else:
        console.say(f"Totals verified for all {expected['files']} files")
    return not differing


def show_results(store: Store, console: Console) -> None:
    """Print where the results are, and a command that reads them."""
    query = "SELECT module, count(*) AS files FROM imports GROUP BY module ORDER BY files DESC LIMIT 5"
    top = ", ".join(f"{module} {files}" for module, files in store.rows(query))
    folder = store.path.parent
    console.show(f"\nResult:  {store.path}  (SQLite)")
    console.show(f"Logs:    {folder}/*.log")
    console.show(f"Query:   {query}")
    console.show(f"         {top}")
    opener = f"import sqlite3; print(*sqlite3.connect({str(store.path)!r}).execute({query!r}), sep='\\n')"
    console.show(f'Try it:  {os.path.relpath(sys.executable)} -c "{opener}"')


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)[:16]
