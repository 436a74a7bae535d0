"""The screen on a real server: what keys do, what a loss of the server does, what hostile names cannot do."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from spinach import Engine, RedisBroker, Tasks
from spinach.brokers.base import Broker
from spinach_ops.top.screen.keys import KEYS
from spinach_ops.top.tui.app import TopApp
from spinach_ops.top.tui.canvas import Canvas
from spinach_ops.top.tui.overlays import Detail, Help, Picker
from tests.brokers.conftest import MakeRedisBroker
from tests.brokers.helpers import claim, failed, queued, settle, task, waiting
from tests.brokers.test_inspect import FORBIDDEN
from tests.servers import Server

from .driving import INTERVAL, drive, screen, shows, until

ESCAPES = "\x1b[31m[red]evil[/red]\x07\r\n\u202e\x9b2J"


@pytest.fixture
def make(valkey_server: Server) -> Iterator[MakeRedisBroker]:
    maker = MakeRedisBroker(valkey_server)
    yield maker
    maker.close()


def fill(make: MakeRedisBroker) -> Broker:
    """Put something on every board; return the worker."""
    client, worker = make(), make.worker(slots=2)
    client.register([task("task", limit=9), task("poll", period=60, queue="p")])
    client.enqueue([queued(number, secret=f"s3cret{number}", retries=0) for number in range(5)])
    client.enqueue([queued(number, queue="mail", name="send") for number in range(40)])
    client.enqueue([waiting(client, 1, seconds=3600)])
    first, _ = claim(worker, 2)
    settle(worker, failed(worker, first, message="it broke"))
    return worker


def test_every_board_of_a_namespace(make: MakeRedisBroker) -> None:
    """Each number shows its board with what is in the namespace, in one round trip once it is known."""
    worker = fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "● LIVE", "QUEUED 43", "mail", "40"))
        for key, parts in {
            "2": (worker.worker_id[:8], "● live", "1 of 2 slots"),
            "4": ("next 1 of 1", "59m"),
            "5": ("poll", "1m00s"),
            "6": ("task", "1/9"),
            "7": ("task", "ValueError", "it broke"),
            "8": ("task", "STARTED"),
            "1": ("QUEUE", "DEPTH", "TREND"),
        }.items():
            await pilot.press(key)
            await until(pilot, shows(app, *parts))
        await until(pilot, shows(app, " 1 rt "))

    drive(make.server.url, make.default_namespace, story)


def test_from_a_limit_to_the_jobs_that_hold_its_slots(make: MakeRedisBroker) -> None:
    """Enter shows who holds the slots of a task, since when, and how many are taken."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "● LIVE"))
        await pilot.press("6")
        await until(pilot, shows(app, "1/9"))
        await pilot.press("enter")
        await until(pilot, shows(app, "running jobs of task task: 1 shown, 1 of 9 slots taken"))
        await pilot.press("escape")
        await until(pilot, shows(app, "1/9"))

    drive(make.server.url, make.default_namespace, story)


def test_from_a_queue_to_a_job(make: MakeRedisBroker) -> None:
    """Enter leads from a queue to its jobs and to a job in full; v shows the other end; esc leads back."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        await pilot.press("slash", *"mail", "enter", "enter")
        await until(pilot, shows(app, "first 34 of 40"))
        await pilot.press("v")
        await until(pilot, shows(app, "last 34 of 40"))
        await pilot.press("G", "enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await until(pilot, shows(app, "send", "status", "queued", "(hidden) a shows them"))
        await pilot.press("a")
        await until(pilot, shows(app, "send", "status", "queued", "[", "39"))
        await pilot.press("escape", "escape")
        await until(pilot, shows(app, "filter mail"))
        await pilot.press("escape")
        await until(pilot, shows(app, "▸ mail"))
        assert "filter mail" not in screen(app)
        await pilot.press("escape", "escape")
        assert app.is_running

    drive(make.server.url, make.default_namespace, story)


def test_from_a_failure_to_its_traceback(make: MakeRedisBroker) -> None:
    """Enter leads from a group to its jobs and to a traceback; arguments are hidden until a shows them."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await pilot.press("7")
        await until(pilot, shows(app, "ValueError"))
        await pilot.press("enter")
        await until(pilot, shows(app, "1 kept", "it broke"))
        await pilot.press("enter")
        await until(pilot, shows(app, "Traceback ..."))
        assert "s3cret" not in screen(app)
        await pilot.press("a", "G")
        await until(pilot, shows(app, "s3cret"))

    drive(make.server.url, make.default_namespace, story)


