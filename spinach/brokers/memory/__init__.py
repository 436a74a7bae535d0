"""The in-process broker: the contract on plain containers. Its jobs end with the process."""

from __future__ import annotations

from ... import _installation

# Where the published package was installed over this one, its `spinach/__init__.py` gets as far as here.
_installation.refuse_mixture()

from .broker import MemoryBroker  # noqa: E402 - a mixture must not get this far
from .store import MemoryStore  # noqa: E402 - a mixture must not get this far

__all__ = ["MemoryBroker", "MemoryStore"]
