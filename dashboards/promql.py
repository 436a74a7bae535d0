"""The PromQL that dashboards share: selectors, rates that count once, fallbacks. Pure text.

Metrics that processes count are summed. Every exporter reads the same from Redis, so the maximum is taken.
"""

from __future__ import annotations

from typing import Final

# The namespace has one value, so `=` matches it. A variable with several values is a regular expression.
NAMESPACE: Final = 'job=~"$job",spinach_namespace="$namespace"'
QUEUE: Final = f'{NAMESPACE},queue=~"$queue"'
TASK: Final = f'{NAMESPACE},task=~"$task"'
QUEUE_AND_TASK: Final = f'{QUEUE},task=~"$task"'

INTERVAL: Final = "[$__rate_interval]"
# Growth over a shorter time is noise: the depth of a queue varies from second to second.
GROWTH_WINDOW: Final = "[10m]"


def namespace_gauge(metric: str, *, by: str = "") -> str:
    """Return a gauge read from the namespace, from any exporter."""
    return f"max{_by(by)}({metric}{{{NAMESPACE}}})"


def fleet_rate(selector: str, *, by: str = "queue, task, outcome") -> str:
    """Return the rate of a counter that Redis keeps; several exporters do not add up."""
    return f"max by ({by}) (rate({selector}{INTERVAL}))"


def worker_rate(selector: str) -> str:
    """Return the rate of a counter that worker processes keep."""
    return f"rate({selector}{INTERVAL})"


def first_known(preferred: str, otherwise: str) -> str:
    """Return `preferred`, or `otherwise` where `preferred` has no series at all; never a mixture."""
    return f"{preferred} or ({otherwise} unless on () ({preferred}))"


def zero_if_reported(trouble: str, label: str, watched: str) -> str:
    """Return the rate of a rare event, or a zero named `none` while the processes that would count it report.

    Args:
        trouble: The rate, by `label`.
        label: The label that tells its series apart.
        watched: A metric that those processes always report.
    """
    nothing = f'label_replace(0 * max({watched}{{{NAMESPACE}}}), "{label}", "none", "", "")'
    return first_known(trouble, nothing)


def outcome_rate(outcomes: str, *, by: str = "") -> str:
    """Return jobs per second with one of the outcomes (a regular expression), of queues and tasks chosen."""
    fleet = fleet_rate(f'spinach_fleet_jobs_total{{{QUEUE_AND_TASK},outcome=~"{outcomes}"}}')
    workers = worker_rate(f'spinach_jobs_finished_total{{{QUEUE_AND_TASK},outcome=~"{outcomes}"}}')
    return first_known(f"sum{_by(by)}({fleet})", f"sum{_by(by)}({workers})")


def started_rate(*, by: str) -> str:
    """Return jobs per second that were started, of queues and tasks chosen."""
    fleet = fleet_rate(f'spinach_fleet_jobs_total{{{QUEUE_AND_TASK},outcome="started"}}')
    workers = worker_rate(f"spinach_jobs_started_total{{{QUEUE_AND_TASK}}}")
    return first_known(f"sum{_by(by)}({fleet})", f"sum{_by(by)}({workers})")


def wait_buckets() -> str:
    """Return jobs per second by wait: counted in Redis, else by workers, whose buckets differ."""
    fleet = fleet_rate(f"spinach_fleet_queue_wait_seconds_bucket{{{QUEUE}}}", by="queue, le")
    workers = worker_rate(f"spinach_job_queue_wait_seconds_bucket{{{QUEUE}}}")
    return first_known(f"sum by (le) ({fleet})", f"sum by (le) ({workers})")


def duration_buckets() -> str:
    """Return jobs per second by run time; only workers count it by task."""
    return f"sum by (le) ({worker_rate(f'spinach_job_duration_seconds_bucket{{{QUEUE_AND_TASK}}}')})"


def quantile(share: float, buckets: str) -> str:
    """Return the value below which this share of all observations lies."""
    return f"histogram_quantile({share:g}, {buckets})"


def queue_growth() -> str:
    """Return by how many jobs per second each queue grows; negative while it drains."""
    depth = f"spinach_queue_depth{{{QUEUE}}}"
    # `and`: an exporter that is gone has samples in the window for minutes; they are out of date.
    return f"max by (queue) (deriv({depth}{GROWTH_WINDOW}) and {depth})"


def queue_drain_seconds() -> str:
    """Return the seconds until each queue is empty; no series for a queue that does not drain."""
    return f"max by (queue) (spinach_queue_depth{{{QUEUE}}}) / (-{queue_growth()} > 0)"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""
