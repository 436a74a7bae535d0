"""The demo's application: one engine, its tasks, and a receiver of a signal.

Run it with `spinach worker examples.catalogue.app:engine`; addresses and folders come from the environment.
"""

from __future__ import annotations

import os
import sysconfig
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import redis

from spinach import Engine, RedisBroker, Tasks, signals
from spinach.brokers.redis import recommended_socket_opts
from spinach.stats import WorkerInfo

from .catalogue import analyse, archive_size
from .settings import (
    CLOCK_QUEUE,
    DEAD_AFTER_SECONDS,
    FAIL_ONE_IN,
    MAX_PACKAGES_AT_ONCE,
    NAMESPACE,
    SUMMARY_SECONDS,
)
from .store import Store

RedisBroker.broker_dead_threshold_seconds = DEAD_AFTER_SECONDS

ROOT = Path(os.environ.get("CATALOGUE_ROOT") or sysconfig.get_paths()["stdlib"])
DATA = Path(os.environ.get("CATALOGUE_DATA", "demo-data"))
URL = os.environ.get("SPINACH_REDIS_URL", "redis://127.0.0.1:6379/0")
_OPTIONS: dict[str, Any] = recommended_socket_opts

broker = RedisBroker(redis.Redis.from_url(URL, **_OPTIONS))
engine = Engine(broker, namespace=NAMESPACE)

tasks = Tasks(max_retries=5)  # every task is safe to repeat


class FailedOnPurpose(Exception):
    """The demo lets some first attempts fail, to show retries."""


def fails_at_first(path: str) -> bool:
    """Return whether the first attempt at a file fails; the same files each time."""
    return zlib.crc32(path.encode()) % FAIL_ONE_IN == 0


@cache
def store() -> Store:
    """Return the catalogue."""
    return Store(DATA / "catalogue.sqlite")


@contextmanager
def _attempt(task: str, subject: str) -> Iterator[tuple[Store, int, int]]:
    catalogue = store()
    attempt, before = catalogue.begin_attempt(task, subject)
    try:
        yield catalogue, attempt, before
    except BaseException as error:
        catalogue.end_attempt(attempt, type(error).__name__)
        raise


@tasks.task(name="catalogue:file")
def catalogue_file(path: str) -> None:
    """Analyse one file and store the result."""
    with _attempt("catalogue:file", path) as (catalogue, attempt, before):
        if not before and fails_at_first(path):
            raise FailedOnPurpose("first attempt fails on purpose")
        catalogue.put_file(attempt, analyse(ROOT, path))


@tasks.task(name="catalogue:package", max_concurrency=MAX_PACKAGES_AT_ONCE)
def catalogue_package(name: str, paths: list[str]) -> None:
    """Compress the files of a package as one: needs memory, so the limit holds over all workers."""
    with _attempt("catalogue:package", name) as (catalogue, attempt, _):
        catalogue.put_package(attempt, name, len(paths), archive_size(ROOT, paths))


@tasks.task(name="catalogue:note", queue=CLOCK_QUEUE)
def note(label: str, due: float) -> None:
    """Run at a date, and store when it ran."""
    store().put_note(label, due)


@tasks.task(name="catalogue:summary", queue=CLOCK_QUEUE, periodicity=timedelta(seconds=SUMMARY_SECONDS))
def summarise() -> None:
    """Run periodically, once for all workers: store the current totals."""
    store().put_summary()


def store_worker_lost(namespace: str, worker_info: WorkerInfo, recovered: int, failed: int) -> None:
    """Store that a worker died; runs in the worker that took over its jobs."""
    pid = worker_info.details.get("pid")
    store().put_event("worker_lost", f"pid {pid}: {recovered} queued again, {failed} in doubt")


def in_seconds(seconds: float) -> datetime:
    """Return the date so many seconds from now."""
    return datetime.fromtimestamp(time.time() + seconds, timezone.utc)


engine.attach_tasks(tasks)
signals.worker_lost.connect(store_worker_lost, sender=NAMESPACE, weak=False)
