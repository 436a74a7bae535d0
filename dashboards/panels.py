"""The kinds of panels with their defaults, so that a dashboard states only what differs.

Never shows something by colour alone: a coloured value is also a number or a word. Functions take a title
(unique in the dashboard), a description (what the number means and what to do about it) and an area.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

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
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from .base import SOURCE
from .style import PLAIN, Area, thresholds

# Columns, of 53 pixels where the window is 1280 wide.
_WIDE: Final = 10
_NARROW: Final = 5


AnyPanel = TypeVar("AnyPanel", stat.Panel, timeseries.Panel, statetimeline.Panel, heatmap.Panel, table.Panel)


def _with_heading(panel: AnyPanel, title: str, description: str, area: Area) -> AnyPanel:
    return panel.title(title).description(description).datasource(SOURCE).grid_pos(area.grid_position)


def stat_panel(
    title: str,
    description: str,
    area: Area,
    expr: str,
    *,
    unit: str = "short",
    limits: ThresholdsConfig | None = None,
    texts: Mapping[str, ValueMappingResult] | None = None,
    missing: str = "no data",
    legend: str = "",
) -> stat.Panel:
    """Return a panel with the current value, and a line of earlier values behind it.

    Args:
        title: Unique in the dashboard.
        description: What the number means, and what to do about it.
        area: Where the panel is in the grid.
        expr: One series, or one per value of the label in `legend`.
        unit: Grafana's name for the unit of the value.
        limits: Values at which the colour changes.
        texts: The word to show for each value.
        missing: The text to show without data.
        legend: Name of each series, where there are several.
    """
    panel = (
        _with_heading(stat.Panel(), title, description, area)
        .unit(unit)
        .no_value(missing)
        .thresholds(limits or thresholds(PLAIN))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE if legend or texts else BigValueGraphMode.AREA)
        .text_mode(BigValueTextMode.VALUE_AND_NAME if legend else BigValueTextMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .with_target(query("A", expr, legend=legend))
    )
    if texts:
        panel.mappings([ValueMap(options=dict(texts))])
    return panel


def time_series_panel(
    title: str,
    description: str,
    area: Area,
    targets: Sequence[Dataquery],
    *,
    unit: str,
    minimum: float | None = 0,
    maximum: float | None = None,
    line_at: ThresholdsConfig | None = None,
) -> timeseries.Panel:
    """Return a panel with values over time; `line_at` draws dashed lines at values."""
    line_style = GraphTresholdsStyleMode.DASHED if line_at else GraphTresholdsStyleMode.OFF
    panel = (
        _with_heading(timeseries.Panel(), title, description, area)
        .unit(unit)
        .thresholds(line_at or thresholds(PLAIN))
        .thresholds_style(GraphThresholdsStyleConfig().mode(line_style))
        .line_width(1)
        .fill_opacity(10)
        .show_points(VisibilityMode.AUTO)
        .legend(_legend(area))
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .targets(list(targets))
    )
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    return panel


def _legend(area: Area) -> VizLegendOptions:
    # Names and last values tell lines apart without colours. A narrow panel needs its width for the lines.
    legend = VizLegendOptions().show_legend(True).calcs(["lastNotNull"])
    legend.placement(LegendPlacement.RIGHT if area.width >= _WIDE else LegendPlacement.BOTTOM)
    return legend.display_mode(LegendDisplayMode.TABLE if area.width > _NARROW else LegendDisplayMode.LIST)


def state_timeline_panel(
    title: str, description: str, area: Area, target: Dataquery, texts: Mapping[str, ValueMappingResult]
) -> statetimeline.Panel:
    """Return a panel with the state of each series over time, as a word."""
    return (
        _with_heading(statetimeline.Panel(), title, description, area)
        .unit("short")
        .mappings([ValueMap(options=dict(texts))])
        .thresholds(thresholds(PLAIN))
        .show_value(VisibilityMode.ALWAYS)
        .legend(_legend(area))
        .with_target(target)
    )


def heatmap_panel(title: str, description: str, area: Area, expr: str, *, unit: str = "s") -> heatmap.Panel:
    """Return a heatmap of a histogram's buckets."""
    return (
        _with_heading(heatmap.Panel(), title, description, area)
        .calculate(False)
        .color(HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(YAxisConfig().unit(unit))
        .show_legend()
        .with_target(query("A", expr, legend="{{le}}", form=PromQueryFormat.HEATMAP))
    )


def table_panel(
    title: str,
    description: str,
    area: Area,
    columns: Mapping[str, str],
    *,
    names: Mapping[str, str] | None = None,
    missing: str = "none",
    unit: str = "short",
) -> table.Panel:
    """Return a table with a row per label set and a column per expression; `names` heads labels."""
    queries = {chr(ord("A") + number): expr for number, expr in enumerate(columns.values())}
    headings = dict(names or {})
    for ref, heading in zip(queries, columns, strict=True):
        headings[f"Value #{ref}" if len(queries) > 1 else "Value"] = heading
    panel = (
        _with_heading(table.Panel(), title, description, area)
        .unit(unit)
        .no_value(missing)
        .show_header(True)
        .thresholds(thresholds(PLAIN))
        .targets([query(ref, expr, form=PromQueryFormat.TABLE) for ref, expr in queries.items()])
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
    )
    order = {name: position for position, name in enumerate(headings)}
    return panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": headings},
        )
    )


def query(
    ref: str, expr: str, *, legend: str = "", form: PromQueryFormat | None = None, exemplars: bool = False
) -> Dataquery:
    """Return a query: over time, or of the current moment for a table."""
    target = Dataquery().ref_id(ref).expr(expr).datasource(SOURCE).legend_format(legend or "__auto")
    if form is PromQueryFormat.TABLE:
        target.instant()
    else:
        target.range()
    if exemplars:
        target.exemplar(True)
    return target.format(form or PromQueryFormat.TIME_SERIES)
