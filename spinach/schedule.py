"""Decides when a periodic task runs next. Pure: no I/O, no clock of its own."""

from __future__ import annotations


def next_run(previous: float, period_seconds: int, now: float) -> float:
    """Return the epoch seconds of the first run after `now`, a whole number of periods after `previous`.

    So the schedule never drifts, and after a long stop a task runs once, not once per missed period.

    Args:
        previous: The run that is due or was missed, epoch seconds.
        period_seconds: Whole seconds between runs, at least 1.
        now: Epoch seconds by the broker's clock.
    """
    missed = max(0, int((now - previous) // period_seconds))
    return previous + (missed + 1) * period_seconds
