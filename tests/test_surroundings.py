"""What surrounds a process: variables of other tools, a working folder that is gone."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.cli import REPOSITORY, Cli
from tests.prometheus import fetch
from tests.waiting import PATIENCE_SECONDS, wait_until


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
@pytest.mark.parametrize("folder", ["there", "missing", "a file", "empty"])
def test_the_folder_of_multiprocess_metrics_is_ignored(cli: Cli, folder: str, variable: str) -> None:
    """The variable of a web server next door neither ends a worker nor has files written: a line says so."""
    named = cli.folder / "values"
    if folder == "there":
        named.mkdir()
    elif folder == "a file":
        named.touch()
    cli.environment[variable] = "" if folder == "empty" else str(named)
    cli.engine.schedule("ok")
    worker = cli.start("worker", "app:engine", "--metrics-port", "0")
    wait_until(lambda: "done" in cli.log)
    address = re.search(r"http://[\w.:]+/metrics", cli.log)
    assert address is not None
    assert "spinach_jobs_finished_total{" in fetch(address[0])
    worker.terminate()
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert cli.log.count(f"{variable} is ignored") == 1
    if folder == "there":
        assert list(named.iterdir()) == []


def test_an_application_keeps_the_folder_of_its_web_server(cli: Cli) -> None:
    """A process that is no worker of ours writes its values there; a folder that is missing is made."""
    named = cli.folder / "values"
    (cli.folder / "web.py").write_text(
        "from app import engine\nfrom spinach_ops import instrument\n"
        "instrument(engine)\nengine.schedule('ok')\n"
    )
    ended = subprocess.run(
        [sys.executable, "web.py"], cwd=cli.folder, capture_output=True, text=True, check=False,
        env={**cli.environment, "PROMETHEUS_MULTIPROC_DIR": str(named)},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert any(b"spinach_jobs_submitted_total" in path.read_bytes() for path in named.glob("counter_*.db"))


@pytest.mark.parametrize(
    "module",
    [
        "spinach_ops.commands.main status",
        "spinach_ops.top.start --once",
        "spinach_ops.worker.cli worker app:engine --burst",
    ],
)
def test_a_deleted_working_folder_stops_nothing(cli: Cli, module: str) -> None:
    """A deployment removed the folder in which a command was started: it works from its installed modules."""
    gone = cli.folder / "gone"
    gone.mkdir()
    cli.engine.schedule("ok")
    environment = {
        **cli.environment, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{cli.folder}",
        "SPINACH_REDIS_URL": cli.environment["URL"], "SPINACH_NAMESPACE": cli.namespace,
    }  # fmt: skip
    ended = subprocess.run(
        ["bash", "-c", f"rmdir {gone} && exec {sys.executable} -m {module}"], cwd=gone, env=environment,
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
