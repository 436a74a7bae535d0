"""Times and figures as the screen writes them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from spinach_ops.top.view.format import format_time

NOON = datetime(2026, 11, 26, 12, 0, 0, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (NOON, "12:00:00"),
        (NOON - 12 * 3600, "00:00:00"),
        (NOON - 12 * 3600 - 1, "11-25 23:59"),
        (NOON + 12 * 3600, "11-27 00:00"),
        (NOON - 365 * 86400, "11-26 12:00"),
        (1e300, "?"),
    ],
)
def test_a_time_of_another_day_has_its_date(at: float, shown: str) -> None:
    """At 3 a.m. a failure of 23:59 is one of yesterday."""
    assert format_time(at, NOON) == shown