def test_arguments_are_hidden_at_first(make: MakeRedisBroker) -> None:
    """No board and no job in full shows or copies arguments until a is pressed; then each does until it is
    pressed again.
    """
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "▸ q"))
        await pilot.press("3")
        await until(pilot, shows(app, "first 3 of 3", "(hidden)"))
        await pilot.press("enter")
        await until(pilot, shows(app, "(hidden) a shows them"))
        assert "s3cret" not in screen(app)
        await pilot.press("y")
        await until(pilot, lambda: "status" in app.clipboard)
        assert "s3cret" not in app.clipboard
        await pilot.press("a", "y")
        await until(pilot, shows(app, "s3cret"))
        await until(pilot, lambda: "s3cret" in app.clipboard)
        await pilot.press("escape", "a")
        await until(pilot, shows(app, "first 3 of 3", "s3cret"))
        await pilot.press("a")
        await until(pilot, shows(app, "first 3 of 3", "(hidden)"))

    drive(make.server.url, make.default_namespace, story, size=(160, 50))


def test_hidden_arguments_stay_hidden(make: MakeRedisBroker) -> None:
    """With --hide-args no key shows arguments."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "▸ q"))
        await pilot.press("3")
        await until(pilot, shows(app, "first 3 of 3", "(hidden)"))
        await pilot.press("4", "3")
        await until(pilot, shows(app, "running jobs of all workers: 1 shown", "(hidden)"))
        await pilot.press("a", "enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await pilot.press("a")
        await until(pilot, shows(app, "(hidden)"))
        assert "s3cret" not in screen(app)

    drive(make.server.url, make.default_namespace, story, hide_arguments=True, size=(160, 50))


def test_the_engine_at_work(valkey_server: Server) -> None:
    """While an engine works the screen shows its workers, its rates and its failures as they come."""
    make, tasks = MakeRedisBroker(valkey_server), Tasks()
    tasks.add(lambda: None, name="works", queue="busy")
    tasks.add(lambda: 1 / 0, name="breaks", queue="busy", max_retries=0)
    engine = Engine(RedisBroker(valkey_server.client()), namespace=make.default_namespace)
    engine.attach_tasks(tasks)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "busy", "WORKERS 1/1"))
        stop = threading.Event()

        def produce() -> None:
            while not stop.wait(0.01):
                engine.schedule("works")

        producer = threading.Thread(target=produce)
        producer.start()
        engine.schedule("breaks")
        try:
            await pilot.press("8")
            await until(pilot, lambda: app.polled.trends.smoothed_tasks and "works" in screen(app))
            await until(
                pilot,
                lambda: sum(rates.ended for rates in app.polled.trends.smoothed_tasks.values()) > 10,
                "a rate",
            )
            await pilot.press("7")
            await until(pilot, shows(app, "breaks", "ZeroDivision"))
        finally:
            stop.set()
            producer.join()

    engine.start_workers(number=2, queue="busy", block=False)
    try:
        drive(make.server.url, make.default_namespace, story)
    finally:
        engine.stop_workers()
        make.close()


# --- keys --------------------------------------------------------------------------------------------


def test_the_cursor_survives_looks_and_order(make: MakeRedisBroker) -> None:
    """The cursor stays on its row while looks come, rows are added and the order is turned round."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        await pilot.press("slash", *"mail", "enter", "j", "escape")
        await until(pilot, shows(app, "▸ mail"))
        make().enqueue([queued(1, queue="another")])
        await until(pilot, shows(app, "another", "▸ mail"))
        await pilot.press("s", "s")
        await until(pilot, shows(app, "DEPTH▼", "▸ mail"))
        await pilot.press("S")
        await until(pilot, shows(app, "DEPTH▲", "▸ mail"))

    drive(make.server.url, make.default_namespace, story)


