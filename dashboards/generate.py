"""Writes the dashboards and rules into this folder; `--check` only compares them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .alerts import alerts
from .grafana_json import to_json
from .objectives import read
from .overview import overview
from .prometheus_rules import to_yaml
from .queue import queue
from .recording import recording
from .slo import slo
from .task import task
from .workers import workers

FOLDER: Final = Path(__file__).resolve().parent
_RULES_COMMENT: Final = (
    "Generated from slo.toml: python -m dashboards.generate. Scrape the exporter as a "
    "job named spinach-exporter."
)


def files() -> Mapping[str, str]:
    """Return the text of every file by its name."""
    objectives = read((FOLDER / "slo.toml").read_text(encoding="utf-8"))
    return {
        "spinach-overview.json": to_json(overview()),
        "spinach-queue.json": to_json(queue()),
        "spinach-slo.json": to_json(slo()),
        "spinach-task.json": to_json(task()),
        "spinach-workers.json": to_json(workers()),
        "rules/recording.yml": to_yaml(recording(objectives), _RULES_COMMENT),
        "rules/alerts.yml": to_yaml(alerts(objectives), _RULES_COMMENT),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or say which differ; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file differs")
    check = parser.parse_args(arguments).check
    differing = [name for name, text in files().items() if _read(FOLDER / name) != text]
    for name in differing:
        if not check:
            (FOLDER / name).write_text(files()[name], encoding="utf-8")
        print(f"{name} {'differs' if check else 'written'}")
    return 1 if check and differing else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
