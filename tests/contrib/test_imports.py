"""What is loaded when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

OPTIONAL = ("flask", "django", "sentry_sdk", "ddtrace", "click", "asgiref")


def test_the_engine_loads_no_framework(run_program: Callable[..., Any]) -> None:
    """`import spinach`, an engine and its workers load no framework."""
    program = (
        "import json, sys\n"
        "from spinach import Engine, MemoryBroker\n"
        "Engine(MemoryBroker()).start_workers(stop_when_queue_empty=True)\n"
        f"print(json.dumps(sorted(sys.modules.keys() & {OPTIONAL!r})))\n"
    )
    assert run_program(program) == []


@pytest.mark.parametrize(
    "package", ["spinach.contrib", "spinach.contrib.datadog", "spinach.contrib.spinachd"]
)
def test_what_needs_a_framework_later_can_be_imported_without(
    run_program: Callable[..., Any], package: str
) -> None:
    """These can be imported where no framework is installed, or before its settings are ready."""
    program = (
        "import json, sys\n"
        f"sys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"  # None: importing it is an ImportError
        f"import {package}\n"
        "print(json.dumps('imported'))\n"
    )
    assert run_program(program) == "imported"
