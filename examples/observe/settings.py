"""The numbers of `make observe`, and why they are what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "observe"
ORDERS_QUEUE: Final = "orders"
MAIL_QUEUE: Final = "mail"
REPORTS_QUEUE: Final = "reports"


@dataclass(frozen=True, slots=True)
class Supervisor:
    """One worker process: its name, its queue, its threads."""

    name: str
    queue: str
    threads: int


CREWS: Final = (
    Supervisor("orders-1", ORDERS_QUEUE, 4),
    Supervisor("orders-2", ORDERS_QUEUE, 4),
    Supervisor("mail", MAIL_QUEUE, 2),
    Supervisor("reports", REPORTS_QUEUE, 4),
)
# Its queue has another worker, which takes over what it was running.
VICTIM: Final = "orders-2"
KILL_AFTER_SECONDS: Final = 30.0
# 60 s is the default; nobody should wait that long to see a recovery.
DEAD_AFTER_SECONDS: Final = 8

# How often the load is scheduled; what is due by then goes out in one batch.
TICK_SECONDS: Final = 0.5
ORDERS_PER_TICK: Final = 8
MAILS_PER_TICK: Final = 4
FLAKY_PER_TICK: Final = 1
# Out of so many flaky jobs one fails for good.
BROKEN_ONE_IN: Final = 10
REMINDER_DELAY_SECONDS: Final = 5.0
# More reports at once than may run: the queue grows and drains, again and again.
REPORTS_PER_BURST: Final = 12
BURST_EVERY_TICKS: Final = 60
MAX_REPORTS_AT_ONCE: Final = 2
TIDY_SECONDS: Final = 5

# Short, so that a person sees things move; 15 s to 60 s are usual.
SCRAPE_SECONDS: Final = 5
EXPORTER_CACHE_SECONDS: Final = 1
