"""The numbers of `make observe`, and why they are what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "observe"
ORDERS_QUEUE: Final = "orders"
MAIL_QUEUE: Final = "mail"
REPORTS_QUEUE: Final = "reports"


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One worker process: name, queue, number of threads."""

    name: str
    queue: str
    threads: int


WORKERS: Final = (
    WorkerProcess("orders-1", ORDERS_QUEUE, 4),
    WorkerProcess("orders-2", ORDERS_QUEUE, 4),
    WorkerProcess("mail", MAIL_QUEUE, 2),
    WorkerProcess("reports", REPORTS_QUEUE, 4),
)
# Its queue has another worker, which takes over its jobs.
KILLED_WORKER: Final = "orders-2"
KILL_AFTER_SECONDS: Final = 30.0
# The default of 60 s is too long to wait for a recovery.
DEAD_AFTER_SECONDS: Final = 8

# Seconds between two batches of the load.
TICK_SECONDS: Final = 0.5
ORDERS_PER_TICK: Final = 8
MAILS_PER_TICK: Final = 4
FLAKY_PER_TICK: Final = 1
# One tick out of this many schedules a job that fails for good.
BROKEN_ONE_IN: Final = 10
REMINDER_DELAY_SECONDS: Final = 5.0
# More reports than may run at once: the queue grows and drains repeatedly.
REPORTS_PER_BURST: Final = 12
BURST_EVERY_TICKS: Final = 60
MAX_REPORTS_AT_ONCE: Final = 2
TIDY_SECONDS: Final = 5

# Short, so that a person sees changes soon; 15 s to 60 s are usual.
SCRAPE_SECONDS: Final = 5
EXPORTER_CACHE_SECONDS: Final = 1
