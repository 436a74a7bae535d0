"""When a periodic task runs next. Pure."""

from __future__ import annotations


def next_run(previous: float, period_seconds: int, now: float) -> float:
    """Return the first time after `now` on the grid that `previous` lies on.

    The grid never drifts, and periods missed during a stop are skipped: one run, not many.

    Args:
        previous: The run that is due or was missed, epoch seconds.
        period_seconds: Whole seconds between runs, at least 1.
        now: The broker's time, epoch seconds.
    """
    missed = max(0, int((now - previous) // period_seconds))
    return previous + (missed + 1) * period_seconds
