"""The servers and namespaces that an exporter reads, from the command line or a file. Contacts no server."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..cli.errors import UsageError
from ..cli.options import masked
from ..metrics.labels import sanitize_label

_FIELDS: Final = {"name", "url", "url_file", "namespaces", "queues"}
_EXAMPLE: Final = (
    '[[target]] with name = "main", url = "redis://..." (or url_file = "..."), namespaces = ["prod"]'
)


@dataclass(frozen=True, slots=True)
class Target:
    """Namespaces on one server.

    Attributes:
        name: Name of the target in messages.
        url: URL of the server with its credentials: show `server` instead.
        namespaces: At least one.
        queues: Queues to read beside those that the namespaces list.
    """

    name: str
    url: str = field(repr=False)
    namespaces: tuple[str, ...]
    queues: tuple[str, ...] = ()

    @property
    def server(self) -> str:
        """The URL without credentials."""
        return masked(self.url)


def read_targets(path: Path) -> list[Target]:
    """Return the targets of a TOML file.

    Raises:
        UsageError: The file cannot be read, or is not a list of targets.
    """
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--targets {path} cannot be read: {error}") from None
    entries = found.get("target")
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"--targets {path} names no target: write {_EXAMPLE}")
    return [_target(entry, f"target {number} of {path}") for number, entry in enumerate(entries, 1)]


def _target(entry: Any, where: str) -> Target:
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is not a table: write {_EXAMPLE}")
    if unknown := entry.keys() - _FIELDS:
        raise UsageError(
            f"{where} has unknown keys {', '.join(sorted(unknown))}; use {', '.join(sorted(_FIELDS))}"
        )
    name, url = entry.get("name"), _url_of(entry, where)
    if not isinstance(name, str) or not name:
        raise UsageError(f"{where} has no name: write {_EXAMPLE}")
    namespaces = _texts(entry, "namespaces", where)
    if not namespaces:
        raise UsageError(f"{where} names no namespaces: write {_EXAMPLE}")
    return Target(name, url, namespaces, _texts(entry, "queues", where))


def _url_of(entry: dict[str, Any], where: str) -> str:
    url, file = entry.get("url"), entry.get("url_file")
    if isinstance(file, str) and url is None:
        try:
            url = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the url_file of {where} cannot be read: {error}") from None
    if not isinstance(url, str) or not url or (file is not None and entry.get("url") is not None):
        raise UsageError(f"{where} needs either a url or a url_file: write {_EXAMPLE}")
    return url


def _texts(entry: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    found = entry.get(name, [])
    if not isinstance(found, list) or not all(isinstance(text, str) and text for text in found):
        raise UsageError(f"{name} of {where} is {found!r}, expected a list of strings")
    return tuple(found)


def check_distinct(targets: Sequence[Target]) -> None:
    """Check that no namespace is named twice.

    Raises:
        UsageError: One is: its series of two servers would have the same labels.
    """
    counts = Counter(sanitize_label(namespace) for target in targets for namespace in target.namespaces)
    twice = sorted(namespace for namespace, count in counts.items() if count > 1)
    if twice:
        raise UsageError(
            f"namespace {', '.join(twice)} is named more than once: series of both would have the same "
            "labels; run an exporter for each server"
        )
