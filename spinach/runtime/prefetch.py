"""How many jobs the next exchange asks for: free slots, claim ahead, reserve ahead.

These are decisions only: nothing here speaks to the broker or reads a clock. Short jobs need large batches,
because a round trip takes longer than they do. Long jobs need none: a job that waits here for a slot could
start at once on a worker with a free slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ..job import Job

# A job claimed ahead is expected to start within this time.
_START_WITHIN_SECONDS: Final = 0.03
# Beyond this many jobs per call, the server's time per job no longer falls.
_MAX_CLAIM_AHEAD: Final = 128
# Weight of the newest batch in the average: after a few batches of long jobs the short ones no longer count.
# The first batch of much longer jobs acts at once, because the larger of average and newest decides.
_NEWEST_WEIGHT: Final = 0.3


class Request(NamedTuple):
    """What the next exchange starts and asks for; fields and order are those of `Exchange`."""

    starting: Sequence[Job]
    free_slots: int
    claim_ahead: int
    reserve_ahead: int


NOTHING: Final = Request((), 0, 0, 0)


class ClaimAhead:
    """Learns from ended jobs how many jobs to hold beyond the slots.

    Args:
        slots: How many jobs run at once.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._average: float | None = None
        self._newest = 0.0

    def observe(self, jobs: int, run_seconds: float) -> None:
        """Learn that `jobs` jobs (1 or more) ran for `run_seconds` in all."""
        self._newest = run_seconds / jobs
        if self._average is None:
            self._average = self._newest
        else:
            self._average += _NEWEST_WEIGHT * (self._newest - self._average)

    def forget(self) -> None:
        """Claim nothing ahead until the next job ends: jobs claimed ahead did not start in time."""
        self._average = None

    @property
    def limit(self) -> int:
        """How many jobs may be claimed ahead; 0 until a job ended."""
        if self._average is None:
            return 0
        expected = max(self._average, self._newest, 1e-6)
        return min(_MAX_CLAIM_AHEAD, int(self._slots * _START_WITHIN_SECONDS / expected))

    def next_request(self, reserved: Sequence[Job], busy: int) -> Request:
        """Return which reserved jobs may start, and how many more jobs to ask for.

        Args:
            reserved: Jobs reserved for this worker, in order.
            busy: Jobs handed to the workers that have not ended.
        """
        limit = self.limit
        free_slots = max(0, self._slots - busy)
        claim_ahead = max(0, limit - max(0, busy - self._slots))
        starting: list[Job] = []
        for job in reserved:
            if job.should_retry and claim_ahead > 0:
                claim_ahead -= 1
            elif free_slots > 0:
                free_slots -= 1
            else:
                break
            starting.append(job)
        # A reserved job loses no attempt when this worker dies, but starts one exchange later.
        reserve_ahead = max(0, limit // 2 - (len(reserved) - len(starting)))
        return Request(starting, free_slots, claim_ahead, reserve_ahead)
