"""What `make observe` starts and watches: server, workers, load, exporter, Prometheus, collector, in this order."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from examples.shared.children import REPOSITORY, Child, free_port, script
from examples.shared.screen import Screen
from examples.shared.server import start_server

from . import collector, guide, prometheus
from .prometheus import targets
from .settings import CREWS, DEAD_AFTER_SECONDS, EXPORTER_CACHE_SECONDS, KILL_AFTER_SECONDS, NAMESPACE, VICTIM

_POLL_SECONDS: Final = 0.2
_APP: Final = "examples.observe.app:engine"


class Observed:
    """One run: everything that was started, in the order in which it was.

    Args:
        data: Folder for logs and data.
        screen: Where to tell the story.
        kill_after: Seconds until one worker is killed.
    """

    def __init__(self, data: Path, screen: Screen, *, kill_after: float = KILL_AFTER_SECONDS) -> None:
        self.data = data
        self._screen = screen
        self._kill_after = kill_after
        self._started = ExitStack()
        self._children: dict[str, Child] = {}
        self._killed = False

    def start(self) -> guide.Places:
        """Start everything; return where it is.

        Raises:
            ChildFailed: something did not start.
        """
        url = self._start_server()
        traces = self._start_collector()
        for supervisor in CREWS:
            self._start_worker(
                supervisor.name,
                url,
                traces,
                "--queue",
                supervisor.queue,
                "--threads",
                str(supervisor.threads),
            )
        self._start_load(url, traces)
        exporter = self._start_exporter(url)
        self._await_workers(exporter)
        return guide.Places(
            redis_url=url,
            exporter=f"http://{exporter}",
            prometheus=self._start_prometheus(exporter),
            traces=traces.where if traces else None,
            dashboard=str(REPOSITORY / "dashboards" / "spinach-overview.json"),
            ops=script("spinach-ops", "spinach_ops.commands.main"),
            top=script("spinach-top", "spinach_ops.top.cli"),
        )

    def watch(self, seconds: float | None) -> None:
        """See that everything runs, for so long or until Ctrl-C; kill one worker on the way.

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
        """End all that was started, the last first; say what did not end well."""
        self._started.close()

    def _end(self, child: Child) -> None:
        if child.is_running and (code := child.stop()):
            self._screen.say(f"{child.name} ended with exit code {code}; its log: {child.log}")

    def scheduled(self) -> str:
        """Return what the load says it scheduled; it says so when it has ended, unless it had hardly begun."""
        lines = self._children["load"].tail().splitlines() if "load" in self._children else []
        return lines[-1] if lines else "nothing"

    def _run(self, child: Child) -> Child:
        self._children[child.name] = child
        self._started.callback(self._end, child)
        return child

    def _start_server(self) -> str:
        url = start_server(self.data, self._run, "--save", "")
        self._screen.say(f"Valkey runs at {url}")
        return url

    def _start_collector(self) -> collector.Traces | None:
        traces = collector.start(self.data)
        if traces is None:
            self._screen.say(f"No OpenTelemetry collector or exporter, so no traces: {collector.HOW_TO_GET}")
            return None
        if traces.child:
            self._run(traces.child)
        self._screen.say(f"Spans go to the collector at {traces.endpoint}")
        return traces

    def _start_worker(self, name: str, url: str, traces: collector.Traces | None, *options: str) -> None:
        command = [
            *script("spinach", "spinach_ops.worker.cli"),
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
        child = self._run(Child(name, command, self.data, environment))
        self._screen.say(f"Worker {name}: pid {child.pid}, {' '.join(options)}")

    def _start_load(self, url: str, traces: collector.Traces | None) -> None:
        environment = {"SPINACH_REDIS_URL": url} | (
            traces.environment(f"{NAMESPACE}-client") if traces else {}
        )
        child = self._run(
            Child("load", [sys.executable, "-m", "examples.observe.load"], self.data, environment)
        )
        self._screen.say(
            f"Load: pid {child.pid}; quick, slow, failing, retried, delayed, periodic and limited jobs"
        )

    def _start_exporter(self, url: str) -> str:
        address = f"127.0.0.1:{free_port()}"
        command = [*script("spinach-ops", "spinach_ops.commands.main"), "exporter", "--listen", address]
        command += ["--redis", url, "--namespace", NAMESPACE, "--cache", f"{EXPORTER_CACHE_SECONDS}s"]
        child = self._run(Child("exporter", command, self.data))
        child.await_answer(f"http://{address}/readyz")
        self._screen.say(f"Exporter: http://{address}/metrics")
        return address

    def _await_workers(self, exporter: str) -> None:
        def all_there() -> bool:
            for child in self._children.values():
                child.check()
            return targets(f"http://{exporter}/sd") >= len(CREWS)

        self._children["exporter"].await_condition(all_there, "it does not know of all workers")
        self._screen.say(f"All {len(CREWS)} workers are registered and serve their metrics")

    def _start_prometheus(self, exporter: str) -> guide.Pages | None:
        if not prometheus.is_installed():
            self._screen.say(f"No Prometheus, so no graphs and alerts: {prometheus.HOW_TO_GET}")
            return None
        child, address = prometheus.start(self.data, exporter)
        self._run(child)
        self._screen.say(f"Prometheus: {address}")
        pages = (prometheus.page(address, name) for name in ("targets", "alerts", "graph"))
        return guide.Pages(address, *pages)

    def _kill_one(self) -> None:
        self._killed = True
        victim = self._children[VICTIM]
        victim.kill()
        self._screen.say(
            f"SIGKILL to {VICTIM} (pid {victim.pid}). Watch spinach_workers_connected fall at once, and its jobs "
            f"come back after {DEAD_AFTER_SECONDS} s, when it counts as dead: spinach_workers_lost_total; a minute later "
            "the alert SpinachWorkerDead fires"
        )
