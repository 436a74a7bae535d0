"""Every metric: name, kind, labels, help. The only list: tests hold code, docs, dashboards and rules to it.

Two families that never share a name: *process*, counted by one worker or client from its signals (add up over
processes), and *namespace*, read from the broker once per scrape (take the maximum, because every reader
sees the same). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from spinach.stats import HISTOGRAM_EDGES

Kind = Literal["counter", "gauge", "histogram", "info"]
Family = Literal["process", "namespace"]

# Service discovery owns `namespace` and `job`: Prometheus would rename such labels to `exported_...`.
NAMESPACE_LABEL: Final = "spinach_namespace"
OTHER: Final = "other"

DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
)  # fmt: skip
WAIT_BUCKETS: Final = (
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
)  # fmt: skip
REQUEST_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name as exposed, `_total` of counters included.
        kind: Its type.
        labels: Its labels, in order.
        help: One line for people.
        family: Where it comes from.
        upstream: Whether it is also exact if only workers of the published package run.
        buckets: Upper edges in seconds, for histograms.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    family: Family = "process"
    upstream: bool = False
    buckets: tuple[float, ...] = ()

    @property
    def base_name(self) -> str:
        """The name without the suffix that its kind adds."""
        return self.name.removesuffix("_total").removesuffix("_info")


def _process(name: str, kind: Kind, labels: str, text: str, buckets: tuple[float, ...] = ()) -> Metric:
    return Metric(name, kind, (NAMESPACE_LABEL, *labels.split()), text, "process", False, buckets)


def _namespace(name: str, kind: Kind, labels: str, upstream: bool, text: str) -> Metric:
    edges = HISTOGRAM_EDGES if kind == "histogram" else ()
    return Metric(name, kind, (NAMESPACE_LABEL, *labels.split()), text, "namespace", upstream, edges)


# fmt: off
# --- counted by a process ----------------------------------------------------------------------------

SUBMITTED = _process("spinach_jobs_submitted_total", "counter", "queue task status",
    "Jobs accepted by the broker for the first time: queued, or waiting for their date.")
PROMOTED = _process("spinach_jobs_promoted_total", "counter", "queue task",
    "Waiting jobs that this process moved to their queue when they were due.")
STARTED = _process("spinach_jobs_started_total", "counter", "queue task", "Attempts started.")
FINISHED = _process("spinach_jobs_finished_total", "counter", "queue task outcome",
    "Attempts ended: succeeded, retried or failed (for good).")
ERRORS = _process("spinach_job_errors_total", "counter", "task error_type outcome",
    "Attempts that raised, by class of the error.")
RECOVERED = _process("spinach_jobs_recovered_total", "counter", "queue task outcome",
    "Jobs taken from dead workers: requeued, or failed because they must not run twice.")
DURATION = _process("spinach_job_duration_seconds", "histogram", "queue task",
    "Time in the task's function.", DURATION_BUCKETS)
QUEUE_WAIT = _process("spinach_job_queue_wait_seconds", "histogram", "queue",
    "Start of an attempt minus the moment it could have started; a deliberate delay does not count.",
    WAIT_BUCKETS)
WORKER_SLOTS = _process("spinach_worker_slots", "gauge", "", "Jobs this process runs at once.")
WORKER_SLOTS_BUSY = _process("spinach_worker_slots_busy", "gauge", "", "Jobs this process runs now.")
WORKER_STATE = _process("spinach_worker_state", "gauge", "state",
    "1 for the state this process is in: starting, running, quiet or stopping.")
WORKER_START_TIME = _process("spinach_worker_start_time_seconds", "gauge", "",
    "When the workers of this process started, epoch seconds.")
WORKER_HEARTBEAT = _process("spinach_worker_heartbeat_timestamp_seconds", "gauge", "",
    "Last heartbeat that the broker took, epoch seconds.")
SERVICE_LAST_RUN = _process("spinach_worker_service_last_run_timestamp_seconds", "gauge", "service",
    "When a background service last began or ended a tick, epoch seconds.")
SERVICE_FAILURES = _process("spinach_worker_service_failures_total", "counter", "service",
    "Failed ticks of a background service, which are repeated; outages of the broker included.")
UNACKNOWLEDGED = _process("spinach_worker_unacknowledged_results", "gauge", "",
    "Results that the broker has not acknowledged.")
REQUEST_DURATION = _process("spinach_broker_request_duration_seconds", "histogram", "operation",
    "Round trips to the broker.", REQUEST_BUCKETS)
BROKER_ERRORS = _process("spinach_broker_errors_total", "counter", "operation error_type",
    "Round trips to the broker that failed.")
RECEIVER_ERRORS = _process("spinach_telemetry_receiver_errors_total", "counter", "signal",
    "Receivers of signals that raised, those of the application included.")
OVERFLOW = Metric("spinach_telemetry_overflow_total", "counter", ("reason",),
    "Different label values that count as 'other' because there are too many, by label.")
BUILD_INFO = Metric("spinach_build_info", "info", ("version", "python", "redis_client"),
    "Versions in use; the value is 1.")

# --- read from the broker ----------------------------------------------------------------------------

QUEUE_DEPTH = _namespace("spinach_queue_depth", "gauge", "queue", True, "Jobs in the queue.")
QUEUE_OLDEST = _namespace("spinach_queue_oldest_job_age_seconds", "gauge", "queue", True,
    "How long the first job of the queue could have been running already; 0 if empty.")
QUEUE_PAUSED = _namespace("spinach_queue_paused", "gauge", "queue", False, "1 while the queue is paused.")
QUEUE_REACHABLE_SLOTS = _namespace("spinach_queue_reachable_slots", "gauge", "queue", False,
    "Slots of live workers that serve the queue; never add up over queues.")
QUEUE_WORKERS = _namespace("spinach_queue_workers", "gauge", "queue", False,
    "Live workers that serve the queue.")
SLOTS = _namespace("spinach_slots", "gauge", "", False, "Slots of all live workers.")
SLOTS_BUSY = _namespace("spinach_slots_busy", "gauge", "", False, "Slots of live workers that run a job.")
SCHEDULED = _namespace("spinach_scheduled_jobs", "gauge", "", True,
    "Jobs that wait for their date, retries included.")
OVERDUE = _namespace("spinach_scheduled_overdue_jobs", "gauge", "", True,
    "Waiting jobs more than 2 seconds past their date.")
OVERDUE_AGE = _namespace("spinach_scheduled_overdue_age_seconds", "gauge", "", True,
    "How far the first overdue job is past its date; 0 if no job is overdue.")
RUNNING = _namespace("spinach_running_jobs", "gauge", "", True,
    "Jobs that a worker has claimed and that have not ended.")
RUNNING_OLDEST = _namespace("spinach_running_oldest_age_seconds", "gauge", "queue", False,
    "How long the job that has run for longest runs, as of the last heartbeats; 0 if none does.")
ORPHANED = _namespace("spinach_orphaned_jobs", "gauge", "", True,
    "Running jobs whose worker is dead or not registered.")
WORKERS = _namespace("spinach_workers", "gauge", "state", True,
    "Registered workers by state: live, silent, dead, quiet, stopping, blocked.")
CONNECTED = _namespace("spinach_workers_connected", "gauge", "", True,
    "Worker processes that listen to the namespace: exact within a second of a crash.")
HEARTBEAT_AGE_MAX = _namespace("spinach_workers_heartbeat_age_max_seconds", "gauge", "", True,
    "Longest time since the last heartbeat of a registered worker.")
BY_VERSION = _namespace("spinach_workers_by_version", "gauge", "version", True,
    "Registered workers by version; 'upstream' is the published package.")
HEARTBEAT_AGE = _namespace("spinach_worker_heartbeat_age_seconds", "gauge", "worker", True,
    "Time since a worker's last heartbeat; only with --per-worker.")
WORKERS_LOST = _namespace("spinach_workers_lost_total", "counter", "reason", False,
    "Workers that were declared dead.")
COUNTERS_EXACT = _namespace("spinach_fleet_counters_exact", "gauge", "", True,
    "1 while every registered worker counts, so that the counters of the fleet are complete.")
DEAD_LETTERS = _namespace("spinach_dead_letters", "gauge", "", False, "Dead letters that are kept.")
DEAD_LETTERS_TRIMMED = _namespace("spinach_dead_letters_trimmed_total", "counter", "", False,
    "Dead letters that were dropped for newer ones.")
FLEET_JOBS = _namespace("spinach_fleet_jobs_total", "counter", "queue task outcome", False,
    "Jobs by outcome, counted in the broker: no count is lost with a process.")
FLEET_WAIT = _namespace("spinach_fleet_queue_wait_seconds", "histogram", "queue", False,
    "Time in the queue, counted in the broker.")
FLEET_DURATION = _namespace("spinach_fleet_job_duration_seconds", "histogram", "queue", False,
    "Time in the task's function, counted in the broker.")
PERIODIC_PERIOD = _namespace("spinach_periodic_period_seconds", "gauge", "task", True,
    "Period of a periodic task.")
PERIODIC_NEXT = _namespace("spinach_periodic_next_run_timestamp_seconds", "gauge", "task", True,
    "Next run of a periodic task, epoch seconds by the broker's clock.")
PERIODIC_LATE = _namespace("spinach_periodic_late_seconds", "gauge", "task", True,
    "How late the next run of a periodic task is; 0 if it is not due.")
LIMIT = _namespace("spinach_concurrency_limit", "gauge", "task", True,
    "Jobs of a limited task that may run at once.")
LIMIT_USED = _namespace("spinach_concurrency_used", "gauge", "task", True,
    "Slots of a limited task that are taken.")
REDIS_UP = _namespace("spinach_redis_up", "gauge", "", True, "1 if this scrape read the namespace.")
REDIS_SKEW = _namespace("spinach_redis_clock_skew_seconds", "gauge", "", True,
    "Clock of the reader minus the clock of the server.")
REDIS_MEMORY = _namespace("spinach_redis_memory_used_bytes", "gauge", "", True, "Memory the server uses.")
REDIS_MEMORY_MAX = _namespace("spinach_redis_memory_max_bytes", "gauge", "", True,
    "The server's memory limit; 0 if it has none.")
REDIS_EVICTING = _namespace("spinach_redis_evicting", "gauge", "", True,
    "1 if the server may delete keys when its memory is full.")
SNAPSHOT_DURATION = _namespace("spinach_snapshot_duration_seconds", "gauge", "", True,
    "How long reading the namespace took.")
SNAPSHOT_ROUND_TRIPS = _namespace("spinach_snapshot_round_trips", "gauge", "", True,
    "Round trips that reading the namespace took.")
SNAPSHOT_COMMANDS = _namespace("spinach_snapshot_commands", "gauge", "", True,
    "Commands the server ran to read the namespace.")
SNAPSHOT_TIMESTAMP = _namespace("spinach_snapshot_timestamp_seconds", "gauge", "", True,
    "The server's time at which the namespace was read, epoch seconds.")
SNAPSHOT_ERRORS = _namespace("spinach_snapshot_errors_total", "counter", "reason", True,
    "Reads that failed, by reason.")
SNAPSHOT_TRUNCATED = _namespace("spinach_snapshot_truncated", "gauge", "reason", True,
    "1 if there are more queues, workers or tasks than are read.")

# fmt: on

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
BY_NAME: Final = {metric.name: metric for metric in METRICS}

SNAPSHOT_REASONS: Final = ("timeout", "auth", "permission", "connection", "wrongtype", "malformed", "refused")
TRUNCATED_REASONS: Final = ("queues", "workers", "tasks")
LOST_REASONS: Final = ("silent", "revoked")


def as_markdown() -> str:
    """Return the list as two tables, for the documentation."""
    parts = []
    for family, heading in (("process", "## Counted by a process"), ("namespace", "## Read from the broker")):
        chosen = [metric for metric in METRICS if metric.family == family]
        also = " on old workers too |" if family == "namespace" else ""
        parts.append(
            f"{heading}\n\n| name | kind | labels |{also} what |\n|---|---|---|{'---|' if also else ''}---|"
        )
        parts[-1] += "".join(f"\n{_row(metric)}" for metric in chosen)
    return "\n\n".join(parts) + "\n"


def _row(metric: Metric) -> str:
    also = (" yes |" if metric.upstream else " |") if metric.family == "namespace" else ""
    edges = f" Buckets: {' '.join(f'{edge:g}' for edge in metric.buckets)}." if metric.buckets else ""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} |{also} {metric.help}{edges} |"
