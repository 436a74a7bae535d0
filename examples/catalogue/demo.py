"""The steps of the demo: start server and workers, schedule the work, kill a worker, check the result."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Final

from examples.shared.console import Console
from spinach import Batch, const

from . import report
from .catalogue import packages_of
from .processes import Worker, running_server, running_workers
from .settings import DEAD_AFTER_SECONDS, DELAYS_SECONDS, MAX_PACKAGES_AT_ONCE
from .store import Store
from .top import TopProcess

_POLL_SECONDS: Final = 0.1
# Much longer than the work takes: a demo that hangs must end with an error.
_GIVE_UP_SECONDS: Final = 150.0


class DemoFailed(Exception):
    """A promise was broken; the message says which."""


class Demo:
    """One run.

    Args:
        data: Folder for logs and results.
        root: Folder whose sources are catalogued.
        paths: The sources.
        console: Prints messages and progress.
        show_top: Whether to open `spinach-top` meanwhile.
    """

    def __init__(self, data: Path, root: Path, paths: list[str], console: Console, *, show_top: bool) -> None:
        self.data = data
        self.root = root
        self.paths = paths
        self.packages = packages_of(paths)
        self.console = console
        self.store = Store(data / "catalogue.sqlite")
        self.killed: Worker | None = None
        self._events_reported = 0
        self._show_top = show_top
        self._top: TopProcess | None = None

    def run(self) -> bool:
        """Do everything; return whether all totals agree.

        Raises:
            DemoFailed: a promise was broken.
            ChildFailed: a process ended by itself.
        """
        say = self.console.say
        with running_server(self.data) as url:
            say(f"Valkey runs at {url}, its files in {self.data}/valkey, append-only file on")
            os.environ.update(
                SPINACH_REDIS_URL=url, CATALOGUE_DATA=str(self.data), CATALOGUE_ROOT=str(self.root)
            )
            from . import app  # reads the environment

            with running_workers(self.data, url, self.root) as workers:
                for worker in workers:
                    say(f"{worker.name} started: pid {worker.pid}, {worker.does}")
                self._schedule(app)
                self._report_addresses(app, workers)
                try:
                    self._open_top(url)
                    self._watch(workers)
                    self._await_top()
                finally:
                    self._close_top()
                self._stop(workers)
            if left := report.unfinished_work(app.broker):
                raise DemoFailed(f"all work is done, but {left}")
        kept = report.report_events(self.store, self.console)
        agrees = report.compare(self.store, self.root, self.packages, self.console)
        report.show_results(self.store, self.console)
        return kept and agrees

    def _schedule(self, app: ModuleType) -> None:
        batch = Batch()
        for name, paths in self.packages.items():
            batch.schedule(app.catalogue_package, name, paths)
        # Files that fail at first come first, so that their retries do not delay the end.
        for path in sorted(self.paths, key=app.fails_at_first, reverse=True):
            batch.schedule(app.catalogue_file, path)
        for delay in DELAYS_SECONDS:
            at = app.in_seconds(delay)
            batch.schedule_at(app.note, at, f"{delay:g} s after scheduling", at.timestamp())
        began = time.perf_counter()
        app.engine.schedule_batch(batch)
        took = 1000 * (time.perf_counter() - began)
        failing = sum(map(app.fails_at_first, self.paths))
        self.console.say(
            f"Scheduled {len(batch)} jobs in one batch in {took:.0f} ms: {len(self.paths)} files, "
            f"{len(self.packages)} packages, {len(DELAYS_SECONDS)} delayed ones"
        )
        self.console.say(
            f"Injected: {failing} files fail at their first attempt and are retried after a pause; "
            f"packages are limited to {MAX_PACKAGES_AT_ONCE} at once over all workers"
        )

    # --- tools that watch it ------------------------------------------------------------------------------

    def _report_addresses(self, app: ModuleType, workers: list[Worker]) -> None:
        """Print the address of the metrics of each worker, which the workers announce."""
        pause = threading.Event()
        while len(addresses := _metrics_addresses(app)) < len(workers):
            self._check_alive(workers)
            pause.wait(_POLL_SECONDS)
        for address in addresses:
            self.console.say(f"Metrics for Prometheus at {address}")

    def _open_top(self, url: str) -> None:
        if self._show_top:
            self.console.say(
                "spinach-top opens on the running demo; q closes it, and the result is shown here"
            )
            self.console.hold()
            self._top = TopProcess(url)

    def _check_top(self) -> None:
        """Print again once the person has quit `spinach-top`; Ctrl-C in it ends the demo, too."""
        if self._top is not None and not self._top.is_open:
            if self._top.was_interrupted:
                raise KeyboardInterrupt
            self._close_top()

    def _await_top(self) -> None:
        """Keep `spinach-top` open until the person quits it."""
        if self._top is not None:
            self._top.wait()
            self._check_top()

    def _close_top(self) -> None:
        top, self._top = self._top, None
        if top is not None:
            top.close()
        self.console.release()  # also when an interrupt came before it was open

    # --- while it runs -------------------------------------------------------------------------------

    def _watch(self, workers: list[Worker]) -> None:
        pause = threading.Event()
        while True:
            files = self.store.value("SELECT count(*) FROM files")
            packages = self.store.value("SELECT count(*) FROM packages")
            notes = self.store.value("SELECT count(*) FROM notes")
            self.console.progress(files, len(self.paths), self._activity(packages, notes))
            self._report_events()
            self._check_top()
            if self.killed is None and 2 * files >= len(self.paths):
                self._kill_one(workers)
            if (files, packages, notes) == (len(self.paths), len(self.packages), len(DELAYS_SECONDS)):
                break
            self._check_alive(workers)
            pause.wait(_POLL_SECONDS)
        self._await_recovery(pause)

    def _activity(self, packages: int, notes: int) -> str:
        running = self.store.value("SELECT count(*) FROM attempts WHERE ended IS NULL")
        delayed = f"{notes}/{len(DELAYS_SECONDS)} delayed jobs"
        return f"{packages}/{len(self.packages)} packages, {delayed}, {running} running"

    def _kill_one(self, workers: list[Worker]) -> None:
        """Kill the worker that runs most jobs."""
        running = dict(
            self.store.rows("SELECT worker, count(*) FROM attempts WHERE ended IS NULL GROUP BY worker")
        )
        files = [worker for worker in workers if worker.queue == const.DEFAULT_QUEUE]
        victim = max(files, key=lambda worker: running.get(worker.pid, 0))
        victim.kill()
        lost = self.store.end_attempts_of(victim.pid, time.time())
        self.killed = victim
        self.console.say(
            f"SIGKILL to {victim.name} (pid {victim.pid}) half way, while it ran {lost} jobs; "
            f" after {DEAD_AFTER_SECONDS} s of silence (60 s by default) another worker takes them over"
        )

    def _report_events(self) -> None:
        events = self.store.rows("SELECT at, worker, detail FROM events ORDER BY at")
        for _, worker, detail in events[self._events_reported :]:
            self.console.say(f"Recovered: the worker with pid {worker} took over the jobs of {detail}")
        self._events_reported = len(events)

    def _await_recovery(self, pause: threading.Event) -> None:
        """Wait until the dead worker is noticed: a fast machine may finish earlier."""
        while not self._events_reported:
            self._give_up_when_late()
            pause.wait(_POLL_SECONDS)
            self._report_events()

    def _check_alive(self, workers: list[Worker]) -> None:
        self._give_up_when_late()
        for worker in workers:
            worker.check()

    def _give_up_when_late(self) -> None:
        if self.console.seconds > _GIVE_UP_SECONDS:
            raise DemoFailed(f"not done after {_GIVE_UP_SECONDS:.0f} s; the logs are in {self.data}")

    def _stop(self, workers: list[Worker]) -> None:
        for worker in workers:
            if worker is self.killed:
                continue
            code = worker.stop()
            if code:
                raise DemoFailed(f"{worker.name} ended with exit code {code} after SIGTERM:\n{worker.tail()}")
            self.console.say(f"SIGTERM to {worker.name}: it stopped cleanly, exit code 0")


def _metrics_addresses(app: ModuleType) -> list[str]:
    return sorted(record["metrics_url"] for record in app.broker.get_all_brokers() if "metrics_url" in record)
