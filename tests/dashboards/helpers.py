"""Dashboards as Grafana would use them: their files, and expressions with the variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
# Variables of several values; the others have one.
SEVERAL = frozenset({"job", "queue", "task"})
EVERYTHING = {"job": ".+", "queue": ".*", "task": ".*"}


def load(path: Path) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return dashboard


def filled(expr: str, *, interval: str = "1m", span: str = "1h", **chosen: str | list[str] | None) -> str:
    """Return an expression with its variables as Grafana's Prometheus source puts them in.

    Args:
        expr: With variables.
        interval: `$__rate_interval`.
        span: `$__range`.
        chosen: Values by variable; of those with several values all where none is given.
    """
    texts: Mapping[str, str] = {
        "__rate_interval": interval,
        "__range": span,
        **EVERYTHING,
        **{name: _written(name, value) for name, value in chosen.items() if value is not None},
    }
    return re.sub(r"\$\{?(\w+)\}?", lambda match: texts[match[1]], expr)


def _written(name: str, value: str | list[str]) -> str:
    if name not in SEVERAL:
        assert isinstance(value, str)
        return value.replace("\\", "\\\\").replace('"', '\\"')
    values = [value] if isinstance(value, str) else value
    escaped = [_as_regex(one) for one in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _as_regex(value: str) -> str:
    """Escape a value twice: for the regular expression, and for the string that holds it."""
    escaped = re.sub(r"[\\^$*+?.()|\[\]{}]", lambda match: f"\\{match[0]}", value)
    return escaped.replace("\\", "\\\\").replace('"', '\\"')
