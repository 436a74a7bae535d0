"""`make observe`, run as it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from examples.observe import guide
from examples.observe.deployment import Deployment
from examples.observe.settings import WORKERS
from examples.shared.child_process import ChildFailed, ChildProcess, answers
from examples.shared.console import Console
from tests.family import descendants, living
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[1]


class Run:
    """One run, its output so far, and the processes it named."""

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        self.data = data
        self._output = data.with_suffix(".txt")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "examples.observe.run", "--data", str(data), *arguments],
                cwd=REPOSITORY, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output,
                start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, text: str, within: float = 60) -> None:
        def told() -> bool:
            if text in self.output:
                return True
            assert self.process.poll() is None, self.output
            return False

        wait_until(told, text, within)

    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"pid (\d+)", self.output)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "observe"


@pytest.mark.slow
def test_everything_is_seen_and_ends(data: Path) -> None:
    """All processes start, Prometheus scrapes each worker, a killed one is reported, and Ctrl-C ends all
    cleanly.
    """
    run = Run(data, "--kill-after", "0")
    try:
        run.wait_for("SIGKILL to orders-2")
        exporter = re.search(r"http://[\d.]+:\d+(?=/metrics)", run.output)
        assert exporter is not None
        with urllib.request.urlopen(f"{exporter[0]}/sd", timeout=10) as answer:
            assert json.load(answer)
        if shutil.which("prometheus"):
            prometheus = re.search(r"Prometheus: (\S+)", run.output)
            assert prometheus is not None
            alive = len(WORKERS) - 1  # the rest after the kill
            wait_until(lambda: targets_up(prometheus[1]) >= alive + 1, "all that lives is scraped", 30)
            for page in re.findall(rf"{prometheus[1]}/\S+", run.output):
                assert answers(page), page
        if "Spans go to the collector" in run.output:
            check_spans(run)
        pids = run.pids()
    finally:
        os.killpg(run.process.pid, signal.SIGINT)  # what a terminal does: every process of the group hears it
        run.process.wait(60)
    assert run.process.returncode == 0, run.output
    assert "ended with exit code" not in run.output
    scheduled = json.loads(run.output.partition("Scheduled: ")[2].partition("}")[0] + "}")
    assert scheduled["order:charge"] > 0
    assert pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def check_spans(run: Run) -> None:
    """Check that the collector has both halves of a job, and that a slow job's exemplar names a trace it
    has.
    """
    file = run.data / "traces.log"

    def has(text: str) -> bool:
        return text in file.read_text(encoding="utf-8", errors="replace")

    for name in ("create order:charge", "process order:charge"):
        wait_until(partial(has, name), f"the collector has {name}")
    prometheus = re.search(r"Prometheus: (\S+)", run.output)
    if prometheus is None:
        return
    found = wait_until(lambda: exemplars(prometheus[1]), "Prometheus has exemplars")
    wait_until(partial(has, found[0]["labels"]["trace_id"]), "the collector has the exemplar's trace")


def exemplars(prometheus: str) -> list[dict[str, Any]]:
    now = time.time()
    given = urlencode({"query": "spinach_job_duration_seconds_bucket", "start": now - 60, "end": now})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_exemplars?{given}", timeout=10) as answer:
        return [exemplar for series in json.load(answer)["data"] for exemplar in series["exemplars"]]


def targets_up(prometheus: str) -> int:
    with urllib.request.urlopen(f"{prometheus}/api/v1/targets", timeout=10) as answer:
        return sum(one["health"] == "up" for one in json.load(answer)["data"]["activeTargets"])


@pytest.mark.slow
def test_what_is_not_installed_is_said(data: Path) -> None:
    """Without Prometheus and collector the rest works, and the output says how to get them."""
    run = Run(data, "--seconds", "0", PATH="/nonexistent", PYTHONPATH=str(REPOSITORY))
    assert run.process.wait(60) == 0, run.output
    assert "No Prometheus, so no graphs and alerts: apt install prometheus" in run.output
    assert "All ended" in run.output


def test_child_that_ends_early_is_explained(tmp_path: Path) -> None:
    """A process that ends by itself is an error with its exit code and the end of its log."""
    child = ChildProcess(
        "broken", [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], tmp_path
    )
    with pytest.raises(ChildFailed, match=r"(?s)broken ended with exit code 3.*the reason"):
        child.await_answer("http://127.0.0.1:1/")


def test_child_ended_on_purpose_is_no_error(tmp_path: Path) -> None:
    """A process that was killed or stopped on purpose is not reported as broken."""
    child = ChildProcess("victim", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)
    child.check()
    child.kill()
    child.check()
    assert not child.is_running


def test_folder_of_others_is_left_alone(data: Path) -> None:
    """A folder that holds other files is not touched: the run says so and fails."""
    data.mkdir()
    (data / "mine.txt").touch()
    run = Run(data, "--seconds", "0")
    assert run.process.wait(60) == 1
    assert "holds files that are not the demo's" in run.output
    assert (data / "mine.txt").exists()
    assert "All ended" not in run.output


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_however_it_ends(data: Path, number: signal.Signals) -> None:
    """A signal to the run alone ends all that it started, with 0 where it could clean up."""
    run = Run(data)
    try:
        run.wait_for("All 4 workers are registered")
        started = descendants(run.process.pid)
        assert len(started) >= len(WORKERS) + 3  # the server, the load, the exporter
        run.process.send_signal(number)
        assert run.process.wait(60) == (-number if number == signal.SIGKILL else 0), run.output
        wait_until(lambda: not living(started), "all have ended", 10)
    finally:
        run.process.kill()
        run.process.wait(10)
    assert ("All ended. Scheduled: {" in run.output) == (number != signal.SIGKILL)


@pytest.mark.slow
def test_interrupt_during_the_start_is_no_error(data: Path) -> None:
    """Ctrl-C before the load has said anything ends cleanly."""
    run = Run(data)
    run.wait_for("Load: pid")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.process.wait(60) == 0, run.output
    assert "All ended. Scheduled: " in run.output
    assert "Traceback" not in run.output


def test_load_that_said_nothing_scheduled_nothing(tmp_path: Path) -> None:
    """A load that was ended before it could say what it scheduled is reported as such."""
    deployment = Deployment(tmp_path, Console())
    assert deployment.scheduled() == "nothing"
    child = ChildProcess("load", [sys.executable, "-c", ""], tmp_path)
    deployment._run(child)
    child.stop()
    assert deployment.scheduled() == "nothing"


def test_hints_can_be_pasted() -> None:
    """What to look at names commands by their path, quoted for a shell, and the pages that Prometheus has."""
    pages = guide.PrometheusPages("http://p", "http://p/classic/targets", "http://p/alerts", "http://p/graph")
    addresses = guide.Addresses(
        "redis://r", "http://e", pages, None, "d.json", ops=["/my venv/spinach-ops"], top=["/bin/spinach-top"]
    )
    text = "\n".join(guide.lines(addresses))
    assert "'/my venv/spinach-ops' status --redis redis://r -n observe" in text
    assert "  /bin/spinach-top --redis redis://r -n observe" in text
    assert "http://p/classic/targets    alerts: http://p/alerts" in text
    assert "http://p/graph?g0.expr=" in text