def test_a_frozen_screen_stands_still(make: MakeRedisBroker) -> None:
    """Frozen, the screen shows what it showed while looks go on; thawed, it shows the last one."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "QUEUED 43"))
        await pilot.press("space")
        await until(pilot, shows(app, "FROZEN"))
        make().enqueue([queued(1)])
        await until(pilot, lambda: app.polled._seen.poll.snapshot.queued == 44)  # type: ignore[union-attr]
        assert "QUEUED 43" in screen(app)
        await pilot.press("space")
        await until(pilot, shows(app, "QUEUED 44"))

    drive(make.server.url, make.default_namespace, story)


def test_the_interval_and_the_help(make: MakeRedisBroker) -> None:
    """Plus and minus change the interval; the help lists every key and every column."""

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "● LIVE 0.2s"))
        await pilot.press("plus", "plus")
        await until(pilot, shows(app, "● LIVE 2s"))
        await pilot.press("minus")
        await until(pilot, shows(app, "● LIVE 1s"))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await until(pilot, shows(app, *(key.help for key in KEYS), "OLDEST", "a lower bound"))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Help))

    drive(make.server.url, make.default_namespace, story, size=(160, 50))


def test_who_looks_away_costs_less(make: MakeRedisBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody looked at the terminal for a while the interval is five times as long; it is as before at
    once on return.
    """
    monkeypatch.setattr("spinach_ops.top.tui.app._AWAY_SECONDS", 0.05)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "● LIVE 0.2s"))
        app.post_message(events.AppBlur())
        await until(pilot, shows(app, "● LIVE 1s"))
        app.post_message(events.AppFocus())
        await until(pilot, shows(app, "● LIVE 0.2s"))

    drive(make.server.url, make.default_namespace, story)


def test_nothing_dear_is_sent(make_server: Callable[..., Server]) -> None:
    """On all boards together the server is asked nothing that scans, blocks or changes, but for one search
    for queues.
    """
    make = MakeRedisBroker(make_server("valkey"))
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        make.redis.config_resetstat()
        for key in ("enter", "v", "1", "2", "3", "4", "5", "6", "7", "enter", "8", "e"):
            await pilot.press(key)
            await pilot.pause(INTERVAL)

    drive(make.server.url, make.default_namespace, story, size=(160, 50))
    used = {name.removeprefix("cmdstat_").partition("|")[0] for name in make.redis.info("commandstats")}
    assert not used & (FORBIDDEN - {"lrange"})
    assert {"lrange", "zrevrange", "hscan"} <= used
    make.close()


