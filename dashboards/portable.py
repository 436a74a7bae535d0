"""From what the SDK writes to JSON that any Grafana from 10 on imports and provisions as it is.

Owns the form of the files: no nulls, no identifiers of an installation, what is required said, panels numbered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

# Grafana 10 to 12 migrate it; a newer one would shut out the older.
SCHEMA_VERSION: Final = 36
_OLDEST_GRAFANA: Final = "10.0.0"
# The SDK's id of what has none.
_NO_ID: Final = "00000000-0000-0000-0000-000000000000"
_PANEL_NAMES: Final = {
    "gauge": "Gauge",
    "heatmap": "Heatmap",
    "row": "Row",
    "stat": "Stat",
    "state-timeline": "State timeline",
    "table": "Table",
    "timeseries": "Time series",
}


def to_json(builder: Dashboard) -> str:
    """Return the text of a dashboard's file."""
    dashboard = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    dashboard = _without_nothing(dashboard)
    for number, panel in enumerate(dashboard["panels"], start=1):
        panel["id"] = number
    dashboard["schemaVersion"] = SCHEMA_VERSION
    dashboard["__requires"] = list(_required(dashboard))
    return json.dumps(dashboard, indent=2, sort_keys=True) + "\n"


def _without_nothing(value: Any) -> Any:
    """Return the value without nulls and empty refIds: they overwrite what Grafana would choose itself."""
    if isinstance(value, dict):
        return {key: _without_nothing(inner) for key, inner in value.items() if not _is_nothing(key, inner)}
    if isinstance(value, list):
        return [_without_nothing(inner) for inner in value if inner is not None]
    return value


def _is_nothing(key: str, value: Any) -> bool:
    return value is None or value == _NO_ID or (key == "refId" and value == "")


def _required(dashboard: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield {"type": "grafana", "id": "grafana", "name": "Grafana", "version": _OLDEST_GRAFANA}
    yield {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"}
    for kind in sorted({panel["type"] for panel in dashboard["panels"] if panel["type"] != "row"}):
        yield {"type": "panel", "id": kind, "name": _PANEL_NAMES[kind], "version": ""}
