"""When a periodic task runs next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinach.schedule import next_run


@pytest.mark.parametrize(
    ("previous", "now", "expected"),
    [
        (100, 100, 110),  # on time
        (100, 103, 110),  # late, but in the same period
        (100, 110, 120),  # one missed: the run due now is the one that is made
        (100, 1_234, 1_240),  # many missed
        (100, 95, 110),  # a clock that went back
    ],
)
def test_next_run(previous: float, now: float, expected: float) -> None:
    """The next run lies on the grid of the previous one; missed periods are skipped."""
    assert next_run(previous, 10, now) == expected


@given(
    previous=st.integers(0, 2**31),
    period=st.integers(1, 10**7),
    now=st.floats(0, 2**32, allow_nan=False),
)
def test_grid_never_drifts(previous: int, period: int, now: float) -> None:
    """Whatever the delay: after now, at most one period away, and a whole number of periods on."""
    following = next_run(previous, period, now)
    assert following > max(now, previous)
    assert following <= max(now, previous) + period
    assert (following - previous) % period == 0
