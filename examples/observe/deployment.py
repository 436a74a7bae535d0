"""The processes of `make observe`: server, collector, workers, load, exporter, Prometheus, in this order."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from examples.shared.child_process import REPOSITORY, ChildProcess, command_of, free_port
from examples.shared.console import Console
from examples.shared.server import start_server

from . import collector, guide, prometheus
from .prometheus import targets
from .settings import (
    DEAD_AFTER_SECONDS,
    EXPORTER_CACHE_SECONDS,
    KILL_AFTER_SECONDS,
    KILLED_WORKER,
    NAMESPACE,
    WORKERS,
)

_POLL_SECONDS: Final = 0.2
_APP: Final = "examples.observe.app:engine"


class Deployment:
    """Starts the processes of one run, checks them, and ends them in reverse order.

    Args:
        data: Folder for logs and data.
        console: Prints messages.
        kill_after: Seconds until one worker is killed.
    """

    def __init__(self, data: Path, console: Console, *, kill_after: float = KILL_AFTER_SECONDS) -> None:
        self.data = data
        self._console = console
        self._kill_after = kill_after
        self._started = ExitStack()
        self._children: dict[str, ChildProcess] = {}
        self._killed = False

    def start(self) -> guide.Addresses:
        """Start everything; return the addresses.

        Raises:
            ChildFailed: a process did not start.
        """
        url = self._start_server()
        traces = self._start_collector()
        for worker in WORKERS:
            self._start_worker(
                worker.name, url, traces, "--queue", worker.queue, "--threads", str(worker.threads)
            )
        self._start_load(url, traces)
        exporter = self._start_exporter(url)
        self._await_workers(exporter)
        return guide.Addresses(
            redis_url=url,
            exporter=f"http://{exporter}",
            prometheus=self._start_prometheus(exporter),
            traces=traces.where if traces else None,
            dashboard=str(REPOSITORY / "dashboards" / "spinach-overview.json"),
            ops=command_of("spinach-ops", "spinach_ops.commands.main"),
            top=command_of("spinach-top", "spinach_ops.top.cli"),
        )

    def watch(self, seconds: float | None) -> None:
        """Check that everything runs, for some seconds or until Ctrl-C; kill one worker meanwhile.

        Raises:
            ChildFailed: a process ended by itself.
        """
        began = time.monotonic()
        while seconds is None or time.monotonic() - began < seconds:
            for child in self._children.values():
                child.check()
            if not self._killed and time.monotonic() - began > self._kill_after:
                self._kill_one()
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End all processes, the last one first; report exit codes other than 0."""
        self._started.close()

    def _end(self, child: ChildProcess) -> None:
        if child.is_running and (code := child.stop()):
            self._console.say(f"{child.name} ended with exit code {code}; its log: {child.log}")

    def scheduled(self) -> str:
        """Return the counts of the load, which it prints at its end; empty if it was stopped too early."""
        lines = self._children["load"].tail().splitlines() if "load" in self._children else []
        return lines[-1] if lines else "nothing"

    def _run(self, child: ChildProcess) -> ChildProcess:
        self._children[child.name] = child
        self._started.callback(self._end, child)
        return child

    def _start_server(self) -> str:
        url = start_server(self.data, self._run, "--save", "")
        self._console.say(f"Valkey runs at {url}")
        return url

    def _start_collector(self) -> collector.SpanDestination | None:
        traces = collector.start(self.data)
        if traces is None:
            self._console.say(f"No OpenTelemetry collector or exporter, so no traces: {collector.HOW_TO_GET}")
            return None
        if traces.child:
            self._run(traces.child)
        self._console.say(f"Spans go to the collector at {traces.endpoint}")
        return traces

    def _start_worker(
        self, name: str, url: str, traces: collector.SpanDestination | None, *options: str
    ) -> None:
        command = [
            *command_of("spinach", "spinach_ops.worker.cli"),
            "worker",
            _APP,
            *options,
            "--metrics-port",
            "0",
        ]
        environment = {"SPINACH_REDIS_URL": url}
        if traces:
            command.append("--trace")
            environment |= traces.environment(NAMESPACE)
        child = self._run(ChildProcess(name, command, self.data, environment))
        self._console.say(f"Worker {name}: pid {child.pid}, {' '.join(options)}")

    def _start_load(self, url: str, traces: collector.SpanDestination | None) -> None:
        environment = {"SPINACH_REDIS_URL": url} | (
            traces.environment(f"{NAMESPACE}-client") if traces else {}
        )
        child = self._run(
            ChildProcess("load", [sys.executable, "-m", "examples.observe.load"], self.data, environment)
        )
        self._console.say(
            f"Load: pid {child.pid}; quick, slow, failing, retried, delayed, periodic and limited jobs"
        )

    def _start_exporter(self, url: str) -> str:
        address = f"127.0.0.1:{free_port()}"
        command = [*command_of("spinach-ops", "spinach_ops.commands.main"), "exporter", "--listen", address]
        command += ["--redis", url, "--namespace", NAMESPACE, "--cache", f"{EXPORTER_CACHE_SECONDS}s"]
        child = self._run(ChildProcess("exporter", command, self.data))
        child.await_answer(f"http://{address}/readyz")
        self._console.say(f"Exporter: http://{address}/metrics")
        return address

    def _await_workers(self, exporter: str) -> None:
        def all_there() -> bool:
            for child in self._children.values():
                child.check()
            return targets(f"http://{exporter}/sd") >= len(WORKERS)

        self._children["exporter"].await_condition(all_there, "it does not list all workers")
        self._console.say(f"All {len(WORKERS)} workers are registered and serve their metrics")

    def _start_prometheus(self, exporter: str) -> guide.PrometheusPages | None:
        if not prometheus.is_installed():
            self._console.say(f"No Prometheus, so no graphs and alerts: {prometheus.HOW_TO_GET}")
            return None
        child, address = prometheus.start(self.data, exporter)
        self._run(child)
        self._console.say(f"Prometheus: {address}")
        pages = (prometheus.page(address, name) for name in ("targets", "alerts", "graph"))
        return guide.PrometheusPages(address, *pages)

    def _kill_one(self) -> None:
        self._killed = True
        victim = self._children[KILLED_WORKER]
        victim.kill()
        self._console.say(
            f"SIGKILL to {KILLED_WORKER} (pid {victim.pid}). spinach_workers_connected falls at once. Jobs "
            f"come back after {DEAD_AFTER_SECONDS} s, when it counts as dead (spinach_workers_lost_total). "
            "A minute later the alert SpinachWorkerDead fires"
        )
