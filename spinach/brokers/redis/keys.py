"""Every key of a namespace, one function each: type, owner, bound, lifetime. No other module spells a key.

"Shared" keys belong to the wire format of the published package; "ours" are ignored by its workers. All
start with the namespace and a slash, and `flush` removes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# Layout of what stands in Redis; a worker that meets a higher number does not write.
LAYOUT_VERSION: Final = 1


class Keys:
    """The keys of one namespace.

    Args:
        namespace: Checked by the broker.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._prefix = f"{namespace}/"

    def __call__(self, name: str) -> str:
        """Return the key of a name in the namespace."""
        return self._prefix + name

    @property
    def pattern(self) -> str:
        """Pattern for SCAN that matches the namespace's keys: a namespace is text, not a pattern."""
        return "".join(f"\\{char}" if char in "*?[]^-\\" else char for char in self._prefix) + "*"

    def numbered_queues(self, names: Iterable[str]) -> tuple[dict[str, int], list[str]]:
        """Return the distinct queues with a number each, from 1, and their keys in that order."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
        return numbers, [self.queue(name) for name in numbers]

    # --- shared --------------------------------------------------------------------------------

    def queue(self, name: str) -> str:
        """List of job texts; pushed right, taken left. Bounded by its jobs; gone when empty."""
        return self(name)

    @property
    def future(self) -> str:
        """Zset of job texts by due time (old workers: a second later). Bounded by its jobs."""
        return self("_future-jobs")

    def running(self, broker_id: str) -> str:
        """Hash job id -> job text of one worker. Bounded by what it holds; gone when empty."""
        return self(f"_running-jobs-on-broker-{broker_id}")

    @property
    def notifications(self) -> str:
        """Channel, not a key: an empty message means look again. Each live worker subscribes."""
        return self("_notifications")

    @property
    def periodic_tasks(self) -> str:
        """Hash task name -> task JSON with an integer periodicity. Permanent; bounded by the tasks."""
        return self("_periodic_tasks_hash")

    @property
    def periodic_queue(self) -> str:
        """Zset task name by next run in epoch seconds. Permanent; bounded by the tasks."""
        return self("_periodic_tasks_queue")

    @property
    def brokers(self) -> str:
        """Hash broker id -> JSON of the worker. An entry lives as long as its worker counts as alive."""
        return self("_all_brokers_hash")

    @property
    def brokers_by_last_seen(self) -> str:
        """Zset broker id by `last_seen_at`; has the entries of `brokers`, written and removed together."""
        return self("_all_brokers_zset")

    @property
    def limits(self) -> str:
        """Hash task name -> max_concurrency. Permanent; bounded by the tasks."""
        return self("_max_concurrency")

    @property
    def slots_taken(self) -> str:
        """Hash task name -> slots taken; has an integer for every field of `limits`."""
        return self("_current_concurrency")

    # --- ours ----------------------------------------------------------------------------------

    def reserved(self, broker_id: str) -> str:
        """Hash job id -> "r" for jobs fetched, not claimed, and `seq` of the last exchange.

        Lives as long as the worker's running hash may.
        """
        return self(f"_reserved-jobs-on-broker-{broker_id}")

    def parked(self, queue: str) -> str:
        """Zset of the jobs of a queue that a concurrency limit holds back, when they are many; see `parking`.

        Bounded by its jobs; gone when empty.
        """
        return self(f"_parked-jobs-{queue}")

    @property
    def parked_counts(self) -> str:
        """Hash queue -> number of its parked jobs. Has a field for each key `parked`; gone when empty."""
        return self("_parked-counts")

    @property
    def brokers_seen(self) -> str:
        """Zset broker id by time last registered (0: declared dead): finds orphaned running hashes.

        At most `MAX_BROKERS_SEEN`; an id leaves once its running hash is gone.
        """
        return self("_brokers-seen")

    @property
    def queues(self) -> str:
        """Set of queue names seen. Permanent; at most `MAX_QUEUES`."""
        return self("_queues")

    def producer(self, sequence: str) -> str:
        """String: number of the last call in a sequence of one producer, so that a call can be repeated.

        Lives `PRODUCER_TTL_SECONDS`.
        """
        return self(f"_producer-{sequence}")

    @property
    def counters(self) -> str:
        """Hash JSON [queue, task, counter] -> total. Permanent; at most `MAX_COUNTER_FIELDS`."""
        return self("_counters")

    def counters_of_minute(self, epoch_minute: int) -> str:
        """Hash like `counters` for one minute. Lives `MINUTE_TTL_SECONDS`."""
        return self(f"_counters-minute-{epoch_minute}")

    @property
    def histograms(self) -> str:
        """Hash JSON [queue, "wait" or "run", bucket or "sum_us"] -> count. Permanent, bounded as counters."""
        return self("_histograms")

    @property
    def failed(self) -> str:
        """Zset dead letter id by time. Bounded by `MAX_DEAD_LETTERS` and `MAX_DEAD_LETTER_AGE_SECONDS`."""
        return self("_failed-jobs")

    @property
    def failed_data(self) -> str:
        """Hash dead letter id -> one line of JSON, then the raw bytes. Has the entries of `failed`."""
        return self("_failed-jobs-data")

    @property
    def failure_groups(self) -> str:
        """Hash JSON [task, error type, fact] -> value, facts: count, first, last, sample.

        At most `MAX_FAILURE_GROUPS` groups.
        """
        return self("_failure-groups")

    @property
    def attempt_errors(self) -> str:
        """Hash like `failure_groups`, of all attempts that end in an error; bounded like it."""
        return self("_attempt-errors")

    @property
    def attempt_tracebacks(self) -> str:
        """Hash JSON [task, error type, "traceback"] -> traceback, for groups of `attempt_errors`."""
        return self("_attempt-tracebacks")

    @property
    def lost_workers(self) -> str:
        """Zset of JSON by time: id, host, process ... of a worker that was declared dead.

        At most `MAX_LOST_WORKERS`; lives `LOST_WORKERS_TTL_SECONDS` after the last one.
        """
        return self("_lost-workers")

    @property
    def limits_checked(self) -> str:
        """String: present while the slots were counted a moment ago. Lives some seconds."""
        return self("_limits-checked")

    @property
    def layout(self) -> str:
        """String: highest `LAYOUT_VERSION` that wrote here. Permanent."""
        return self("_wire")


def brokers_of_any() -> str:
    """Return the pattern of `Keys.brokers` in any namespace."""
    return "*" + Keys("").brokers


def namespace_of_brokers(key: str) -> str:
    """Return the namespace of a key that matches `brokers_of_any`."""
    return key.removesuffix(Keys("").brokers)
