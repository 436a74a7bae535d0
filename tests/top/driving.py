"""Runs the screen without a terminal, for the length of a story that presses keys and looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual.pilot import Pilot

from spinach.brokers.redis.from_url import connect
from spinach_ops.top.tui.app import ScreenOptions, TopApp
from spinach_ops.top.tui.canvas import Canvas
from tests.waiting import Deadline

INTERVAL = 0.2
Story = Callable[[TopApp, Pilot[int]], Awaitable[None]]


def drive(
    url: str, namespace: str, story: Story, *, size: tuple[int, int] = (80, 24), **options: object
) -> TopApp:
    """Run the app on a server for the length of a story."""

    async def run() -> TopApp:
        app = TopApp(
            lambda name: connect(url, name), namespace,
            options=ScreenOptions(**{"interval_seconds": INTERVAL, **options}),  # type: ignore[arg-type]
        )  # fmt: skip
        async with app.run_test(size=size) as pilot:
            await story(app, pilot)
        return app

    return asyncio.run(run())


async def until(pilot: Pilot[int], condition: Callable[[], object], what: str = "") -> None:
    deadline = Deadline(what or (lambda: screen(pilot.app)))
    while not condition():
        deadline.check()
        await pilot.pause(0.02)


def screen(app: object) -> str:
    """Return what stands on the screen, as text."""
    assert isinstance(app, TopApp)
    lines = []
    for canvas in app.screen.query(Canvas):
        lines += [canvas.render_line(y).text.rstrip() for y in range(canvas.size.height)]
    return "\n".join(lines)


def shows(app: TopApp, *parts: str) -> Callable[[], bool]:
    return lambda: all(part in screen(app) for part in parts)
