"""Parked jobs: many jobs of a queue that a concurrency limit holds back. Puts them back into the queue.

A worker's call that meets `MIN_PARKED` or more such jobs at the head of a queue moves them to a key of their
own (`lua/exchange.lua`), so that no later call looks past them. They are claimed from there, before younger
jobs of their task, as soon as the limit allows. Workers of the published package know only the queue: jobs
are parked only while no such worker is registered, and go back when one joins, when no worker of this package
is left, or when no task has a limit any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from ...stats import WorkerInfo
from . import scripts
from .session import Session

# Takes the server about 2 ms.
_JOBS_PER_CALL: Final = 1_000
# After the digest of a task's name, a place in the order, and two colons.
_TEXT_STARTS_AT: Final = 58


def unpark_when_needed(
    session: Session, parked_queues: Iterable[bytes], workers: Iterable[WorkerInfo], *, has_limits: bool
) -> None:
    """Put parked jobs back unless all registered workers look for them there.

    Args:
        session: The broker's session.
        parked_queues: Names of the queues that have parked jobs.
        workers: The registered workers.
        has_limits: Whether a task of the namespace has a limit.

    Raises:
        BrokerUnavailable: the broker cannot be reached; the other jobs are still parked.
    """
    versions = [worker.version for worker in workers]
    if versions and has_limits and None not in versions:
        return
    for name in parked_queues:
        with suppress(UnicodeDecodeError):  # a foreign field
            _unpark(session, name.decode())


def parked_text(member: bytes) -> bytes:
    """Return the job's text of a member of a key of parked jobs; see `lua/parked.lua`."""
    return member[_TEXT_STARTS_AT:]


def in_order_of_parking(members: Iterable[bytes]) -> list[bytes]:
    """Return the texts of parked jobs of any tasks, in the order in which they were parked."""
    return [parked_text(member) for member in sorted(members, key=lambda member: member[41:_TEXT_STARTS_AT])]


def _unpark(session: Session, queue: str) -> None:
    rest: Any = 1
    while rest:
        rest = session.run(
            scripts.UNPARK, parked=session.keys.parked(queue), queue=session.keys.queue(queue),
            queue_name=queue, most=_JOBS_PER_CALL,
        )  # fmt: skip
