"""Checks a document against a JSON Schema, as far as ours goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "spinach_ops/top/schema.json").read_text(encoding="utf-8")
)
_TYPES = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
_KNOWN = {
    "$schema", "title", "description", "type", "required", "properties", "items", "const", "enum",
}  # fmt: skip


def check(value: Any, schema: dict[str, Any] = SCHEMA, where: str = "$") -> None:
    """Assert that a value is as its schema says, and has no member that the schema does not describe."""
    assert set(schema) <= _KNOWN, f"{where}: the checker does not know {set(schema) - _KNOWN}"
    if "const" in schema:
        assert value == schema["const"], where
    if "enum" in schema:
        assert value in schema["enum"], f"{where}: {value!r}"
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        allowed = tuple(kind for name in names for kind in _TYPES[name])
        assert type(value) in allowed, f"{where}: {value!r} is none of {names}"
    if isinstance(value, dict):
        assert set(value) >= set(schema["required"]), where
        assert set(value) <= set(schema["properties"]), f"{where}: {set(value) - set(schema['properties'])}"
        for name, member in value.items():
            check(member, schema["properties"][name], f"{where}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            check(item, schema["items"], f"{where}[{index}]")
