"""Namespaces that continue this one after a slash: the keys of `shop/eu` begin like those of `shop`."""

from __future__ import annotations

from collections.abc import Iterator

from ..connection import Connection
from ..keys import Keys


class Neighbours:
    """Tells the keys of this namespace from those of namespaces that continue it.

    Args:
        connection: The connection.
        keys: Of this namespace.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._known: dict[str, bool] = {}

    def own(self, name: str) -> bool:
        """Return whether a key that begins with this namespace is a key of it.

        Args:
            name: The key, without the namespace and its slash. `eu/mail` can be a queue of this namespace, or
                `mail` a queue of the namespace that ends in `/eu`.
        """
        if name.startswith("_"):
            return True
        for end, rest in _splits(name):
            if self._exists(end) and (rest.startswith("_") or not self._is_our_queue(name, end, rest)):
                return False
        return True

    def _exists(self, end: str) -> bool:
        if end not in self._known:
            keys = Keys(self._keys(end))
            traces = (keys.layout, keys.queues, keys.brokers, keys.periodic_tasks, keys.future, keys.limits)
            self._known[end] = bool(self._connection.call("EXISTS", *traces))
        return self._known[end]

    def _is_our_queue(self, name: str, end: str, rest: str) -> bool:
        ours, theirs = self._connection.read(
            ("SISMEMBER", self._keys.queues, name), ("SISMEMBER", Keys(self._keys(end)).queues, rest)
        )
        return bool(ours == 1 and theirs != 1)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    parts = name.split("/")
    for index in range(1, len(parts)):
        yield "/".join(parts[:index]), "/".join(parts[index:])
