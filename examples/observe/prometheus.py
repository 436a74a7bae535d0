"""Starts a Prometheus on the loopback that scrapes the exporter and the workers that the exporter lists."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from examples.shared.child_process import REPOSITORY, ChildProcess, answers, free_port

from .settings import SCRAPE_SECONDS

HOW_TO_GET: Final = "apt install prometheus, or put its binary into the PATH"
_RULES: Final = REPOSITORY / "dashboards" / "rules"


def is_installed() -> bool:
    """Whether there is a Prometheus."""
    return shutil.which("prometheus") is not None


def start(data: Path, exporter: str, *, scrape_seconds: int = SCRAPE_SECONDS) -> tuple[ChildProcess, str]:
    """Start it and wait until it answers; return the process and its address.

    Args:
        data: Folder for configuration, samples and log.
        exporter: Host and port of the exporter.
        scrape_seconds: Seconds between two scrapes.
    """
    rules = sorted(_RULES.glob("*.yml"))
    file = data / "prometheus.yml"
    file.write_text(configuration(exporter, rules, scrape_seconds), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={data / 'prometheus'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    child = ChildProcess("prometheus", command, data)
    try:
        child.await_answer(f"http://{address}/-/ready")
    except BaseException:
        child.stop()
        raise
    return child, f"http://{address}"


def page(prometheus: str, name: str) -> str:
    """Return the address of a page; Debian's Prometheus has only the classic pages."""
    address = f"{prometheus}/{name}"
    return address if answers(address) else f"{prometheus}/classic/{name}"


def targets(url: str) -> int:
    """Return how many targets a service discovery page lists, 0 when it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return sum(len(group["targets"]) for group in json.load(answer))
    except (OSError, ValueError):
        return 0


def configuration(exporter: str, rules: Sequence[Path], scrape_seconds: int) -> str:
    """Return the configuration file."""
    files = "".join(f"\n  - {json.dumps(str(path))}" for path in rules) or " []"
    return f"""\
global:
  scrape_interval: {scrape_seconds}s
  evaluation_interval: {scrape_seconds}s
rule_files:{files}
scrape_configs:
  # What is stored in Redis: queues, workers, totals of all time.
  - job_name: spinach-exporter
    static_configs:
      - targets: ['{exporter}']
  # What each worker process counts itself; the exporter lists their addresses.
  - job_name: spinach-workers
    http_sd_configs:
      - url: http://{exporter}/sd
        refresh_interval: {scrape_seconds}s
"""
