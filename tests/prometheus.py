"""A real Prometheus for tests: runs Debian's server, asks it, and checks pages with promtool."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port
from tests.waiting import wait_until

_CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: {rules}
scrape_configs:
{jobs}
"""


class Prometheus:
    """One running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        given = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{given}", timeout=10) as reply:
                found: list[dict[str, Any]] = json.load(reply)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        return found

    def value(self, expression: str) -> float | None:
        """Return the one value of an instant query, None when there is no series."""
        found = self.query(expression)
        assert len(found) <= 1, f"{expression} has {len(found)} series"
        return float(found[0]["value"][1]) if found else None

    def values(self, expression: str, label: str) -> dict[str, float]:
        """Return the values of an instant query by one label."""
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in self.query(expression)}

    def wait_for(self, expression: str, expected: float, within: float = 30.0) -> None:
        """Wait until an instant query has a value."""
        seen: list[float | None] = [None]

        def holds() -> bool:
            seen.append(self.value(expression))
            return seen[-1] == expected

        wait_until(holds, lambda: f"{expression} is {seen[-1]}, expected {expected}", within)

    def targets_down(self) -> dict[str, str]:
        """Return why targets cannot be scraped, by address."""
        with urllib.request.urlopen(f"{self.url}/api/v1/targets", timeout=10) as reply:
            targets = json.load(reply)["data"]["activeTargets"]
        return {one["scrapeUrl"]: one["lastError"] for one in targets if one["health"] == "down"}


def binary(name: str) -> str:
    """Return a program of Prometheus; skips the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} in PATH (apt install prometheus)")
    return path


def check_page(page: str) -> None:
    """Assert that promtool finds nothing wrong with a page of metrics."""
    done = subprocess.run(
        [binary("promtool"), "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def fetch(url: str, **headers: str) -> str:
    """Return a page."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=15) as reply:
        text: str = reply.read().decode()
    return text


@contextlib.contextmanager
def running(folder: Path, jobs: Mapping[str, str], rules: list[str] | None = None) -> Iterator[Prometheus]:
    """Run a server that scrapes every second.

    Args:
        folder: For its files.
        jobs: Name of a job -> the rest of its scrape configuration, in one line of YAML.
        rules: Files of rules.
    """
    lines = "\n".join(f"  - {{job_name: {name}, {rest}}}" for name, rest in jobs.items())
    config = folder / "prometheus.yml"
    config.write_text(_CONFIG.format(jobs=lines, rules=json.dumps(rules or [])))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        binary("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}", "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: _is_ready(url), "Prometheus is ready")
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        return bool(fetch(f"{url}/-/ready"))
    except OSError:
        return False


MakePrometheus = Callable[..., Prometheus]


@pytest.fixture
def make_prometheus(tmp_path: Path) -> Iterator[MakePrometheus]:
    """Make servers that end with the test."""
    with contextlib.ExitStack() as servers:

        def make(jobs: Mapping[str, str], rules: list[str] | None = None) -> Prometheus:
            folder = tmp_path / f"prometheus-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return servers.enter_context(running(folder, jobs, rules))

        yield make
