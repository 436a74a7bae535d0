"""What the boards show of a view: pure, no terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spinach.stats import HeldJob, JobInfo, LimitStats, OrphanStats, Page, PeriodicStats, Wanted
from spinach_ops.polling.rates import Rate
from spinach_ops.polling.trends import History
from spinach_ops.top.boards import ALL, TABS, Board, find_board
from spinach_ops.top.boards.explain import list_findings
from spinach_ops.top.screen.detail import FollowedItem, describe_item
from spinach_ops.top.view.view_model import Location, ViewModel

from .view_models import (  # fmt: skip
    NOW,
    failure,
    group,
    job,
    job_text,
    jobs_page,
    later,
    queue,
    running_page,
    snapshot,
    texts,
    view,
    worker,
)


def shown(view: ViewModel, location: Location) -> list[dict[str, str]]:
    """Return the rows as texts by column."""
    board = find_board(location)
    names = [column.name for column in board.columns]
    return [
        dict(zip(names, (cell.text for cell in row.cells), strict=True)) for row in board.rows(view, location)
    ]


def test_tabs_are_numbered() -> None:
    """Eight tabs, each with its number as its key, and each with rows of as many cells as it has columns."""
    assert [board.number for board in TABS] == list(range(1, 9))
    assert [board.name for board in TABS] == [
        "queues", "workers", "jobs", "scheduled", "periodic", "limits", "failures", "tasks",
    ]  # fmt: skip


@pytest.mark.parametrize("board", ALL, ids=lambda board: f"{board.name}-{board.columns[0].name}")
def test_an_empty_namespace_says_something(board: Board) -> None:
    """A board without rows says why in words."""
    location = Location(board.name, which_jobs="running" if board in TABS else "head")
    assert list(board.rows(view(), location)) == []
    assert board.empty(view(), location)
    assert len({column.name for column in board.columns}) == len(board.columns)


def test_a_queue() -> None:
    """A queue shows depth, rates with their marks, age with a mark when it is old, and when it is empty."""
    history = History()
    history.add(
        snapshot(queue("old", 1339)), {"old": Rate(85.7, 29.2, exact=True), "new": Rate(1, 10, exact=True)}
    )
    seen = ViewModel(
        snapshot(queue("old", 1339, 400, next_task="t"), queue("new", 90, 61), queue("no", 0)), history
    )
    old, new, empty = shown(seen, Location())
    assert (old["DEPTH"], old["IN/s"], old["OUT/s"], old["OLDEST"]) == ("1,339", "85.7", "29.2", "!!6m40s")
    assert (old["ETA"], old["Δ/s"], old["NEXT TASK"]) == ("∞ grow", "+56.5", "t")
    assert (new["ETA"], new["OLDEST"]) == ("10s", "!1m01s")
    assert (empty["DEPTH"], empty["OLDEST"], empty["IN/s"], empty["ETA"]) == ("0", "-", "-", "-")


def test_a_bound_has_no_eta() -> None:
    """Of lower bounds no difference is made up."""
    history = History()
    history.add(snapshot(queue()), {"q": Rate(1, 10, exact=False)})
    (row,) = shown(ViewModel(snapshot(queue()), history), Location())
    assert (row["IN/s"], row["OUT/s"], row["Δ/s"], row["ETA"]) == ("≥1.0", "≥10.0", "-", "-")


def test_a_queue_that_cannot_be_read() -> None:
    """What could not be read is a question mark, never a zero."""
    (row,) = shown(view(queue(depth=None, oldest=None)), Location())
    assert (row["DEPTH"], row["OLDEST"]) == ("?", "?")


def test_running_jobs_of_a_queue() -> None:
    """RUN counts live workers that serve only this queue; it is a lower bound while old ones do not say what
    they serve.
    """
    old = worker("w2", version=None, running=7)
    (row,) = shown(view(queue(), workers=(worker(running=3), old)), Location())
    assert (row["RUN"], row["WORK"]) == ("≥3", "≥1")
    (row,) = shown(view(queue(), workers=(worker(running=3), worker("w3", running=4, seen=90))), Location())
    assert (row["RUN"], row["WORK"]) == ("3", "1")
    (row,) = shown(view(queue(), workers=(old,)), Location())
    assert (row["RUN"], row["WORK"]) == ("-", "-")


def test_ages_go_on_while_the_server_is_lost() -> None:
    """While no look succeeds, ages count on from the last one."""
    lost = replace(view(queue(oldest=50), workers=(worker(seen=10),)), stale_seconds=20.0)
    assert shown(lost, Location())[0]["OLDEST"] == "!1m10s"
    assert shown(lost, Location("workers"))[0]["SEEN"] == "30s"


def test_workers() -> None:
    """Each worker has its state in a word and a sign, silent ones the time they have left, orphans what they
    hold.
    """
    silent = worker("w2", version=None, seen=100)
    seen = view(workers=(worker(running=4), silent, worker("w3", seen=90)), orphans=(OrphanStats("gone", 2),))
    live, late, dead, orphan = shown(seen, Location("workers"))
    assert (live["WORKER"], live["STATE"], live["RUN"], live["SLOTS"], live["LOAD"]) == (
        "host/w1", "● live", "4", "4", "████████",
    )  # fmt: skip
    assert (late["STATE"], late["DIES IN"], late["VERSION"], late["QUEUES"]) == (
        "! silent", "28m20s", "upstream", "not said",
    )  # fmt: skip
    assert dead["STATE"] == "!! dead"
    assert (orphan["WORKER"], orphan["STATE"], orphan["RUN"]) == ("?/gone", "!! orph.", "2")


def test_slots_that_are_busy() -> None:
    """Slots in use are counted over those workers that live and said how many they have."""
    old, dead = worker("w2", version=None, running=5), worker("w3", running=4, seen=90)
    seen = view(workers=(worker(running=3), old, dead), running=12, connected=2)
    assert "3 of 4 slots busy" in find_board(Location("workers")).caption(seen, Location("workers"))
    assert "slots" not in find_board(Location("workers")).caption(view(workers=(old,)), Location("workers"))


def test_jobs_of_a_queue() -> None:
    """The first jobs are numbered from 1, the last ones to the depth; what is no job says so."""
    odd = JobInfo.read(b"odd")
    page = jobs_page(job("a", retries=1), odd)
    seen = replace(view(queue(depth=10), pages=(page,)), show_arguments=True)
    head, broken = shown(seen, Location("jobs", "q", "head"))
    assert (head["#"], head["TASK"], head["AGE"], head["TRY"]) == ("1", "task", "10s", "1/3")
    assert head["ARGS"] == '1, "two", key="secret"'
    assert "not a job" in broken["TASK"]
    tail = replace(page, wanted=Wanted("queue", "q", from_tail=True))
    rows = shown(view(queue(depth=10), pages=(tail,)), Location("jobs", "q", "tail"))
    assert [row["#"] for row in rows] == ["9", "10"]


def test_arguments_are_hidden() -> None:
    """Unless somebody asks for arguments no board and no detail shows any."""
    seen = view(queue(), pages=(jobs_page(job()),))
    (row,) = shown(seen, Location("jobs", "q", "head"))
    assert row["ARGS"] == "(hidden)"
    assert "secret" not in texts(describe_item(job(), seen, width=80, show_arguments=False))
    assert "secret" in texts(describe_item(job(), seen, width=80, show_arguments=True))


def test_a_page_of_another_queue_is_not_shown() -> None:
    """Right after turning to a queue, its other end or a worker, jobs of the place before are not taken for
    its own.
    """
    other = view(queue(), pages=(jobs_page(job(), of="other"),))
    head = view(queue(), pages=(jobs_page(job()),))
    anybody = view(queue(), pages=(running_page(HeldJob("w2", job())),))
    for seen, location in (
        (other, Location("jobs", "q", "head")), (head, Location("jobs", "q", "tail")),
        (anybody, Location("jobs", "w1")),
    ):  # fmt: skip
        assert shown(seen, location) == []
        assert find_board(location).empty(seen, location) == "Reading ..."


def test_running_jobs() -> None:
    """Running jobs show how long they run, who runs them, and which are only reserved.

    Workers of 0.0.25 do not say when a job began: it runs at least since it was first seen.
    """
    exact = replace(job("c"), started_at=NOW - 31)
    page = running_page(
        HeldJob("w1", job("a")),
        HeldJob("w1", job("b", at=int(NOW) - 99), reserved=True),
        HeldJob("w1", exact),
    )
    history = History()
    history.add(snapshot(pages=(page,)), {})
    seen = ViewModel(later(snapshot(workers=(worker(),), pages=(page,)), 5), history)
    longest, first, second = shown(seen, Location("jobs"))
    assert longest["RUN"] == "36s"
    assert (first["TASK"], first["RUN"], first["DUE"], first["WORKER"]) == ("task", "≥5s", "15s", "host/w1")
    assert second["RUN"] == "reserved"


def test_scheduled_jobs() -> None:
    """Scheduled jobs show when they are due, late ones with a mark, retries by name."""
    page = Page(
        Wanted("scheduled"), jobs=(job("a", at=int(NOW) - 71, retries=2), job("b", at=int(NOW) + 3600))
    )
    late, later_one = shown(view(pages=(page,)), Location("scheduled"))
    assert (late["DUE IN"], late["WHY"], late["TRY"]) == ("!-1m11s", "retry", "2/3")
    assert (later_one["DUE IN"], later_one["WHY"]) == ("1h00m", "date")


def test_periodic_tasks_and_limits() -> None:
    """Periodic tasks show how late they are, limits what is taken, and drift where all running jobs were
    seen.
    """
    periodic = (PeriodicStats("tick", "q", 60, NOW - 200, 200.0), PeriodicStats("tock", "q", None, None, 0.0))
    limits = (LimitStats("task", 2, 2), LimitStats("other", 5, 1))
    page = running_page(HeldJob("w1", job("a")))
    seen = view(periodic=periodic, limits=limits, running=1, pages=(page,))
    late, unknown = shown(seen, Location("periodic"))
    assert (late["EVERY"], late["NEXT"], late["LATE"]) == ("1m00s", "0s", "!3m20s")
    assert (unknown["EVERY"], unknown["NEXT"], unknown["LATE"]) == ("?", "?", "-")
    full, drifted = shown(seen, Location("limits"))
    assert (full["TAKEN/MAX"], full["ACTUAL"], full["DRIFT"]) == ("2/2", "1", "+1")
    assert (drifted["TAKEN/MAX"], drifted["DRIFT"]) == ("1/5", "+1")
    assert (
        shown(replace(seen, snapshot=replace(seen.snapshot, running=9)), Location("limits"))[0]["ACTUAL"]
        == "?"
    )


def test_drift_needs_all_jobs() -> None:
    """What a limit counts is compared only where every job that workers hold was seen, those beyond their
    slots, too.
    """
    page = running_page(HeldJob("w1", job("a")))
    for reserved, actual in ((0, "1"), (1, "?")):
        seen = view(limits=(LimitStats("task", 2, 2),), running=1, reserved=reserved, pages=(page,))
        assert shown(seen, Location("limits"))[0]["ACTUAL"] == actual


def test_failures() -> None:
    """Failures are grouped; a group leads to its jobs, newest first, and to nothing of another group."""
    groups = Page(Wanted("groups"), groups=(group(), group("other", "Err", count=1)))
    seen = view(pages=(groups,))
    first, _ = shown(seen, Location("failures"))
    assert (first["TASK"], first["ERROR"], first["COUNT"], first["LAST"]) == ("task", "Boom", "3", "!30s")
    board = find_board(Location("failures"))
    location = board.leads_to(seen, Location("failures"), board.rows(seen, Location("failures"))[0].key)
    assert location == Location("failed", "task", error_type="app.Boom")
    page = Page(Wanted("failed"), failed=(failure("a"), failure("b", error_type="Other")))
    (row,) = shown(view(workers=(worker(),), pages=(page,)), location)
    assert (row["TASK"], row["TRIES"], row["MESSAGE"], row["WORKER"]) == ("task", "4", "it broke", "host/w1")


def test_one_is_no_plural() -> None:
    """Captions speak of one job and of several as a person does."""
    for number, words in ((1, "1 failed job is kept"), (2, "2 failed jobs are kept")):
        assert find_board(Location("failures")).caption(view(failed=number), Location("failures")) == words
    location = Location("jobs", "q", "head")
    one = view(queue(depth=1), pages=(jobs_page(job()),))
    assert "first 1 of 1 job (" in find_board(location).caption(one, location)


def test_old_workers_tell_no_failures() -> None:
    """With nothing but workers of the published package, failures and tasks say that they cannot know."""
    seen = view(workers=(worker(version=None),), counters={}, pages=(Page(Wanted("groups")),))
    for name in ("failures", "tasks"):
        assert "cannot be known" in find_board(Location(name)).empty(seen, Location(name))


def test_tasks() -> None:
    """Tasks show how their attempts ended, in numbers and as a part of all."""
    counts = {"started": 100, "succeeded": 80, "retried": 10, "failed": 5}
    seen = view(counters={("q", "task", name): number for name, number in counts.items()}, exact=True)
    (row,) = shown(seen, Location("tasks"))
    assert (row["STARTED"], row["OK"], row["FAIL %"], row["FAILED"]) == ("100", "80", "!15.8", "5")


def test_an_old_queue_is_explained() -> None:
    """What only somebody who watches can tell stands with the findings of the other tools, errors first."""
    seen = view(queue(oldest=400), workers=(worker(seen=20, heartbeat=5),), connected=1)
    found = list_findings(seen)
    assert [finding.code for finding in found] == ["no_workers", "queue_old", "worker_silent"]
    (_, first, _) = find_board(Location("explain")).rows(seen, Location("explain"))
    assert find_board(Location("explain")).leads_to(seen, Location("explain"), first.key) == Location(
        "jobs", "q", "head"
    )


def test_a_failure_in_full() -> None:
    """A failure shows error, message, attempts, traceback and the job's fields, wrapped and whole."""
    text = texts(describe_item(failure(), view(), width=60, show_arguments=False))
    for part in ("app.Boom", "it broke", "Traceback (most recent", "attempts", "2027-01-15", "(hidden)"):
        assert part in text
    assert "secret" not in text


