"""Fixtures of the integrations: engines with memory brokers, and programs run in an interpreter of their
own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import spinach
from spinach import Engine, MemoryBroker

# Of the package under test, wherever it was imported from.
REPOSITORY = Path(spinach.__file__).parents[1]
PROGRAM_SECONDS = 60


def run_to_end(
    *arguments: str, cwd: Path, expect: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that finds this package to its end, which is to be `expect`."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PROGRAM_SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@pytest.fixture
def run_program(tmp_path: Path) -> Callable[..., Any]:
    """Run source code in a new interpreter, which frameworks may patch as they like; return the JSON it
    printed last.
    """

    def run(source: str, **environment: str) -> Any:
        program = tmp_path / "program.py"
        program.write_text(source)
        return json.loads(run_to_end(str(program), cwd=tmp_path, **environment).stdout.splitlines()[-1])

    return run


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(MemoryBroker(), namespace=f"contrib-{uuid4().hex[:8]}")
    yield engine
    engine.stop_workers()


def drain(engine: Engine, **options: Any) -> None:
    """Run the jobs that are due, and return when they have run."""
    engine.start_workers(number=2, stop_when_queue_empty=True, **options)
