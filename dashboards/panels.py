"""Panels as this project draws them: each kind with its defaults, so that a dashboard says only what is its own.

Colour never stands alone: what a threshold colours is written as a number or a word, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.heatmap import HeatmapColorOptions, YAxisConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from .base import SOURCE
from .style import PLAIN, Place, Words, steps

# Columns, of 53 pixels where the window is 1280 wide.
_WIDE: Final = 10
_NARROW: Final = 5


def number(
    words: Words,
    place: Place,
    expr: str,
    *,
    unit: str = "short",
    limits: ThresholdsConfig | None = None,
    texts: Mapping[str, ValueMappingResult] | None = None,
    missing: str = "no data",
    legend: str = "",
) -> stat.Panel:
    """Return a panel with the value of now, and its course behind it.

    Args:
        words: Title and description.
        place: Where it stands.
        expr: What is shown; one series, or one per word of `legend`.
        unit: Of the value, in Grafana's words.
        limits: Where it changes its colour.
        texts: Words for values.
        missing: What is shown when nothing is known.
        legend: Name of each series, when there are several.
    """
    panel = (
        stat.Panel()
        .title(words.title)
        .description(words.description)
        .datasource(SOURCE)
        .grid_pos(place.grid)
        .unit(unit)
        .no_value(missing)
        .thresholds(limits or steps(PLAIN))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE if legend or texts else BigValueGraphMode.AREA)
        .text_mode(BigValueTextMode.VALUE_AND_NAME if legend else BigValueTextMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .with_target(query("A", expr, legend=legend))
    )
    if texts:
        panel.mappings([_mapping(texts)])
    return panel


def _mapping(texts: Mapping[str, ValueMappingResult]) -> ValueMapping:
    return ValueMap(options=dict(texts))


def lines(
    words: Words,
    place: Place,
    targets: Sequence[Dataquery],
    *,
    unit: str,
    least: float | None = 0,
    most: float | None = None,
    line_at: ThresholdsConfig | None = None,
) -> timeseries.Panel:
    """Return a panel with values over time.

    Args:
        words: Title and description.
        place: Where it stands.
        targets: What is shown.
        unit: Of the values.
        least: The smallest value there can be.
        most: The largest value there can be.
        line_at: Values at which a line is drawn.
    """
    panel = (
        timeseries.Panel()
        .title(words.title)
        .description(words.description)
        .datasource(SOURCE)
        .grid_pos(place.grid)
        .unit(unit)
        .thresholds(line_at or steps(PLAIN))
        .thresholds_style(GraphThresholdsStyleConfig().mode(_style(line_at)))
        .line_width(1)
        .fill_opacity(10)
        .show_points(VisibilityMode.AUTO)
        .legend(_legend(place))
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .targets(list(targets))
    )
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.max(most)
    return panel


def _style(line_at: ThresholdsConfig | None) -> GraphTresholdsStyleMode:
    return GraphTresholdsStyleMode.DASHED if line_at else GraphTresholdsStyleMode.OFF


def _legend(place: Place) -> VizLegendOptions:
    # Names and last values: lines are told apart by them, not by colour alone. Narrow panels need their width.
    legend = VizLegendOptions().show_legend(True).calcs(["lastNotNull"])
    legend.placement(LegendPlacement.RIGHT if place.width >= _WIDE else LegendPlacement.BOTTOM)
    return legend.display_mode(LegendDisplayMode.TABLE if place.width > _NARROW else LegendDisplayMode.LIST)


def states(
    words: Words, place: Place, target: Dataquery, texts: Mapping[str, ValueMappingResult]
) -> statetimeline.Panel:
    """Return a panel with the states of several things over time, in words."""
    return (
        statetimeline.Panel()
        .title(words.title)
        .description(words.description)
        .datasource(SOURCE)
        .grid_pos(place.grid)
        .unit("short")
        .mappings([_mapping(texts)])
        .thresholds(steps(PLAIN))
        .show_value(VisibilityMode.ALWAYS)
        .legend(_legend(place))
        .with_target(target)
    )


def buckets(words: Words, place: Place, expr: str, *, unit: str = "s") -> heatmap.Panel:
    """Return a heatmap of a histogram's buckets."""
    return (
        heatmap.Panel()
        .title(words.title)
        .description(words.description)
        .datasource(SOURCE)
        .grid_pos(place.grid)
        .calculate(False)
        .color(HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(YAxisConfig().unit(unit))
        .show_legend()
        .with_target(query("A", expr, legend="{{le}}", form=PromQueryFormat.HEATMAP))
    )


def rows(
    words: Words,
    place: Place,
    columns: Mapping[str, str],
    *,
    names: Mapping[str, str] | None = None,
    missing: str = "none",
    unit: str = "short",
) -> table.Panel:
    """Return a table with a row per label set and a column per expression.

    Args:
        words: Title and description.
        place: Where it stands.
        columns: Expression by the column's heading.
        names: Headings of labels.
        missing: What is shown when there are no rows.
        unit: Of the numbers that no override gives one.
    """
    queries = {chr(ord("A") + number): expr for number, expr in enumerate(columns.values())}
    headings = dict(names or {})
    for ref, heading in zip(queries, columns, strict=True):
        headings[f"Value #{ref}" if len(queries) > 1 else "Value"] = heading
    panel = (
        table.Panel()
        .title(words.title)
        .description(words.description)
        .datasource(SOURCE)
        .grid_pos(place.grid)
        .unit(unit)
        .no_value(missing)
        .show_header(True)
        .thresholds(steps(PLAIN))
        .targets([query(ref, expr, form=PromQueryFormat.TABLE) for ref, expr in queries.items()])
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
    )
    order = {name: position for position, name in enumerate(headings)}
    return panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": order,
                "renameByName": headings,
            },
        )
    )


def query(
    ref: str, expr: str, *, legend: str = "", form: PromQueryFormat | None = None, exemplars: bool = False
) -> Dataquery:
    """Return a query: over time, or of now where a table shows it."""
    target = Dataquery().ref_id(ref).expr(expr).datasource(SOURCE).legend_format(legend or "__auto")
    if form is PromQueryFormat.TABLE:
        target.instant()
    else:
        target.range()
    if exemplars:
        target.exemplar(True)
    return target.format(form or PromQueryFormat.TIME_SERIES)
