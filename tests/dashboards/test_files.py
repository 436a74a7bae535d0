"""The files of the dashboards: generated, portable, and in form. Rules of grafana/dashboard-linter, and
ours.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboards import generate
from dashboards.expressions import queries_in, variable_queries_in
from spinach_ops.metrics.catalog import BY_NAME, NAMESPACE_LABEL
from tests.dashboards.helpers import FILES, load

CORE_PANELS = {"stat", "timeseries", "table", "heatmap", "gauge", "state-timeline", "row", "bargauge"}
UNITS = {"short", "s", "cps", "percentunit", "bytes", "none", "bool_on_off"}
# Rows of 30 pixels, 8 between them: what Grafana's own bars leave of 720 pixels.
FIRST_SCREEN_ROWS = 15
KEY_FIGURES_ROWS = 9

pytestmark = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def values_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of a JSON document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from values_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield "", inner
            yield from values_in(inner)


def panels_of(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in load(path)["panels"] if panel["type"] != "row"]


def test_file_is_what_the_generator_writes(path: Path) -> None:
    """A file of a dashboard is, byte for byte, what its generator writes."""
    assert path.read_text(encoding="utf-8") == generate.files()[path.name]
    assert {name for name in generate.files() if name.endswith(".json")} == {file.name for file in FILES}


def test_nothing_binds_it_to_an_installation(path: Path) -> None:
    """A dashboard holds no null, no zero uuid, no empty refId, no inputs, and no data source but the
    variable.
    """
    dashboard = load(path)
    assert "__inputs" not in dashboard
    assert {need["type"] for need in dashboard["__requires"]} == {"grafana", "datasource", "panel"}
    for key, value in values_in(dashboard):
        assert value is not None, key
        assert value != "00000000-0000-0000-0000-000000000000", key
        if key == "refId":
            assert value
        if key == "datasource":
            assert value == {"type": "prometheus", "uid": "${datasource}"}


def test_it_opens_in_grafana_10_to_12(path: Path) -> None:
    """A dashboard has the schema of Grafana 10, a fixed uid, panels of the core that are declared, no
    editing.
    """
    dashboard = load(path)
    assert dashboard["schemaVersion"] == 36
    assert dashboard["uid"] == path.stem
    assert dashboard["editable"] is False
    assert "id" not in dashboard
    kinds = {panel["type"] for panel in dashboard["panels"]}
    assert kinds <= CORE_PANELS
    declared = {need["id"] for need in dashboard["__requires"] if need["type"] == "panel"}
    assert declared == kinds - {"row"}
    assert dashboard["refresh"]
    assert dashboard["time"] == {"from": "now-1h", "to": "now"}


def test_variables(path: Path) -> None:
    """The variables are a data source, job, namespace, queue and task; they reload when the time changes."""
    variables = {variable["name"]: variable for variable in load(path)["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "namespace", "queue", "task"]
    source = variables.pop("datasource")
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data Source")
    for name, variable in variables.items():
        assert variable["label"] == name.title()
        assert variable["type"] == "query"
        assert variable["refresh"] == 2
        several = name != "namespace"
        assert variable["multi"] is several
        assert variable["includeAll"] is several
    assert variables["job"]["allValue"] == ".+"
    assert variables["queue"]["allValue"] == variables["task"]["allValue"] == ".*"


def test_panels_say_what_they_are(path: Path) -> None:
    """Every panel has a title of its own, a description, a unit, a data source and expressions."""
    panels = panels_of(path)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert len(panel["description"]) > len(panel["title"])
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        if panel["type"] == "heatmap":
            assert panel["options"]["yAxis"]["unit"] in UNITS
        else:
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


def test_colour_never_stands_alone(path: Path) -> None:
    """Every panel writes what its colours mean: stats as values, lines in a legend, states as words."""
    for panel in panels_of(path):
        options = panel["options"]
        if panel["type"] == "stat":
            assert options["colorMode"] == "value"
            assert options["textMode"] in {"value", "value_and_name"}
        elif panel["type"] == "timeseries":
            assert options["legend"]["showLegend"] is True
            assert options["legend"]["displayMode"] in {"table", "list"}
            assert options["legend"]["calcs"] == ["lastNotNull"]
        elif panel["type"] == "heatmap":
            assert options["legend"]["show"] is True


def test_expressions_follow_the_selection(path: Path) -> None:
    """Every selector takes job and namespace from the variables: `=` for one value, `=~` for several."""
    dashboard = load(path)
    exprs = [query.expr for query in queries_in(dashboard)]
    exprs += [selector for _, selector, _ in variable_queries_in(dashboard)]
    for expr in exprs:
        for name, matchers in re.findall(r"([\w:]*)\{([^}]*)\}", expr):
            if name == "ALERTS":
                continue  # an alert carries the labels of its expression, which may have no job
            if "__name__" not in matchers:
                # What a rule records has no job.
                assert 'job=~"$job"' in matchers or name.startswith("spinach:"), expr
                everywhere = name in BY_NAME and NAMESPACE_LABEL not in BY_NAME[name].labels
                assert everywhere or 'spinach_namespace="$namespace"' in matchers, expr
        for variable, operator in re.findall(r'(?=(?<=")\$(\w+))(?<=(=~|.=)")', expr):
            assert operator == ("=~" if variable != "namespace" else operator)
            assert not (variable == "namespace" and operator == "=~")
        assert "$instance" not in expr


def test_counters_are_read_as_rates(path: Path) -> None:
    """A counter stands only in rate, irate or increase, over an interval that fits the resolution."""
    for query in queries_in(load(path)):
        for start, name in (
            (match.start(), match[1])
            for match in re.finditer(r"(\w+_(?:total|bucket|sum|count))\{", query.expr)
        ):
            assert query.expr[:start].endswith(("rate(", "irate(", "increase(")), f"{query.where}: {name}"
        for function, span in re.findall(r"(\w+)\([\w:]+\{[^}]*\}\[([^\]]+)\]", query.expr):
            allowed = {"$__rate_interval", "$__range"} if function != "deriv" else {"10m"}
            assert span in allowed, query.where


def test_panels_do_not_overlap(path: Path) -> None:
    """Panels stand inside the 24 columns, none over another."""
    places = [panel["gridPos"] for panel in load(path)["panels"]]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


def test_first_screen_is_complete(path: Path) -> None:
    """The first screen has no gap, and the key figures stand in its upper half."""
    places = [panel["gridPos"] for panel in load(path)["panels"]]
    covered = {
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }
    whole = [
        panel["title"]
        for panel in panels_of(path)
        if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= FIRST_SCREEN_ROWS
    ]
    assert {(x, y) for x in range(24) for y in range(FIRST_SCREEN_ROWS)} <= covered
    if path.stem == "spinach-overview":
        figures = {
            "Redis",
            "Queued",
            "Oldest job",
            "Running",
            "Scheduled",
            "Overdue",
            "Dead letters",
            "Alerts firing",
        }
        figures |= {"Jobs in and out", "Failure ratio", "Slots busy", "Workers"}
        upper = {
            panel["title"]
            for panel in panels_of(path)
            if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= KEY_FIGURES_ROWS
        }
        assert figures <= upper
        assert {"Queues", "Time in the queue"} <= set(whole)


def test_generator_says_what_it_would_write(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` names the files that differ, here none."""
    assert generate.main(["--check"]) == 0
    assert path.name not in capsys.readouterr().out
    assert "dashboards.generate" in sys.modules
