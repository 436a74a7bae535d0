"""How many jobs a worker may hold. Pure.

Short jobs want large batches, because a round trip costs more than they do. Long jobs want none: a job
that is held here waits for a slot here, while a slot elsewhere is free.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..job import Job

# What is claimed beyond the free slots is expected to begin within this time.
_WINDOW_SECONDS: Final = 0.03
# Past this many jobs per call the server's share per job no longer shrinks.
_MAX_CLAIM_AHEAD: Final = 128
# Weight of the newest batch: a few batches of long jobs forget the short ones, and one is enough
# when they are much longer, since the larger of average and newest decides.
_WEIGHT: Final = 0.3


class Allowance(NamedTuple):
    """Jobs that may be held beyond the slots: claimed at once, and reserved."""

    claim_ahead: int
    reserve_ahead: int


class Pace:
    """Learns from the jobs that ended how many more to hold.

    Args:
        slots: How many jobs run at once.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._average: float | None = None
        self._newest = 0.0

    def observe(self, jobs: int, run_seconds: float) -> None:
        """Learn that `jobs` jobs ran for `run_seconds` in all."""
        if jobs <= 0:
            return
        self._newest = run_seconds / jobs
        if self._average is None:
            self._average = self._newest
        else:
            self._average += _WEIGHT * (self._newest - self._average)

    def stall(self) -> None:
        """Forget: jobs that were held did not begin in time."""
        self._average = None

    def allowance(self) -> Allowance:
        """Return how many jobs may be held beyond the slots; none until something was learned."""
        if self._average is None:
            return Allowance(0, 0)
        expected = max(self._average, self._newest, 1e-6)
        claim_ahead = min(_MAX_CLAIM_AHEAD, int(self._slots * _WINDOW_SECONDS / expected))
        return Allowance(claim_ahead, claim_ahead // 2)


def startable(reserved: list[Job], free_slots: int, claim_ahead: int) -> tuple[list[Job], int, int]:
    """Return the reserved jobs, from the first on, that may start, and the places left after them.

    Args:
        reserved: Jobs held for this worker that did not start.
        free_slots: Free slots.
        claim_ahead: Places beyond them, for jobs that may be repeated.
    """
    starting: list[Job] = []
    for job in reserved:
        if job.should_retry and claim_ahead > 0:
            claim_ahead -= 1
        elif free_slots > 0:
            free_slots -= 1
        else:
            break
        starting.append(job)
    return starting, free_slots, claim_ahead