def test_a_filter_that_says_nothing_is_told(make: MakeRedisBroker) -> None:
    """A filter that cannot be is told in words, and the line stays open; esc ends it."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        await pilot.press("slash", *"/(/", "enter")
        await until(pilot, lambda: len(app._notifications) == 1)
        await pilot.press("escape")
        assert app.navigation.filters == {}
        await until(pilot, shows(app, "mail", " q "))

    drive(make.server.url, make.default_namespace, story)


def test_another_namespace(make: MakeRedisBroker) -> None:
    """N lists the namespaces of the server; the chosen one is shown on the same screen."""
    other = MakeRedisBroker(make.server)
    worker = other.worker(slots=77)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "● LIVE"))
        await pilot.press("2", "n")
        await until(pilot, lambda: isinstance(app.screen, Picker))
        await until(pilot, lambda: other.default_namespace in app.screen._names)  # type: ignore[attr-defined]
        await pilot.press(*other.default_namespace[-8:], "enter")
        await until(pilot, shows(app, worker.worker_id[:8], "77", other.default_namespace))

    drive(make.server.url, make.default_namespace, story)
    other.close()


def test_the_mouse(make: MakeRedisBroker) -> None:
    """A click on a tab goes there, on a heading sorts, on a row selects, on the selected row opens."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        await until(pilot, lambda: app.query_one("#table").region.y == 5)
        heading = app.query_one("#table", Canvas).render_line(0).text
        await pilot.click("#table", offset=(heading.index("DEPTH") + 1, 0))
        await until(pilot, shows(app, "DEPTH▼"))
        row = 2 if app.navigation.viewport.index == 0 else 1
        await pilot.click("#table", offset=(5, row))
        await until(pilot, lambda: app.navigation.viewport.index == row - 1)
        await pilot.click("#table", offset=(5, row))
        await until(pilot, lambda: app.navigation.location.board == "jobs")
        await pilot.click("#head", offset=(12, 4))
        await until(pilot, lambda: app.navigation.location.board == "workers")

    drive(make.server.url, make.default_namespace, story)


