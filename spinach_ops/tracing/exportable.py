"""What an exporter can encode: a single value that it cannot loses the whole batch of spans. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.util.types import AttributeValue

# Names of tasks and queues; what is longer is nobody's name.
MAX_NAME_CHARACTERS: Final = 1024
_MAX_INTEGER: Final = 2**63 - 1


def encodable(text: str) -> str:
    """Return a text that is UTF-8: lone surrogates are spelled out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def name(text: str) -> str:
    """Return a name that is encodable and short."""
    return encodable(text[:MAX_NAME_CHARACTERS])


def attributes(given: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Return attributes of others with all that is in them encodable."""
    return {encodable(key): _value(value) for key, value in given.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, int) and not -_MAX_INTEGER <= value <= _MAX_INTEGER:
        return str(value)
    if isinstance(value, Mapping):
        return {encodable(key) if isinstance(key, str) else key: _value(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(map(_value, value))
    return value
