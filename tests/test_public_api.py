"""What `help()` promises: every public name is documented, parameter by parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

import spinach

MODULES = [
    "spinach", "spinach.engine", "spinach.task", "spinach.job", "spinach.exc", "spinach.signals",
    "spinach.hooks", "spinach.guard", "spinach.error_text", "spinach.worker", "spinach.brokers.base",
    "spinach.brokers.memory", "spinach.brokers.redis", "spinach.contrib.datadog",
    "spinach.contrib.flask_spinach", "spinach.contrib.sentry_sdk_spinach", "spinach_ops",
]  # fmt: skip
if find_spec("spinach.testing"):
    MODULES.append("spinach.testing")
OURS = ("spinach.", "spinach_ops.")


def public_names(module: ModuleType) -> list[str]:
    return [name for name in module.__all__ if not name.startswith("__")]


def is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).startswith(OURS)


def callables() -> Iterator[tuple[str, Any, list[str]]]:
    """Every public function, class and method with the docstrings that may document it, nearest first."""
    for module_name in MODULES:
        module = import_module(module_name)
        for name in public_names(module):
            value = getattr(module, name)
            if inspect.isclass(value) and is_ours(value):
                yield from callables_of(f"{module_name}.{name}", value)
            elif inspect.isfunction(value):
                yield f"{module_name}.{name}", value, [inspect.getdoc(value) or ""]


def callables_of(path: str, kind: type) -> Iterator[tuple[str, Any, list[str]]]:
    ours = [base for base in kind.__mro__ if is_ours(base)]
    is_protocol = getattr(kind, "_is_protocol", False)  # it has no instances
    if any("__init__" in vars(base) for base in ours) and not is_protocol:
        yield path, kind, [inspect.getdoc(base) or "" for base in ours]
    for name, member in inspect.getmembers(kind):
        function = inspect.unwrap(member) if inspect.isroutine(member) else None
        if name.startswith("_") or function is None or not is_ours(function):
            continue
        yield (
            f"{path}.{name}",
            function,
            [inspect.getdoc(vars(base)[name]) or "" for base in ours if name in vars(base)],
        )


def arguments_section(docstring: str) -> str:
    """Return what is under ``Args:`` or, for a value class with fields as parameters, ``Attributes:``."""
    found = re.findall(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    return "\n".join(found)


def undocumented(function: Any, docstrings: list[str]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a class of the standard library's making
        return []
    section = "\n".join(arguments_section(text) for text in docstrings)
    named = set(re.findall(r"^\s+\*{0,2}(\w+)(?: \(.*\))?:", section, re.MULTILINE))
    return [
        parameter.name
        for parameter in parameters
        if parameter.name not in ("self", "cls")
        and not parameter.name.startswith("_")
        and parameter.name not in named
    ]


def test_a_parameter_without_description_is_found() -> None:
    """The check below finds a parameter that no ``Args:`` section names, and sees most of the API."""

    def schedule(task: str, *args: Any, at: float) -> None:  # noqa: D417 - on purpose
        """Schedule.

        Args:
            task: The task.
            *args: Its arguments.

        Raises:
            at: Not a parameter here.
        """

    assert undocumented(schedule, [inspect.getdoc(schedule) or ""]) == ["at"]
    paths = {path for path, _, _ in callables()}
    assert {
        "spinach.Engine",
        "spinach.Engine.task",
        "spinach.Tasks.add",
        "spinach.RedisBroker.enqueue",
    } <= paths


@pytest.mark.parametrize("module_name", MODULES)
def test_public_names_have_docstrings(module_name: str) -> None:
    """Every public function and class says what it does, in a docstring of its own or of its base."""
    module = import_module(module_name)
    documented = [
        value for value in (getattr(module, name) for name in public_names(module)) if callable(value)
    ]
    assert [value for value in documented if is_ours(value) and not inspect.getdoc(value)] == []


def test_public_callables_document_their_parameters() -> None:
    """Every parameter of a public function, class or method stands under ``Args:``."""
    missing = {
        path: names for path, function, texts in callables() if (names := undocumented(function, texts))
    }
    assert missing == {}


def test_spinach_exports_all_that_it_defines() -> None:
    """`spinach.__all__` names every public attribute of the package that this project defines."""
    defined = {
        name
        for name in dir(spinach)
        if not name.startswith("_")
        and not inspect.ismodule(getattr(spinach, name))
        and is_ours(getattr(spinach, name))
    }
    assert set(public_names(spinach)) == defined


@pytest.mark.parametrize("module_name", MODULES)
def test_exports_are_sorted_and_exist(module_name: str) -> None:
    """Every module that applications import lists its public names in order."""
    module = import_module(module_name)
    assert list(module.__all__) == sorted(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
