"""Parts of PromQL that every dashboard is made of: selectors, rates that count once, fallbacks. Pure text.

Two families of metrics never share a name: what a worker counts is summed over its processes, what an exporter reads
from Redis is the same number from every exporter, so the largest is taken.
"""

from __future__ import annotations

from typing import Final

# The namespace has one value: `=` takes it as it is. Variables with several values are regular expressions.
NAMESPACE: Final = 'job=~"$job",spinach_namespace="$namespace"'
QUEUE: Final = f'{NAMESPACE},queue=~"$queue"'
TASK: Final = f'{NAMESPACE},task=~"$task"'
BOTH: Final = f'{QUEUE},task=~"$task"'

INTERVAL: Final = "[$__rate_interval]"
# Growth over less is noise: queues breathe.
GROWTH_WINDOW: Final = "[10m]"


def of_namespace(metric: str, *, by: str = "") -> str:
    """Return the gauge of the namespace, whichever exporter it comes from."""
    return f"max{_by(by)}({metric}{{{NAMESPACE}}})"


def fleet_rate(selector: str, *, by: str = "queue, task, outcome") -> str:
    """Return the rate of a counter that Redis keeps; several exporters do not add up."""
    return f"max by ({by}) (rate({selector}{INTERVAL}))"


def worker_rate(selector: str) -> str:
    """Return the rate of a counter that worker processes keep."""
    return f"rate({selector}{INTERVAL})"


def first_known(preferred: str, otherwise: str) -> str:
    """Return `preferred`; `otherwise` only where nothing at all is known of it, never a mixture."""
    return f"{preferred} or ({otherwise} unless on () ({preferred}))"


def none_known(trouble: str, label: str, watched: str) -> str:
    """Return the rate of what seldom happens; a zero named `none` where that is known, because those who would count it are there.

    Args:
        trouble: The rate, by `label`.
        label: What tells its series apart.
        watched: A metric that is there as long as anybody counts.
    """
    nothing = f'label_replace(0 * max({watched}{{{NAMESPACE}}}), "{label}", "none", "", "")'
    return first_known(trouble, nothing)


def outcome_rate(outcomes: str, *, by: str = "") -> str:
    """Return jobs per second with one of the outcomes (a regular expression), of queues and tasks chosen."""
    fleet = fleet_rate(f'spinach_fleet_jobs_total{{{BOTH},outcome=~"{outcomes}"}}')
    workers = worker_rate(f'spinach_jobs_finished_total{{{BOTH},outcome=~"{outcomes}"}}')
    return first_known(f"sum{_by(by)}({fleet})", f"sum{_by(by)}({workers})")


def started_rate(*, by: str) -> str:
    """Return jobs per second that were started, of queues and tasks chosen."""
    fleet = fleet_rate(f'spinach_fleet_jobs_total{{{BOTH},outcome="started"}}')
    workers = worker_rate(f"spinach_jobs_started_total{{{BOTH}}}")
    return first_known(f"sum{_by(by)}({fleet})", f"sum{_by(by)}({workers})")


def wait_buckets() -> str:
    """Return jobs per second by how long they waited: as counted in Redis, else by workers, whose buckets differ."""
    fleet = fleet_rate(f"spinach_fleet_queue_wait_seconds_bucket{{{QUEUE}}}", by="queue, le")
    workers = worker_rate(f"spinach_job_queue_wait_seconds_bucket{{{QUEUE}}}")
    return first_known(f"sum by (le) ({fleet})", f"sum by (le) ({workers})")


def duration_buckets() -> str:
    """Return jobs per second by how long they ran; only workers know that by task."""
    return f"sum by (le) ({worker_rate(f'spinach_job_duration_seconds_bucket{{{BOTH}}}')})"


def quantile(share: float, buckets: str) -> str:
    """Return the value below which a share of what was counted lies."""
    return f"histogram_quantile({share:g}, {buckets})"


def queue_growth() -> str:
    """Return by how many jobs per second each queue grows; negative while it drains."""
    depth = f"spinach_queue_depth{{{QUEUE}}}"
    # `and`: a reader that is gone has samples in the window for minutes, and they say what was.
    return f"max by (queue) (deriv({depth}{GROWTH_WINDOW}) and {depth})"


def queue_drain_seconds() -> str:
    """Return how long each queue takes until it is empty, nothing for one that does not drain."""
    return f"max by (queue) (spinach_queue_depth{{{QUEUE}}}) / (-{queue_growth()} > 0)"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""
