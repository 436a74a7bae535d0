"""`spinach-ops exporter` and `spinach worker --metrics-port` as their users call them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spinach.stats import NamespaceSnapshot
from spinach.stats.workers import WorkerInfo, WorkerStats
from spinach_ops.cli.errors import UsageError
from spinach_ops.exporter.config import check_distinct, read_targets
from spinach_ops.exporter.service_discovery import http_sd
from tests.fleet import Fleet
from tests.metrics.test_known_workload import exporter
from tests.prometheus import check_page, fetch
from tests.servers import Server
from tests.waiting import wait_until


def test_a_loopback_elsewhere_is_no_target() -> None:
    """A worker that serves on the loopback of another machine cannot be scraped from here."""
    details = {"metrics_url": "http://127.0.0.1:9850/metrics"}
    worker = WorkerStats.of(
        WorkerInfo("id", "there", 0.0, 100.0, 60.0, "1.0", details), 100.0, running=0, reserved=0
    )
    snapshot = NamespaceSnapshot("ns", 100.0, workers=(worker,))
    assert http_sd(snapshot, here="here") == []
    assert len(http_sd(snapshot, here="there")) == 1


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spinach_ops.commands.main", "exporter", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_the_exporter_serves_a_namespace_that_old_workers_use(
    valkey_server: Server, make_fleet: Callable[..., Fleet], old_python: Path
) -> None:
    """Depth, running jobs and workers of a fleet of 0.0.25 alone; what it cannot know is absent."""
    fleet = make_fleet(valkey_server, old_python)
    fleet.old(number=2)
    fleet.client("old", [{"task": "safe", "args": [f"job-{number}", 60]} for number in range(5)])
    name = f'spinach_namespace="{fleet.namespace}"'
    with exporter(fleet) as url:
        expected = {
            f'spinach_queue_depth{{queue="spinach",{name}}} 3.0',
            f"spinach_running_jobs{{{name}}} 2.0",
            f"spinach_workers_connected{{{name}}} 1.0",
            f'spinach_workers{{{name},state="live"}} 1.0',
            f'spinach_workers_by_version{{{name},version="upstream"}} 1.0',
            f"spinach_fleet_counters_exact{{{name}}} 0.0",
            f"spinach_redis_up{{{name}}} 1.0",
        }
        wait_until(lambda: expected <= set(fetch(f"{url}/metrics").splitlines()), "the fleet shows")
        page = fetch(f"{url}/metrics")
        check_page(page)
        assert "spinach_slots{" not in page
        assert "spinach_queue_workers{" not in page
        assert json.loads(fetch(f"{url}/sd")) == []


def test_the_exporter_says_what_is_wrong_with_its_options(tmp_path: Path) -> None:
    """Exit code 2 and one line that names the option, the value and what is expected."""
    assert "'127.0.0.1:x', expected HOST:PORT" in run("--listen", "127.0.0.1:x").stderr
    assert "is it an address of this machine?" in run("--listen", "203.0.113.1:0").stderr
    assert "is not a number of seconds" in run("--cache", "soon").stderr
    assert "named more than once" in run("-n", "a", "-n", "a").stderr
    assert "leave the other options out" in run("--targets", str(tmp_path / "x"), "-n", "a").stderr
    done = run("--targets", str(tmp_path / "missing.toml"))
    assert (done.returncode, "cannot be read" in done.stderr) == (2, True)


GOOD_TARGETS = """
[[target]]
name = "main"
url = "redis://:secret@127.0.0.1:6379/0"
namespaces = ["shop", "mail"]
queues = ["rare"]

[[target]]
name = "other"
url_file = "{file}"
namespaces = ["prod"]
"""


def test_targets_are_read_from_a_file(tmp_path: Path) -> None:
    """Servers, namespaces, queues; URLs may stand in files of their own, and are never shown whole."""
    secret = tmp_path / "url"
    secret.write_text("redis://127.0.0.1:6380/0\n")
    path = tmp_path / "targets.toml"
    path.write_text(GOOD_TARGETS.format(file=secret))
    main, other = read_targets(path)
    check_distinct([main, other])
    assert (main.namespaces, main.queues) == (("shop", "mail"), ("rare",))
    assert other.url == "redis://127.0.0.1:6380/0"
    assert "secret" not in f"{main} {main.server}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names no target"),
        ("target = 1", "names no target"),
        ("target = [1]", "is not a table"),
        ("[[target]]\nname='a'\nurl='redis://x'", "names no namespaces"),
        ("[[target]]\nname='a'\nnamespaces=['b']", "needs either a url or a url_file"),
        ("[[target]]\nname='a'\nurl='redis://x'\nnamespaces=[1]", "expected a list of strings"),
        ("[[target]]\nnam='a'\nurl='redis://x'\nnamespaces=['b']", "has unknown keys nam; use"),
        ("[[target]]\nurl='redis://x'\nnamespaces=['b']", "has no name"),
        ("[[target]\n", "cannot be read"),
    ],
)
def test_a_file_of_targets_that_is_wrong_is_an_error(tmp_path: Path, text: str, complaint: str) -> None:
    """The message says where, what, and what is expected."""
    path = tmp_path / "targets.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read_targets(path)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://host:9850/metrics", "host:9850"),
        ("https://[::1]:1/m", "[::1]:1"),
        ("file:///etc/passwd", None),
        ("http://host:99999/", None),
        ("http://host/metrics", None),
        ("http://[::1/", None),
        ("\x1b[31m", None),
        (7, None),
        (None, None),
    ],
)
def test_only_what_is_an_address_is_a_target(address: object, expected: str | None) -> None:
    """What a worker announces is only text: anything else than an address with a port is left out."""
    info = WorkerInfo("id", "host", 0.0, 100.0, 60.0, "1.0", {"metrics_url": address})
    worker = WorkerStats.of(info, 100.0, running=0, reserved=0)
    found = http_sd(NamespaceSnapshot("ns", 100.0, workers=(worker,)), here="host")
    assert [group["targets"] for group in found] == ([[expected]] if expected else [])
    assert all(isinstance(text, str) for group in found for text in group["labels"].values())
