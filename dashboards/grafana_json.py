"""Turns the SDK's dashboards into JSON files that Grafana 10 and newer import and provision unchanged.

The files hold no nulls and no identifiers of an installation. Panels are numbered, and requirements declared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

# Grafana 10 to 12 migrate this version; Grafana 10 refuses a newer one.
SCHEMA_VERSION: Final = 36
_OLDEST_GRAFANA: Final = "10.0.0"
# The SDK writes this id where there is none.
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
    dashboard = _without_empty_values(dashboard)
    for number, panel in enumerate(dashboard["panels"], start=1):
        panel["id"] = number
    dashboard["schemaVersion"] = SCHEMA_VERSION
    dashboard["__requires"] = list(_required(dashboard))
    return json.dumps(dashboard, indent=2, sort_keys=True) + "\n"


def _without_empty_values(value: Any) -> Any:
    """Return the value without nulls and empty refIds, which would overwrite Grafana's own defaults."""
    if isinstance(value, dict):
        return {
            key: _without_empty_values(inner) for key, inner in value.items() if not _is_empty(key, inner)
        }
    if isinstance(value, list):
        return [_without_empty_values(inner) for inner in value if inner is not None]
    return value


def _is_empty(key: str, value: Any) -> bool:
    return value is None or value == _NO_ID or (key == "refId" and value == "")


def _required(dashboard: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield {"type": "grafana", "id": "grafana", "name": "Grafana", "version": _OLDEST_GRAFANA}
    yield {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"}
    for kind in sorted({panel["type"] for panel in dashboard["panels"] if panel["type"] != "row"}):
        yield {"type": "panel", "id": kind, "name": _PANEL_NAMES[kind], "version": ""}
