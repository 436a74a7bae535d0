"""Finds the engine that a command line names as `package.module:engine`."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import traceback
from types import ModuleType, TracebackType
from typing import Any

from spinach import Engine
from spinach.exc import BrokerUnavailable


class TargetError(Exception):
    """The command line does not lead to an engine; the message says why and what to do."""


def load_engine(target: str) -> Engine:
    """Import the module and return its engine.

    Args:
        target: ``package.module:attribute``; a dotted attribute is followed, and a function that takes
            nothing and returns an engine is called, a coroutine function on an event loop of its own.

    Raises:
        TargetError: there is no engine at that place.
        BrokerUnavailable: the module needs its broker to be imported, and the broker cannot be reached.
    """
    module_name, attribute = target.rsplit(":", 1) if ":" in target else (target, "")
    if _is_path(module_name):
        raise TargetError(f"{target!r} names a file, expected a module: {_as_module(module_name, attribute)}")
    if attribute.endswith("()"):
        raise TargetError(f"{target!r} has parentheses: the worker calls functions itself, leave them out")
    if not (module_name and attribute):
        raise TargetError(
            f"{target!r} names no engine: expected package.module:engine, for example shop.jobs:engine"
        )
    found = _attribute_of(_import(module_name), attribute, target)
    if not isinstance(found, Engine) and callable(found) and not isinstance(found, type):
        found = _call(found, target)
    if not isinstance(found, Engine):
        raise TargetError(
            f"{target} is of type {type(found).__name__}, expected a spinach.Engine or a function that "
            "returns one"
        )
    return found


def _is_path(module_name: str) -> bool:
    return "/" in module_name or "\\" in module_name or module_name.endswith(".py")


def _as_module(path: str, attribute: str) -> str:
    """Return how a target that names a file is written, as far as the file is below the working folder."""
    try:
        relative = os.path.relpath(path.replace("\\", "/")).removesuffix(".py")
    except OSError:  # the working folder was deleted
        relative = ".."
    if relative.startswith(".."):
        return "package.module:engine, in the folder that holds the package"
    return f"{relative.replace('/', '.')}:{attribute or 'engine'}"


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BrokerUnavailable:
        raise
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise TargetError(
                f"there is no module {error.name!r} in {sys.path[0]} or among the installed packages: "
                "start the worker in the folder that holds your package, and check the spelling"
            ) from None
        raise TargetError(_why(f"the module {name} cannot be imported", error)) from error
    except Exception as error:
        raise TargetError(_why(f"the module {name} cannot be imported", error)) from error
    except SystemExit as error:
        raise TargetError(
            f"the module {name} ends the process when it is imported (exit code {error.code}); "
            'put what it runs under: if __name__ == "__main__"'
        ) from error


def _attribute_of(module: ModuleType, attribute: str, target: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            engines = sorted(name for name, value in vars(module).items() if isinstance(value, Engine))
            known = f"engines in it: {', '.join(engines)}" if engines else "and no engine of another name"
            raise TargetError(f"{target}: {module.__name__} has no {part!r}; {known}") from None
    return found


def _call(factory: Any, target: str) -> Any:
    try:
        made = factory()
        return asyncio.run(made) if inspect.iscoroutine(made) else made
    except BrokerUnavailable:
        raise
    except Exception as error:
        raise TargetError(_why(f"{target} is a function, and calling it failed", error)) from error


def _why(what: str, error: BaseException) -> str:
    """Return what happened, and where in the application."""
    place = _last_place(error.__traceback__)
    return f"{what}: {type(error).__name__}: {error}{f' ({place})' if place else ''}"


def _last_place(trace: TracebackType | None) -> str:
    frames = [frame for frame in traceback.extract_tb(trace) if "importlib" not in frame.filename]
    if len(frames) < 2:  # only this module
        return ""
    return f"{frames[-1].filename}, line {frames[-1].lineno}"
