"""What all dashboards share: variables, annotations, links, time range. A dashboard adds only its panels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Panel,
    VariableRefresh,
    VariableSort,
)

from .promql import NAMESPACE

TAG: Final = "spinach"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")

# Exporters, workers or both report a namespace.
_SEEN: Final = '{__name__=~"spinach_redis_up|spinach_worker_slots"'
_JUST_STARTED_SECONDS: Final = 60


def new_dashboard(uid: str, title: str, description: str, panels: Iterable[Builder[Panel]]) -> Dashboard:
    """Return a dashboard with these panels and all that dashboards share."""
    board = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .link(_other_dashboards())
    )
    for variable in _variables():
        board.with_variable(variable)
    for annotation in _annotations():
        board.annotation(annotation)
    for panel in panels:
        board.with_panel(panel)
    return board


def firing(namespace_matcher: str) -> str:
    """Return a selector of this project's alerts that fire."""
    return f'ALERTS{{alertstate="firing",alertname=~"Spinach.*",{namespace_matcher}}}'


def all_firing() -> str:
    """Return the alerts that fire for the namespace or name none: the alert about the exporter names none."""
    here, anywhere = firing('spinach_namespace="$namespace"'), firing('spinach_namespace=""')
    return f"{here} or {anywhere}"


def active_seconds() -> str:
    """Return for how long each alert that fires has been active."""
    since = "(time() - ALERTS_FOR_STATE) and ignoring (alertstate)"
    return f"max by (alertname, severity, queue, task) ({since} ({all_firing()}))"


def _other_dashboards() -> DashboardLink:
    link = DashboardLink("Spinach dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).include_vars(True).keep_time(True).tooltip("Namespace and time stay")


def _variables() -> list[DatasourceVariable | QueryVariable]:
    source = DatasourceVariable("datasource").label("Data Source").type("prometheus")
    job = _several("job", "Job", f"label_values({_SEEN}}}, job)", "Scrape jobs of Prometheus").all_value(".+")
    namespace = _query(
        "namespace", "Namespace", f'label_values({_SEEN},job=~"$job"}}, spinach_namespace)', "Whose jobs"
    )
    queue = _several(
        "queue", "Queue",
        f'label_values({{__name__=~"spinach_queue_depth|spinach_jobs_started_total",{NAMESPACE}}}, queue)',
        "Queues that are shown",
    )  # fmt: skip
    counters = "spinach_fleet_jobs_total|spinach_jobs_started_total"
    task = _several(
        "task", "Task",
        f'label_values({{__name__=~"{counters}",{NAMESPACE}}}, task)',
        "Tasks that are shown",
    )  # fmt: skip
    return [source, job, namespace, queue, task]


def _query(name: str, label: str, query: str, description: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _several(name: str, label: str, query: str, description: str) -> QueryVariable:
    return _query(name, label, query, description).multi(True).include_all(True).all_value(".*")


def _annotations() -> list[AnnotationQuery]:
    started = f"time() - max by (instance) (spinach_worker_start_time_seconds{{{NAMESPACE}}})"
    restarts = f"({started}) < {_JUST_STARTED_SECONDS}"
    return [
        AnnotationQuery()
        .name("Worker starts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(restarts),
        AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color("red").expr(all_firing()),
    ]
