"""What is remembered between looks: trends with gaps, smoothed rates with their marks, since when a job
runs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinach.stats import HeldJob, NamespaceSnapshot
from spinach_ops.polling.connection import Connection
from spinach_ops.polling.rates import Rate
from spinach_ops.polling.trends import History, Series

from ..top.view_models import NOW, job, later, queue, running_page, snapshot, worker


def test_a_series_shows_the_highest_of_each_part() -> None:
    """Each part of the time shows the highest value in it, and between two looks the value stays."""
    series = Series()
    for seconds, value in ((0, 1), (10, 5), (11, 2), (40, 3)):
        series.add(NOW + seconds, value)
    assert series.buckets(6, NOW + 59, 60) == [1, 5, 2, 2, 3, None]


def test_a_gap_stays_a_gap() -> None:
    """While nobody looked nothing is shown."""
    series = Series()
    series.add(NOW, 1)
    series.interrupt()
    series.add(NOW + 30, 2)
    assert series.buckets(6, NOW + 59, 60) == [1, None, None, 2, None, None]


@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 1e6)), max_size=50), st.integers(1, 80))
def test_a_series_never_breaks(points: list[tuple[float, float]], number: int) -> None:
    """Whatever the clock does, a trend has its length and shows only values that were seen."""
    series = Series()
    for seconds, value in points:
        series.add(NOW + seconds, value)
    found = series.buckets(number, NOW + 5000)
    assert len(found) == number
    assert {value for value in found if value is not None} <= {value for _, value in points}


def test_a_series_is_bounded() -> None:
    """A series keeps no more than ten minutes."""
    series = Series()
    for second in range(5000):
        series.add(NOW + second, second)
    assert series.seconds <= 600


def test_rates_are_smoothed() -> None:
    """A rate that changes is approached, by half in ten seconds."""
    history = History()
    history.add(snapshot(queue()), {})
    for number in range(1, 101):
        history.add(later(snapshot(queue()), number), {"q": Rate(100, 0, exact=True)})
    assert history.smoothed["q"].in_per_second == pytest.approx(100)
    history.add(later(snapshot(queue()), 110), {"q": Rate(0, 0, exact=True)})
    assert history.smoothed["q"].in_per_second == pytest.approx(50, rel=0.01)
    assert history.smoothed["q"].mark == ""


def test_a_short_look_weighs_little() -> None:
    """A burst between two looks right after each other does not last: the next long one outweighs it."""
    history = History()
    history.add(snapshot(queue()), {})
    history.add(later(snapshot(queue()), 0.1), {"q": Rate(1000, 0, exact=True)})
    assert history.smoothed["q"].in_per_second == 1000
    history.add(later(snapshot(queue()), 2.1), {"q": Rate(10, 0, exact=True)})
    assert history.smoothed["q"].in_per_second < 70


def test_a_bound_stays_a_bound_for_a_while() -> None:
    """A mean in which a bound has a part worth mentioning is a bound; after a while it is exact again."""
    history = History()
    history.add(snapshot(queue()), {})
    history.add(later(snapshot(queue()), 2), {"q": Rate(1, 1, exact=False)})
    history.add(later(snapshot(queue()), 4), {"q": Rate(1, 1, exact=True)})
    assert history.smoothed["q"].mark == "≥"
    for number in range(3, 60):
        history.add(later(snapshot(queue()), 2 * number), {"q": Rate(1, 1, exact=True)})
    assert history.smoothed["q"].mark == ""


def test_counters_know_what_a_marker_only_bounds() -> None:
    """Where every worker counts, a queue that ran dry has its rates from what was started: they are exact."""
    facts = {"workers": (worker(),), "exact": True}
    before = snapshot(queue(depth=5), counters={("q", "task", "started"): 100}, **facts)
    after = later(
        before,
        2,
        queues=(queue(depth=9),),
        counters={("q", "task", "started"): 120, ("q", "t", "started"): 4},
    )
    history = History()
    history.add(before, {})
    history.add(after, {"q": Rate(1, 1, exact=False)})
    rates = history.smoothed["q"]
    assert (rates.out_per_second, rates.in_per_second, rates.mark) == (12, 14, "")
    assert rates.change == 2
    assert history.smoothed_tasks["q", "task"].started == 10


def test_jobs_in_hand_came_and_did_not_start() -> None:
    """Jobs that workers fetched and did not start came in, too; those given back at a stop did not come
    again.
    """

    def look(number: int, depth: int, started: int, held: int, claimed: int) -> NamespaceSnapshot:
        holder = replace(worker(running=0), running=0, reserved=held, claimed=claimed)
        return snapshot(
            queue(depth=depth), counters={("q", "t", "started"): started}, workers=(holder,), exact=True,
            at=NOW + 2 * number,
        )  # fmt: skip

    looks = [look(0, 0, 100, 0, 0), look(1, 4, 106, 10, 0), look(2, 20, 100, 0, 0)]
    found = []
    for first, second in pairwise(looks):
        history = History()
        history.add(first, {})
        history.add(second, {})
        found.append((history.smoothed["q"].in_per_second, history.smoothed["q"].out_per_second))
    # 4 stand there, 6 were started, 10 are in hand; then all of them stand there.
    assert found == [(10, 3), (0, 0)]


def test_rates_begin_anew_after_a_gap() -> None:
    """After a loss of the connection there is no rate over the gap, however much came meanwhile."""
    facts = {"workers": (worker(),), "exact": True}
    history = History()
    history.add(
        snapshot(queue(), counters={("q", "t", "started"): 1}, **facts), {"q": Rate(5, 5, exact=True)}
    )
    history.add(later(snapshot(queue(), counters={("q", "t", "started"): 9999}, **facts), 60), {}, gap=True)
    assert (history.smoothed, history.smoothed_tasks) == ({}, {})


def test_a_change_too_small_is_none() -> None:
    """A queue that neither grows nor shrinks by a part worth mentioning stays; of bounds there is no
    difference.
    """
    history = History()
    history.add(
        snapshot(),
        {"a": Rate(100, 99, exact=True), "b": Rate(100, 50, exact=True), "c": Rate(9, 1, exact=False)},
    )
    assert [history.smoothed[name].change for name in "abc"] == [0.0, 50, None]


def test_since_when_a_job_runs() -> None:
    """A running job is known since the look that first showed it, and forgotten when it is gone."""
    history, held = History(), HeldJob("w1", job())
    history.add(snapshot(pages=(running_page(held),)), {})
    history.add(later(snapshot(pages=(running_page(held),)), 30), {})
    assert history.first_seen == {("w1", "id-1"): NOW}
    history.add(later(snapshot(), 32), {})
    assert history.first_seen
    history.add(later(snapshot(pages=(running_page(),)), 34), {})
    assert history.first_seen == {}


def test_the_connection_through_a_loss() -> None:
    """It connects, lives, is slow while a look takes long, is lost with growing pauses, and comes back."""
    connection = Connection()
    assert connection.state(0, 2) == "connecting"
    connection = connection.began(0)
    assert connection.state(1.9, 2) == "connecting"
    assert connection.state(2.1, 2) == "slow"
    connection = connection.succeeded()
    assert (connection.state(3, 2), connection.came_back) == ("live", False)
    pauses, now = [], 10.0
    for _ in range(7):
        connection = connection.began(now).failed(now, "refused")
        pauses.append((connection.retry_at or 0) - now)
        now = connection.retry_at or 0
    assert pauses == [1, 2, 4, 8, 10, 10, 10]
    assert (connection.state(now, 2), connection.lost_since, connection.reason) == ("lost", 10.0, "refused")
    assert connection.began(now).state(now + 9, 2) == "lost"
    back = connection.began(now).succeeded()
    assert (back.state(now, 2), back.came_back, back.retry_at) == ("live", True, None)


def test_pauses_are_stretched() -> None:
    """Pauses differ by up to a fifth, so that many do not come back at once."""
    assert Connection().failed(0, "", jitter=1).retry_at == pytest.approx(1.2)
    assert Connection().failed(0, "", jitter=-1).retry_at == pytest.approx(0.8)


def test_a_first_look_that_failed_is_no_return() -> None:
    """Where nothing was seen before, nothing comes back."""
    assert not Connection().failed(0, "").succeeded().came_back


@pytest.mark.parametrize("jump", [0.0, 300.0])
def test_a_jump_is_followed_within_two_looks(jump: float) -> None:
    """Zero is zero: nothing decays for half a minute when a queue stands still."""
    history = History()
    history.add(snapshot(queue()), {})
    for number in range(1, 60):
        history.add(later(snapshot(queue()), 2 * number), {"q": Rate(30, 30, exact=True)})
    for number in (60, 61):
        history.add(later(snapshot(queue()), 2 * number), {"q": Rate(30, jump, exact=True)})
    assert history.smoothed["q"].out_per_second in (jump, pytest.approx(jump))
    assert history.smoothed["q"].in_per_second == pytest.approx(30)


def test_chance_is_no_jump() -> None:
    """A slow queue does not flicker between nothing and one job."""
    history = History()
    history.add(snapshot(queue()), {})
    seen = []
    for number in range(1, 100):
        rate = 0.5 if number % 3 == 0 else 0.0
        history.add(later(snapshot(queue()), 2 * number), {"q": Rate(rate, rate, exact=True)})
        seen.append(history.smoothed["q"].out_per_second)
    assert min(seen[50:]) > 0.08
