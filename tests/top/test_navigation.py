"""What a person does with the screen: places, cursor, order, filter, and the frame that comes of it. Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinach.stats import QueueStats
from spinach_ops.polling.connection import Connection
from spinach_ops.polling.trends import History
from spinach_ops.top.boards import TABS
from spinach_ops.top.boards.queues import COLUMNS
from spinach_ops.top.conditions import Condition
from spinach_ops.top.screen import queue_panel
from spinach_ops.top.screen.draw import draw
from spinach_ops.top.screen.filters import BadFilter, parse_filter
from spinach_ops.top.screen.keys import KEYS, next_interval
from spinach_ops.top.screen.navigation import Navigation, Viewport
from spinach_ops.top.screen.sorting import Ranking, Sort, sort_rows
from spinach_ops.top.view.table import Cell, Row
from spinach_ops.top.view.view_model import Location, ViewModel

from .view_models import group, job, jobs_page, queue, snapshot, status, texts, view, worker

ESCAPES = "\x1b[31m[red]evil[/red]\x07\r\n\u202e\x9b2J"


def names(navigation: Navigation, seen: ViewModel) -> list[str]:
    return [row.key for row in navigation.rows(seen)]


# --- filter and order --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["mail", "mail-low", "pay"]), ("mail", ["mail", "mail-low"]), ("!mail", ["pay"]),
        ("mail !low", ["mail"]),
        ("/^p.y$/", ["pay"]), ("MAIL", ["mail", "mail-low"]), ("depth>100", ["mail-low", "pay"]),
        ("depth>=1k", ["pay"]),
        ("oldest>5m", ["pay"]), ("oldest<=30s mail", ["mail"]), ("queue=low", ["mail-low"]), ("nothing", []),
        ("in>1", []), ("x=y", []), ("!depth>100", ["mail"]),
    ],
)  # fmt: skip
def test_filters(text: str, found: list[str]) -> None:
    """A filter is words that must all hold: texts, their absence, patterns, and comparisons by column."""
    seen = view(queue("mail", 5, 10), queue("mail-low", 500, 60), queue("pay", 2000, 400))
    navigation = Navigation(filters={"queues": text}, sorts={"queues": Sort("QUEUE", descending=False)})
    assert names(navigation, seen) == found


@pytest.mark.parametrize("text", ["/(/", "depth>many", "oldest<x"])
def test_a_filter_that_says_nothing_is_refused(text: str) -> None:
    """A broken pattern and a comparison with no number are refused with words."""
    with pytest.raises(BadFilter):
        parse_filter(text, COLUMNS)


@given(st.text(max_size=30))
def test_no_filter_breaks_the_screen(text: str) -> None:
    """Whatever is typed either filters or is refused."""
    navigation = Navigation(filters={"queues": text})
    assert len(names(navigation, view(queue()))) <= 1


def test_what_is_wrong_comes_first() -> None:
    """Unless somebody sorts, old queues come first, then by age; what is not known is last whichever way."""
    seen = view(
        queue("a", 1, 5), queue("b", 1, 500), queue("c", None, None), queue("d", 1, 70), queue("e", 0)
    )
    navigation = Navigation()
    assert names(navigation, seen) == ["b", "d", "a", "e", "c"]
    navigation.sort_by("DEPTH")
    assert names(navigation, seen)[-1] == "c"
    navigation.sort_by("DEPTH")
    assert (names(navigation, seen)[0], names(navigation, seen)[-1]) == ("e", "c")
    navigation.invert()
    assert names(navigation, seen)[-2:] == ["e", "c"]


def test_sorting_goes_through_all_columns() -> None:
    """The key for sorting goes from column to column and ends where it began."""
    navigation, seen = Navigation(), []
    for _ in COLUMNS:
        navigation.next_sort()
        seen.append(navigation.sorts["queues"].column)
    assert seen == [column.name for column in COLUMNS]
    navigation.next_sort()
    assert navigation.sorts == {}


def test_numbers_are_sorted_as_numbers() -> None:
    """Ten is more than nine."""
    seen = view(*(queue(f"q{depth}", depth) for depth in (9, 10, 100, 2)))
    rows = TABS[0].rows(seen, Location())
    assert [row.key for row in sort_rows(TABS[0], rows, Sort("DEPTH"))] == ["q100", "q10", "q9", "q2"]


def test_rows_do_not_jump_under_a_hand() -> None:
    """Rows are put in a new order at most every 5 s, and never within 2 s after a key; new ones come last."""
    ranking = Ranking()
    first = [Row(key, (Cell(),)) for key in "abc"]
    other = [Row(key, (Cell(),)) for key in "cbad"]

    def order(rows: list[Row], now: float, last_key_at: float = -99, what: object = 1) -> str:
        return "".join(row.key for row in ranking.arrange(rows, what=what, now=now, last_key_at=last_key_at))

    assert order(first, 0) == "abc"
    assert order(other, 3) == "abcd"
    assert order(other, 6, last_key_at=5) == "abcd"
    assert order(other, 8, last_key_at=5) == "cbad"
    assert order(first, 8.1, what=2) == "abc"


# --- cursor ------------------------------------------------------------------------------------------


def test_the_cursor_stays_on_its_row() -> None:
    """The cursor follows its row wherever it goes; when it is gone the cursor stays at its place."""
    viewport = Viewport()
    viewport.follow(list("abcde"), 3)
    viewport.move(list("abcde"), 2)
    viewport.follow(list("ecdba"), 3)
    assert (viewport.key, viewport.index) == ("c", 1)
    viewport.follow(list("eda"), 3)
    assert (viewport.key, viewport.index) == ("d", 1)
    viewport.follow([], 3)
    viewport.follow(list("xyz"), 3)
    assert viewport.index == 0


@given(
    st.lists(st.lists(st.integers(0, 20), unique=True, max_size=20), max_size=8),
    st.integers(1, 9),
    st.integers(-9, 9),
)
def test_the_cursor_is_always_seen(looks: list[list[int]], height: int, steps: int) -> None:
    """Whatever rows come and go, the cursor is on one of them and in the part that is seen."""
    viewport = Viewport()
    for look in looks:
        keys = [str(number) for number in look]
        viewport.move(keys, steps)
        viewport.follow(keys, height)
        if keys:
            assert keys[viewport.index] == viewport.key
            assert viewport.top <= viewport.index < viewport.top + height
            assert viewport.top == 0 or viewport.top + height <= len(keys)


def test_the_cursor_is_on_the_first_row_until_it_is_moved() -> None:
    """Until somebody moves it the cursor is on the first row, whichever that is; then it stays on its row."""
    viewport = Viewport()
    viewport.follow(list("abc"), 3)
    viewport.follow(list("cab"), 3)
    assert viewport.key == "c"
    viewport.move(list("cab"), 1)
    viewport.follow(list("bca"), 3)
    assert viewport.key == "a"


# --- places ------------------------------------------------------------------------------------------


def test_places() -> None:
    """From a queue one goes to its jobs and back to where the cursor was; esc never quits."""
    navigation, seen = Navigation(), view(queue("a", oldest=50), queue("b"))
    draw(seen, navigation, status(), width=80, height=24)
    navigation.move(1)
    navigation.go("jobs")
    assert navigation.location == Location("jobs", "b", "head")
    navigation.turn()
    assert navigation.location == Location("jobs", "b", "tail")
    navigation.turn()
    assert navigation.location == Location("jobs", "b", "head")
    assert navigation.back()
    assert (navigation.location, navigation.viewport.key) == (Location(), "b")
    assert not navigation.back()
    navigation.go("scheduled")
    navigation.go("jobs")
    assert navigation.location == Location("jobs")


def test_back_ends_the_filter_first() -> None:
    """The first esc ends the filter, the next goes back."""
    navigation = Navigation()
    navigation.enter(Location("jobs", "q", "head"))
    navigation.filters["jobs"] = "x"
    assert navigation.back()
    assert (navigation.location.subject, navigation.filters) == ("q", {})
    assert navigation.back()
    assert navigation.location == Location()


def test_another_namespace_keeps_the_view() -> None:
    """Turning to another namespace keeps screen, filter and order, and forgets what was selected."""
    navigation = Navigation()
    navigation.go("workers")
    navigation.filters["workers"] = "x"
    navigation.sorts["workers"] = Sort("RUN")
    navigation.enter(Location("jobs", "worker-id"))
    navigation.home()
    assert (navigation.location, navigation.filters, navigation.sorts) == (
        Location("workers"),
        {"workers": "x"},
        {"workers": Sort("RUN")},
    )


# --- frame -------------------------------------------------------------------------------------------


def full() -> ViewModel:
    history = History()
    seen = snapshot(
        queue("default", 5200, 174, next_task="app.sync"), queue("exports", 0), queue("日本語", 3, 400),
        workers=(worker(), worker("w2", version=None, seen=100)), connected=1, scheduled=1204, overdue=3,
        overdue_seconds=71.0, running=37, failed=2, counters={("q", "t", "started"): 5}, limits=(),
        periodic=(),
        pages=(jobs_page(job(), of="default"),),
    )  # fmt: skip
    history.add(seen, {})
    return ViewModel(seen, history)


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (160, 50), (100, 30), (40, 10), (39, 9), (20, 3)])
@pytest.mark.parametrize("name", [board.name for board in TABS] + ["explain"])
def test_every_board_fits_every_size(size: tuple[int, int], name: str) -> None:
    """On every board and at every size no line is wider and no screen higher than the terminal."""
    navigation = Navigation()
    navigation.go(name)
    text = draw(full(), navigation, status(), width=size[0], height=size[1]).text(*size)
    assert len(text.splitlines()) <= size[1]
    assert max(map(len, text.splitlines())) <= size[0]


def test_the_home_screen_at_80_columns() -> None:
    """At 80x24 everything is there: state, cost, totals, rates, what is wrong, eight tabs, seven columns,
    keys.
    """
    text = draw(full(), Navigation(), status(), width=80, height=24).text(80, 24)
    for part in (
        "● LIVE 2s", "RO", "QUEUED 5,203", "RUNNING 37", "WORKERS !1/2", "OLDEST !!6m40s",
        "SCHED 1,204 (3 late)",
        "findings:", "e explain", "1 Queues", "8 Tasks", "QUEUE", "DEPTH", "IN/s", "OUT/s", "OLDEST", "ETA",
        "RUN",
        "TREND", "▸ 日本語", "!2m54s", "q Quit", "^p More",
    ):  # fmt: skip
        assert part in text
    narrow = draw(full(), Navigation(), status(), width=60, height=15).text(60, 15)
    assert "TREND" not in narrow
    assert all(part in narrow for part in ("QUEUE", "DEPTH", "OLDEST", "RO", "8 Tas"))


def test_a_lost_server_is_told() -> None:
    """While the server is lost: since when, what was last seen, when it is tried again, and why."""
    lost = Connection(failures=3, lost_since=88.0, retry_at=104.0, reason="refused", ever_live=True)
    text = draw(full(), Navigation(), status(lost), width=120, height=24).text(120, 24)
    assert "○ LOST 12s · refused · retry in 4s (#3) · last data 08:00:00" in text
    assert "default" in text
    first = draw(None, Navigation(), status(replace(lost, ever_live=False)), width=80, height=24).text(80, 24)
    assert "LOST" in first
    assert "refused" in first


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("redis at 10.0.0.1:6379: Error 111 connecting to 10.0.0.1:6379. Connection refused.",
            "connection refused"),
        ("redis at 10.0.0.1:6379: Timeout reading from socket", "timeout"),
        ("redis at host.example.internal:6379: WRONGPASS invalid username-password pair or user is disabled.",
         "wrong password"),
        ("redis at host.example.internal:6379: Error -2 connecting. Name or service not known.",
            "name not found"),
    ],
)  # fmt: skip
def test_why_the_server_is_lost_can_be_read(reason: str, words: str, width: int) -> None:
    """At every width the first line and the line of what is wrong begin with why the server is lost; nothing
    is called ok.
    """
    lost = Connection(failures=3, lost_since=88.0, retry_at=104.0, reason=reason, ever_live=True)
    frame = draw(view(queue()), Navigation(), status(lost), width=width, height=24)
    first, *rest = frame.text(width, 24).splitlines()
    assert f"○ LOST 12s · {words} · retry in 4s" in first
    assert any(line.startswith(f" !! no data: {words}: redis at") for line in rest)
    assert "nothing is wrong" not in "".join(rest)


def test_words_instead_of_rows_are_wrapped() -> None:
    """Why there is nothing to see is told in full at 40 columns: before the first look, and where a board is
    empty.
    """
    reason = "redis at host.example.internal:6379 does not answer: Error 111 connecting. Connection refused."
    lost = Connection(failures=3, lost_since=88.0, retry_at=104.0, reason=reason)
    for seen in (None, view()):
        text = draw(seen, Navigation(), status(lost), width=40, height=24).text(40, 24)
        words = reason if seen is None else TABS[0].empty(view(), Location())
        assert words in " ".join(text.split())


@pytest.mark.parametrize(
    ("queues", "shown"),
    [
        ((queue(depth=3),), "QUEUED 3  RUNNING 0  WORKERS 0/0  OLDEST 5s"),
        ((queue(depth=3), queue("x", None, None)), "QUEUED ≥3  RUNNING 0  WORKERS 0/0  OLDEST ≥5s"),
        ((queue("x", None, None),), "QUEUED ≥0  RUNNING 0  WORKERS 0/0  OLDEST ?"),
        ((queue(depth=0, oldest=0),), "QUEUED 0  RUNNING 0  WORKERS 0/0  OLDEST -"),
    ],
)
def test_queues_that_cannot_be_read_make_a_bound(queues: tuple[QueueStats, ...], shown: str) -> None:
    """Depth and age over all queues, of which one could not be read, are marked as lower bounds."""
    assert shown in draw(view(*queues), Navigation(), status(), width=80, height=24).text(80, 24)


def test_a_frozen_screen_says_so() -> None:
    """A frozen screen says since when."""
    assert "FROZEN 12s" in draw(full(), Navigation(), status(frozen_seconds=12.0), width=80, height=24).text(
        80, 24
    )


def test_nothing_is_drawn_but_ascii_when_asked() -> None:
    """With --ascii every line is ASCII and as wide as it was."""
    wide = draw(full(), Navigation(), status(), width=80, height=24)
    plain = draw(full(), Navigation(), status(), width=80, height=24, ascii_only=True)
    assert plain.text(80, 24).isascii()
    assert len(plain.table) == len(wide.table)


@pytest.mark.parametrize("name", [board.name for board in TABS] + ["explain"])
def test_nothing_a_terminal_obeys_is_drawn(name: str) -> None:
    """Names, messages and arguments with escapes, controls and marks of direction are written out."""
    seen = view(
        queue(ESCAPES, 3, 500, next_task=ESCAPES),
        workers=(worker(ESCAPES, seen=90, state=ESCAPES, queues=[ESCAPES]),),
        counters={(ESCAPES, ESCAPES, "started"): 1},
        pages=(jobs_page(job(ESCAPES, task_name=ESCAPES, task_args=[ESCAPES])),),
    )  # fmt: skip
    navigation = Navigation()
    navigation.go(name)
    frame = draw(
        seen,
        navigation,
        status(Connection(failures=1, lost_since=1, reason=ESCAPES)),
        width=160,
        height=50,
    )
    lines = texts([*frame.head, *frame.table, frame.bar])
    assert all(line.isprintable() for line in lines.splitlines())
    assert "\x1b" not in lines


def test_an_odd_group_is_shown() -> None:
    """A failure group of an unknown task is shown as such."""
    from spinach.stats import Page, Wanted

    seen = view(pages=(Page(Wanted("groups"), groups=(group("", ESCAPES, sample_message=ESCAPES),)),))
    navigation = Navigation()
    navigation.go("failures")
    frame = draw(seen, navigation, status(), width=160, height=20)
    assert "(unknown)" in frame.text(160, 20)
    assert texts(frame.table).replace("\n", "").isprintable()


# --- keys and conditions -----------------------------------------------------------------------------


def test_keys_are_unique() -> None:
    """No key does two things, and each says what it does."""
    keys = [name for key in KEYS for name in key.keys.split(",")]
    assert len(keys) == len(set(keys))
    assert all(key.help and key.label and key.action for key in KEYS)


def test_intervals() -> None:
    """The interval goes through its steps and ends at both ends."""
    assert [next_interval(seconds, 1) for seconds in (0.2, 2, 60)] == [1, 5, 60]
    assert [next_interval(seconds, -1) for seconds in (1, 2, 45)] == [1, 1, 30]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("oldest>5m", True), ("oldest > 500", False), ("depth>=5200", True), ("workers.connected<1", False),
        ("workers.connected<2", True), ("scheduled.late>60", True), ("scheduled.overdue>3", False),
        ("failed!=2", False),
        ("orphaned=0", True),
    ],
)  # fmt: skip
def test_conditions(text: str, holds: bool) -> None:
    """A condition of --fail-if compares a fact with a number that may carry a unit."""
    seen = full().snapshot
    condition = Condition.parse(text)
    assert condition.holds(seen) is holds
    assert condition.fact in condition.evidence(seen)


@pytest.mark.parametrize("text", ["", "oldest", "oldest>x", "nothing>1", "oldest>>1", "oldest>1 or 2"])
def test_no_conditions(text: str) -> None:
    """What is no condition is refused with an example and the facts there are."""
    with pytest.raises(ValueError, match=r"workers\.connected"):
        Condition.parse(text)


@pytest.mark.parametrize("text", ["workers.connected<1", "failed>0", "workers<1", "orphaned>0", "running=0"])
def test_what_is_not_known_cannot_be_told(text: str) -> None:
    """Of a fact that could not be read nobody can tell whether it fulfils a condition."""
    unread = snapshot(connected=None, failed=None, running=None)
    assert Condition.parse(text).holds(unread) is None
    assert "is not known" in Condition.parse(text).evidence(unread)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("depth>99", True), ("depth>=100", True), ("depth>100", None), ("depth<100", False),
        ("depth<=99", False),
        ("depth<=100", None), ("depth=99", False), ("depth=100", None), ("depth!=99", True),
        ("depth!=100", None),
        ("queued>5", True), ("queued<500", None), ("oldest>50", True), ("oldest>5m", None),
        ("running>0", None),
    ],
)  # fmt: skip
def test_a_lower_bound_proves_what_it_can(text: str, holds: bool | None) -> None:
    """Where one queue or worker could not be read, the others still prove that there is more than
    something.
    """
    unread = replace(worker("w2", running=0), running=None)
    seen = snapshot(queue("a", 100, 60), queue("b", None, None), workers=(unread,))
    condition = Condition.parse(text)
    assert condition.holds(seen) is holds
    assert "at least" in condition.evidence(seen)


# --- panel -------------------------------------------------------------------------------------------


def test_the_panel_beside_the_queues() -> None:
    """From 140 columns on, the selected queue's next jobs, its mix of tasks and its depth stand beside the
    table.
    """
    jobs = [job(f"id-{number}", queue="default") for number in range(12)]
    jobs += [job("odd", queue="default", task_name=ESCAPES)]
    seen = full()
    seen = replace(seen, snapshot=replace(seen.snapshot, pages=(jobs_page(*jobs, of="default"),)))
    navigation = Navigation(filters={"queues": "default"})
    text = draw(seen, navigation, status(), width=160, height=50).text(160, 50)
    for part in (
        "next 10 of 5,200",
        "by task, of the first 13",
        "task",
        "12 ██",
        "depth over 1 min, highest 5,200",
    ):
        assert part in text
    assert text.replace("\n", "").isprintable()
    assert max(map(len, text.splitlines())) <= 160
    assert "next 10" not in draw(seen, navigation, status(), width=139, height=50).text(139, 50)
    (wanted,) = queue_panel.wanted(navigation, 160)
    assert (wanted.kind, wanted.of) == ("queue", "default")
    assert queue_panel.wanted(navigation, 139) == ()


def test_the_panel_does_not_show_another_queue() -> None:
    """Right after the cursor moved, jobs of the queue before are not shown as those of the next."""
    navigation = Navigation(filters={"queues": "exports"})
    text = draw(full(), navigation, status(), width=160, height=50).text(160, 50)
    assert "reading ..." in text
