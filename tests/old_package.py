"""The published package 0.0.25 in a virtual environment of its own, for tests that mix it with ours."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

import pytest

OLD_VERSION = "0.0.25"
_ROOT = Path(__file__).parent.parent
_INSTALL_SECONDS = 90


@pytest.fixture(scope="session")
def old_python() -> Path:
    """The interpreter of an environment that has the published package; made once and kept under build/."""
    folder = _ROOT / "build" / f"old-{OLD_VERSION}-py{sys.version_info[0]}.{sys.version_info[1]}"
    folder.parent.mkdir(exist_ok=True)
    # Test processes side by side make it once.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _installed(folder)


def _installed(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not _is_installed(python):
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "-q", f"spinach=={OLD_VERSION}"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"PyPI does not answer: cannot install spinach=={OLD_VERSION}")
        if done.returncode or not _is_installed(python):
            pytest.skip(f"cannot install spinach=={OLD_VERSION} from PyPI: {done.stderr.strip()[-300:]}")
    return python


def _is_installed(python: Path) -> bool:
    if not python.exists():
        return False
    check = f"from importlib.metadata import version; assert version('spinach') == '{OLD_VERSION}'"
    return subprocess.run([str(python), "-c", check], capture_output=True, check=False).returncode == 0
