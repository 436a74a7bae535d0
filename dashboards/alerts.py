"""The alerts of Prometheus: each says what is wrong with a namespace. Pure text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from . import recording
from .objectives import Objective, Objectives
from .prometheus_rules import (
    COUNTERS_EXACT,
    COUNTERS_INCOMPLETE,
    NAMESPACE,
    NAMESPACE_AND_QUEUE,
    NAMESPACE_AND_TASK,
    Group,
    Rule,
    gauge,
    increase,
    increase_from_zero,
)

RUNBOOKS: Final = "docs/runbooks.md"
# With fewer jobs a ratio over days says nothing.
_FEWEST_JOBS: Final = 20
# For a shell: 'it'\\''s'.
_IN_SINGLE_QUOTES: Final = """reReplaceAll "'" "'\\\\''\""""
# A link and a command for the namespace. Its name may hold any character: quote it for a URL and for a shell.
_LINKS: Final = {
    "dashboard": f"/d/spinach-overview?var-namespace={{{{ $labels.{NAMESPACE} | urlquery }}}}",
    "command": f"spinach-top -n '{{{{ {_IN_SINGLE_QUOTES} $labels.{NAMESPACE} }}}}'",
}
# For a rule that knows the namespace only in some of its cases: empty in the others.
_LINKS_IF_NAMESPACE_KNOWN: Final = {
    name: f"{{{{ if $labels.{NAMESPACE} }}}}{text}{{{{ end }}}}" for name, text in _LINKS.items()
}
_DEPTH: Final = gauge("spinach_queue_depth", NAMESPACE_AND_QUEUE)
_OLDEST: Final = gauge("spinach_queue_oldest_job_age_seconds", NAMESPACE_AND_QUEUE)
_CONNECTED: Final = gauge("spinach_workers_connected")
_JOBS: Final = "spinach_fleet_jobs_total"
_RUNS_SINCE: Final = gauge("spinach_running_oldest_age_seconds", NAMESPACE_AND_QUEUE)
_USUAL_RUN: Final = (
    f"(histogram_quantile(0.99, sum by ({NAMESPACE_AND_QUEUE}, le) (max by ({NAMESPACE_AND_QUEUE}, le) "
    "(rate(spinach_fleet_job_duration_seconds_bucket[1d])))) >= 0)"
)
_PER_TASK: Final = f"{NAMESPACE_AND_QUEUE}, task"


def alerts(objectives: Objectives) -> Iterator[Group]:
    """Yield the groups of alerts."""
    yield Group("spinach-objectives", tuple(_of_objectives(objectives)))
    yield Group("spinach-queues-alerts", tuple(_of_queues()))
    yield Group("spinach-workers", tuple(_of_workers()))
    yield Group("spinach-jobs", tuple(_of_jobs()))
    yield Group("spinach-redis", tuple(_of_redis()))
    yield Group("spinach-notes", tuple(_for_information()))


def _alert(
    name: str,
    severity: str,
    expr: str,
    summary: str,
    description: str,
    *,
    pending_for: str = "",
    keep_firing_for: str = "",
    links: Mapping[str, str] = _LINKS,
) -> Rule:
    annotations = {
        "summary": summary,
        "description": description,
        "runbook_url": f"{RUNBOOKS}#{name.lower()}",
        **links,
    }
    return Rule(name, expr, severity, pending_for, keep_firing_for, annotations)


def _of_objectives(objectives: Objectives) -> Iterator[Rule]:
    for queue, objective in recording.queue_matchers(objectives):
        yield from _latency_burn(queue, objective)
        yield from _failure_burn(queue, objective)


def _latency_burn(queue: str, objective: Objective) -> Iterator[Rule]:
    name, ratio, budget = "SpinachQueueLatencyBurn", "spinach:wait_slow_ratio", 1 - objective.start_ratio
    promise = f"{objective.start_ratio:.2%} of jobs start within {objective.start_within_seconds:g} s"
    summary = "Jobs of {{ $labels.queue }} start too late"
    description = f"{{{{ $value | humanizePercentage }}}} started late; the objective is that {promise}."
    yield _alert(name, "page", _fast_burn(ratio, queue, budget), summary, description)
    slow = _slow_burn(ratio, queue, budget, recording.started)
    yield _alert(name, "ticket", slow, summary, description)


def _failure_burn(queue: str, objective: Objective) -> Iterator[Rule]:
    name, ratio, budget = "SpinachFailureBurn", "spinach:failure_ratio", 1 - objective.success_ratio
    summary = "Jobs of {{ $labels.queue }} fail"
    description = (
        f"{{{{ $value | humanizePercentage }}}} failed for good; the objective is that "
        f"{objective.success_ratio:.2%} succeed."
    )
    yield _alert(name, "page", _fast_burn(ratio, queue, budget), summary, description)
    slow = _slow_burn(ratio, queue, budget, recording.ended)
    yield _alert(name, "ticket", slow, summary, description)


