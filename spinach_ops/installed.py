"""What is put on engines: once on each, and taken off once. Owns no engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from weakref import WeakSet

from spinach import Engine

Remover = Callable[[], None]


class Installed:
    """The engines that carry one kind of thing."""

    def __init__(self) -> None:
        self._engines: WeakSet[Engine] = WeakSet()
        self._lock = threading.RLock()

    def put_on(self, engine: Engine, install: Callable[[], list[Remover]]) -> Remover:
        """Put it on an engine, unless it is there.

        Args:
            engine: The engine.
            install: Does it, and returns what takes it off again; when it raises, the engine is as before.

        Returns:
            A function that takes it off, and does nothing when called again, or where it was there before.
        """
        with self._lock:
            if engine in self._engines:
                return _nothing
            removers = install()
            self._engines.add(engine)

        def remove() -> None:
            with self._lock:
                if removers:
                    self._engines.discard(engine)
                while removers:
                    removers.pop()()

        return remove


def _nothing() -> None:
    """Take nothing away."""