def test_a_huge_payload_is_shown_whole() -> None:
    """Of a large payload nothing is left out."""
    info = JobInfo.read(job_text(task_args=["x" * 300_000]))
    text = texts(describe_item(info, view(), width=100, show_arguments=True)).replace("\n ", "")
    assert "x" * 300_000 in text


def test_a_job_is_followed() -> None:
    """A job that is looked at is found again by its id, and when it is gone that is said and its last state
    shown.
    """
    first = view(queue(), pages=(jobs_page(job("b"), job("a")),))
    followed = FollowedItem.of(first, "a")
    assert followed is not None
    moved = view(queue(), pages=(jobs_page(job("a", retries=2)),))
    assert "2 used of 3" in texts(followed.lines(moved, width=80, show_arguments=True))
    text = texts(followed.lines(view(), width=80, show_arguments=True))
    assert "left the window" in text
    assert "2 used of 3" in text
    assert FollowedItem.of(first, "nothing") is None


@pytest.mark.parametrize("raw", [b"\xff", b"7", b"{}", b"[" * 100_000, b'{"status": "x", "task_args": 5}'])
def test_odd_jobs_in_full(raw: bytes) -> None:
    """Bytes that are no job are shown as far as they can be."""
    assert describe_item(JobInfo.read(raw), view(), width=80, show_arguments=True)


def test_jobs_with_one_id_are_two_rows() -> None:
    """Ids that are missing or written twice do not make one row of two."""
    page = jobs_page(job("a"), job("a"), JobInfo.read(b"x"), JobInfo.read(b"y"))
    rows = find_board(Location("jobs", "q", "head")).rows(
        view(queue(), pages=(page,)), Location("jobs", "q", "head")
    )
    assert len({row.key for row in rows}) == 4