def _fast_burn(ratio: str, queue: str, budget: float) -> str:
    pairs = ((14.4, "1h", "5m"), (6.0, "6h", "30m"))
    return "\nor\n".join(_burning(ratio, queue, budget, *pair) for pair in pairs)


def _slow_burn(ratio: str, queue: str, budget: float, count: Callable[[str, str], str]) -> str:
    pairs = ((3.0, "1d", "2h"), (1.0, "3d", "6h"))
    return "\nor\n".join(
        f"({_burning(ratio, queue, budget, *pair)} and {count(pair[1], queue)} >= {_FEWEST_JOBS})"
        for pair in pairs
    )


def _burning(ratio: str, queue: str, budget: float, rate: float, window: str, recent: str) -> str:
    of = f"{{{queue}}}" if queue else ""
    limit = f"{rate * budget:.6g}"
    return f"({ratio}:{window}{of} > {limit} and {ratio}:{recent}{of} > {limit})"


def _of_queues() -> Iterator[Rule]:
    none_started = f"{COUNTERS_EXACT} unless {recording.started('5m')} > 0"
    # Workers of 0.0.25 count nothing. There the first job is the same, or one that came seconds later.
    same_head = (
        f"({_OLDEST} - "
        f"{gauge('spinach_queue_oldest_job_age_seconds offset 5m', NAMESPACE_AND_QUEUE)} > 285) "
        f"and {COUNTERS_INCOMPLETE}"
    )
    waiting = f"({_OLDEST} > 300 and {_DEPTH} > 0)"
    yield _alert(
        "SpinachQueueStuck", "page",
        f"(\n  ({waiting} and {none_started})\n  or\n  ({waiting} and {same_head})\n)\n"
        f"unless {gauge('spinach_queue_paused', NAMESPACE_AND_QUEUE)} == 1",
        "Nothing takes jobs from {{ $labels.queue }}",
        "The first job has been ready for {{ $value | humanizeDuration }}, and none started in 5 minutes.",
        pending_for="2m",
    )  # fmt: skip
    yield _alert(
        "SpinachQueueWithoutConsumer", "page",
        f"{gauge('spinach_queue_workers', NAMESPACE_AND_QUEUE)} == 0\nand {_DEPTH} > 0",
        "No worker serves {{ $labels.queue }}, and jobs wait in it",
        "Live workers serve other queues, or there are none.",
        pending_for="1m",
    )  # fmt: skip
    predicted = (
        f"max by ({NAMESPACE_AND_QUEUE}) (predict_linear(spinach_queue_depth[10m], 3600) and "
        "spinach_queue_depth)"
    )
    yield _alert(
        "SpinachQueueGrowing", "ticket",
        f"{predicted} > 4 * {_DEPTH}\nand {recording.GROWTH} > 0\nand {_OLDEST} > 60",
        "{{ $labels.queue }} grows faster than workers start its jobs",
        "At this pace {{ printf \"%.0f\" $value }} jobs wait in an hour, more than four times as many as "
        "now.",
        pending_for="15m",
    )  # fmt: skip


def _of_workers() -> Iterator[Rule]:
    queued = f"sum by ({NAMESPACE}) ({_DEPTH}) > 0"
    yield _alert(
        "SpinachNoWorkers", "page",
        f"{_CONNECTED} == 0\nand ({queued} or {gauge('spinach_scheduled_overdue_jobs')} > 0)",
        "No worker is there, and jobs wait",
        "No process listens to the namespace {{ $labels.spinach_namespace }}.",
        pending_for="2m",
    )  # fmt: skip
    lost = increase("spinach_workers_lost_total", "10m", NAMESPACE, f"{NAMESPACE}, reason")
    yield _alert(
        "SpinachWorkerDead", "ticket", f"{lost} > 0\nor {gauge('spinach_orphaned_jobs')} > 0",
        "A worker died",
        "{{ printf \"%.0f\" $value }} workers were declared dead in 10 minutes, or jobs of a dead worker "
        "wait to be recovered.",
        pending_for="1m",
    )  # fmt: skip
    yield _alert(
        "SpinachHeartbeatStale", "ticket",
        f"{gauge('spinach_workers_heartbeat_age_max_seconds')} > 75\n"
        f"and {_CONNECTED} < sum by ({NAMESPACE}) ({gauge('spinach_workers', f'{NAMESPACE}, state')})",
        "A worker is silent",
        "The oldest heartbeat is {{ $value | humanizeDuration }} old, and fewer processes listen than are "
        "registered.",
        pending_for="2m",
    )  # fmt: skip


