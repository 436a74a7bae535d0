"""The watched application: quick, slow, flaky, broken, delayed, periodic and limited tasks.

Run it with `spinach worker examples.observe.app:engine`; the environment names the server.
"""

from __future__ import annotations

import os
import random
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import redis

from spinach import Engine, RedisBroker, Tasks
from spinach.brokers.redis import recommended_socket_opts

from .settings import (
    DEAD_AFTER_SECONDS,
    MAIL_QUEUE,
    MAX_REPORTS_AT_ONCE,
    NAMESPACE,
    ORDERS_QUEUE,
    REPORTS_QUEUE,
    TIDY_SECONDS,
)

RedisBroker.broker_dead_threshold_seconds = DEAD_AFTER_SECONDS

URL = os.environ.get("SPINACH_REDIS_URL", "redis://127.0.0.1:6379/0")
_OPTIONS: dict[str, Any] = recommended_socket_opts

engine = Engine(RedisBroker(redis.Redis.from_url(URL, **_OPTIONS)), namespace=NAMESPACE)
tasks = Tasks(queue=ORDERS_QUEUE, max_retries=5)


class PaymentRefused(Exception):
    """Raised by the flaky task."""


class AddressUnknown(Exception):
    """Raised by the broken task, each time."""


@tasks.task(name="order:charge")
def charge(order: int) -> None:
    """Take some milliseconds."""
    time.sleep(random.uniform(0.005, 0.05))


@tasks.task(name="order:authorise")
def authorise(order: int, fails: bool) -> None:
    """Fail sometimes, and succeed when retried."""
    time.sleep(random.uniform(0.01, 0.1))
    if fails and random.random() < 0.2:
        raise PaymentRefused(f"order {order}: the bank does not answer")


@tasks.task(name="order:deliver", max_retries=1)
def deliver(order: int) -> None:
    """Fail for good."""
    raise AddressUnknown(f"order {order}: no such street")


@tasks.task(name="order:remind")
def remind(order: int) -> None:
    """Run at a date."""
    time.sleep(0.02)


@tasks.task(name="order:tidy", periodicity=timedelta(seconds=TIDY_SECONDS))
def tidy() -> None:
    """Run periodically, once for all workers."""
    time.sleep(0.05)


@tasks.task(name="mail:send", queue=MAIL_QUEUE)
def send_mail(order: int) -> None:
    """Take up to 0.2 seconds."""
    time.sleep(random.uniform(0.05, 0.2))


@tasks.task(name="report:build", queue=REPORTS_QUEUE, max_concurrency=MAX_REPORTS_AT_ONCE)
def build_report(number: int) -> None:
    """Take seconds; a limit holds over all workers."""
    time.sleep(random.uniform(1.5, 3.0))


def in_seconds(seconds: float) -> datetime:
    """Return the date so many seconds from now."""
    return datetime.fromtimestamp(time.time() + seconds, timezone.utc)


engine.attach_tasks(tasks)
