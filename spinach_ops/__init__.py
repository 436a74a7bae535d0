"""The tools around the engine: metrics, tracing, logs, the terminal UI and the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .instrumentation import Instrumentation, instrument
    from .serving import serve

__all__ = ["Instrumentation", "instrument", "serve"]

# Loaded on first use: a command handles signals before it loads anything that takes long.
_LAZY: Final = {"Instrumentation": ".instrumentation", "instrument": ".instrumentation", "serve": ".serving"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name], __name__), name)
    globals()[name] = value
    return value