def _of_jobs() -> Iterator[Rule]:
    yield _alert(
        "SpinachScheduledOverdue", "page",
        f"{gauge('spinach_scheduled_overdue_age_seconds')} > 60\nand {_CONNECTED} > 0",
        "Scheduled jobs are not released",
        "The first is {{ $value | humanizeDuration }} past its date, although workers are there.",
        pending_for="2m",
    )  # fmt: skip
    yield _alert(
        "SpinachJobRunsLong", "ticket",
        f"{_RUNS_SINCE} > 60\n"
        f"and ({_RUNS_SINCE} > 3 * {_USUAL_RUN} or ({_RUNS_SINCE} > 300 unless {_USUAL_RUN}))",
        "A job of {{ $labels.queue }} runs long",
        "It has run for {{ $value | humanizeDuration }}, more than three times as long as 99 % of the "
        "attempts of its queue in the last day.",
        pending_for="1m",
    )  # fmt: skip
    late = gauge("spinach_periodic_late_seconds", NAMESPACE_AND_TASK)
    yield _alert(
        "SpinachPeriodicLate", "ticket",
        f"{late} > 60\nand {late} > {gauge('spinach_periodic_period_seconds', NAMESPACE_AND_TASK)} / 2",
        "The periodic task {{ $labels.task }} is late",
        "It should have run {{ $value | humanizeDuration }} ago.",
        pending_for="2m",
    )  # fmt: skip
    failed = increase_from_zero(f'{_JOBS}{{outcome="failed"}}', "15m", NAMESPACE, _PER_TASK)
    yield _alert(
        "SpinachDeadLettersGrowing", "ticket", f"{failed} > 0",
        "Jobs fail for good",
        "{{ printf \"%.0f\" $value }} jobs failed for good in 15 minutes.",
        keep_firing_for="30m",
    )  # fmt: skip
    used = (
        f"{gauge('spinach_concurrency_used', NAMESPACE_AND_TASK)} / "
        f"{gauge('spinach_concurrency_limit', NAMESPACE_AND_TASK)}"
    )
    enqueued = f'max by ({_PER_TASK}) ({_JOBS}{{outcome="enqueued"}})'
    yield _alert(
        "SpinachConcurrencySaturated", "ticket",
        f"(0 * {enqueued} + on ({NAMESPACE_AND_TASK}) group_left () ({used})) >= 1\nand on "
        f"({NAMESPACE_AND_QUEUE}) ({_OLDEST} > 60)",
        "The limit of {{ $labels.task }} delays jobs",
        "{{ $value | humanizePercentage }} of its slots are taken, and jobs of its queue "
        "{{ $labels.queue }} wait.",
        pending_for="10m",
    )  # fmt: skip


def _of_redis() -> Iterator[Rule]:
    yield _alert(
        "SpinachRedisDown", "page", f"{gauge('spinach_redis_up')} == 0",
        "Redis cannot be read",
        "No exporter can read the namespace {{ $labels.spinach_namespace }}.",
        pending_for="1m",
    )  # fmt: skip
    yield _alert(
        "SpinachExporterDown", "page",
        'max by (job) (up{job=~".*spinach-exporter.*"}) == 0\nor absent(spinach_redis_up)',
        "Nothing reads the namespaces",
        "No exporter is scraped: every other alert of Spinach is blind.",
        pending_for="3m", links={},
    )  # fmt: skip
    memory = f"{gauge('spinach_redis_memory_used_bytes')} / ({gauge('spinach_redis_memory_max_bytes')} > 0)"
    yield _alert(
        "SpinachRedisFull", "page",
        f"{memory} > 0.995\nunless {gauge('spinach_redis_evicting')} == 1",
        "No job can be scheduled: the server's memory is full",
        "{{ $value | humanizePercentage }} of maxmemory is used. Workers go on, clients get errors.",
        pending_for="1m",
    )  # fmt: skip
    yield _alert(
        "SpinachRedisEvicting", "ticket", f"{gauge('spinach_redis_evicting')} == 1\nor {memory} > 0.9",
        "Redis may drop or refuse jobs",
        "Its policy lets it delete keys, or less than a tenth of its memory is left.",
        pending_for="10m",
    )  # fmt: skip


def _for_information() -> Iterator[Rule]:
    yield _alert(
        "SpinachQueuePausedLong", "info", f"{gauge('spinach_queue_paused', NAMESPACE_AND_QUEUE)} == 1",
        "{{ $labels.queue }} is paused", "It has been paused for an hour. Resume it if the pause is no "
                                         "longer wanted.",
        pending_for="1h",
    )  # fmt: skip
    versions = gauge("spinach_workers_by_version", f"{NAMESPACE}, version")
    yield _alert(
        "SpinachMixedVersions", "info", f"count by ({NAMESPACE}) ({versions} > 0) > 1",
        "Workers run different versions", "{{ $value }} versions for a day: a rollout did not end.",
        pending_for="24h",
    )  # fmt: skip
    folded = "sum by (reason) (increase(spinach_telemetry_overflow_total[15m])) > 0"
    raised = f"sum by ({NAMESPACE}, signal) (increase(spinach_telemetry_receiver_errors_total[15m])) > 0"
    yield _alert(
        "SpinachTelemetryDegraded", "info",
        f"{folded}\nor {raised}\nor {gauge('spinach_snapshot_truncated', f'{NAMESPACE}, reason')} > 0",
        "Metrics say less than they should",
        "Labels count as other, a receiver raised, or not all is read: "
        "{{ $labels.reason }}{{ $labels.signal }}.",
        pending_for="15m", links=_LINKS_IF_NAMESPACE_KNOWN,
    )  # fmt: skip
