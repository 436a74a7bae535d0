"""Django: `spin`, the engine of the project, made from the settings at its first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...engine import Engine

    spin: Engine

__all__ = ["spin"]


def __getattr__(name: str) -> Any:
    # Django imports this package before its settings may be read.
    if name == "spin":
        from .project import get_engine

        return get_engine()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