def test_the_palette(make: MakeRedisBroker) -> None:
    """The palette offers every key by its name, and does what the key does."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert {f"{key.label} ({key.shown})" for key in KEYS} < offered
        await pilot.press("ctrl+p", *"Workers", "enter")
        await until(pilot, lambda: app.navigation.location.board == "workers")

    drive(make.server.url, make.default_namespace, story)


def test_a_size_of_one_line(make: MakeRedisBroker) -> None:
    """A terminal too small for a table has one line; when it grows the table is back."""
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        await pilot.resize_terminal(38, 6)
        await until(pilot, shows(app, "● LIVE QUEUED 43"))
        assert "mail" not in screen(app)
        await pilot.resize_terminal(100, 30)
        await until(pilot, shows(app, "mail", "TREND"))

    drive(make.server.url, make.default_namespace, story)


def test_a_number_leads_out_of_everything(make: MakeRedisBroker) -> None:
    """From a job in full or from the help a number leads to its board; other keys do nothing to the table
    below.
    """
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await until(pilot, shows(app, "next 1 of 1"))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await pilot.press("s", "v", "n", "slash")
        assert isinstance(app.screen, Detail)
        assert app.navigation.sorts == {}
        await pilot.press("question_mark", "2")
        await until(pilot, shows(app, "WORKER", "STATE"))

    drive(make.server.url, make.default_namespace, story)


@pytest.mark.parametrize(
    ("keys", "code"), [(["q"], 0), (["question_mark", "q"], 0), (["n", "ctrl+c"], 130), (["ctrl+c"], 130)]
)
def test_the_end(make: MakeRedisBroker, keys: list[str], code: int) -> None:
    """The key q ends with 0, ctrl+c with 130, from wherever one is."""

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await pilot.press(*keys)
        await until(pilot, lambda: app.return_code is not None)

    assert drive(make.server.url, make.default_namespace, story).return_code == code


# --- loss --------------------------------------------------------------------------------------------


def test_the_server_goes_and_comes_back(make_server: Callable[..., Server]) -> None:
    """Without the server the screen keeps what it saw, says since when and why, and works on; then it is live
    again.
    """
    make = MakeRedisBroker(make_server("valkey", "--appendonly", "yes"))
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.polled.trends.smoothed and shows(app, "● LIVE", "mail")())
        make.server.kill()
        await until(pilot, shows(app, "○ LOST", "retry in", "mail"))
        assert app.query_one("#table").has_class("-stale")
        await pilot.press("2")
        await until(pilot, shows(app, "WORKER", "STATE", "○ LOST"))
        await pilot.press("1")
        make.server.start()
        make().enqueue([queued(number, queue="mail") for number in range(500)])
        await pilot.press("ctrl+r")
        await until(pilot, shows(app, "● LIVE", "540"))
        assert (
            "mail" not in app.polled.trends.smoothed or app.polled.trends.smoothed["mail"].in_per_second == 0
        )
        assert not app.query_one("#table").has_class("-stale")

    drive(make.server.url, make.default_namespace, story)
    make.close()


def test_a_server_that_is_not_there_at_first(make_server: Callable[..., Server]) -> None:
    """The screen starts without a server, says so, and fills when there is one."""
    make = MakeRedisBroker(make_server("valkey"))
    make.server.kill()

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "○ LOST"))
        make.server.start()
        fill(make)
        await pilot.press("ctrl+r")
        await until(pilot, shows(app, "● LIVE", "mail"))

    drive(make.server.url, make.default_namespace, story)
    make.close()


def test_keys_work_while_the_server_hangs(make_server: Callable[..., Server]) -> None:
    """While a look waits for an answer every key is on the screen within 50 ms."""
    make = MakeRedisBroker(make_server("valkey"))
    fill(make)

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "mail"))
        assert make.server.pid is not None
        os.kill(make.server.pid, signal.SIGSTOP)
        await until(pilot, lambda: "● LIVE" not in screen(app))
        took, table = [], app.query_one("#table", Canvas)
        for key, part in (("2", "STATE"), ("1", "DEPTH"), ("4", "DUE IN"), ("1", "DEPTH"), ("2", "STATE")):
            began = time.perf_counter()
            app.simulate_key(key)
            while part not in table.render_line(0).text:
                await asyncio.sleep(0)
            took.append(time.perf_counter() - began)
        assert sorted(took)[len(took) // 2] < 0.05  # others may use this machine
        assert "● LIVE" not in screen(app)
        os.kill(make.server.pid, signal.SIGCONT)
        await until(pilot, shows(app, "● LIVE"))

    drive(make.server.url, make.default_namespace, story)
    make.close()


# --- what comes from Redis ---------------------------------------------------------------------------


def test_hostile_names_are_only_text(make: MakeRedisBroker) -> None:
    """Names and messages with markup and escapes are shown as text on every board and in full, and do
    nothing.
    """
    worker = make.worker(ESCAPES.replace("\n", ""), slots=2)
    make().enqueue([queued(ESCAPES, name=ESCAPES, queue=ESCAPES, retries=0) for _ in range(3)])
    job = claim(worker, 1, ESCAPES)[0]
    settle(worker, failed(worker, job, message=ESCAPES))

    async def story(app: TopApp, pilot: Pilot[int]) -> None:
        await until(pilot, shows(app, "[red]ev"))
        for key in ("1", "enter", "enter", "escape", "2", "4", "6", "8", "7", "enter", "enter", "a"):
            await pilot.press(key)
            await pilot.pause(INTERVAL)
            assert "\x1b" not in screen(app)
            assert "\x9b" not in screen(app)
        await until(pilot, shows(app, "\\x1b[31m[red]evil[/red]\\x07"))
        await pilot.press("y", "escape", "y", "escape", "e")
        await until(pilot, shows(app, "4 findings", "[re"))

    drive(make.server.url, make.default_namespace, story)


@pytest.mark.parametrize("size", ["80x24", "160x50"])
def test_pictures_fetch_nothing(size: str) -> None:
    """The pictures in the documentation show the screen and load no font or anything else from elsewhere."""
    text = (Path(__file__).parents[2] / f"docs/spinach-top-{size}.svg").read_text(encoding="utf-8")
    assert "TREND" in text
    assert "@font-face" not in text
    assert "url(http" not in text


def test_keys_stand_in_the_documentation() -> None:
    """Each key of the help stands in docs/top.md with what it does."""
    text = (Path(__file__).parents[2] / "docs/top.md").read_text(encoding="utf-8")
    for key in KEYS:
        assert f"| `{key.shown}` | {key.help} |" in text, key.shown
