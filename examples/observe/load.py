"""The load: schedules a steady mix of jobs, in a process of its own.

On SIGTERM it ends and prints how many jobs it scheduled, as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable

from spinach import Batch, Engine
from spinach.exc import BrokerUnavailable

from . import app, settings


class Load:
    """Schedules jobs tick by tick, the same in every run.

    Args:
        engine: Schedules the jobs.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ticks = 0
        self._orders = 0
        self.scheduled: Counter[str] = Counter()

    def tick(self) -> None:
        """Schedule the jobs of one tick as one batch."""
        batch = Batch()
        counts: Counter[str] = Counter()

        def add(task: Callable[..., object], name: str, *arguments: object) -> None:
            batch.schedule(task, *arguments)
            counts[name] += 1

        for _ in range(settings.ORDERS_PER_TICK):
            add(app.charge, "order:charge", self._next_order())
        for _ in range(settings.MAILS_PER_TICK):
            add(app.send_mail, "mail:send", self._orders)
        for _ in range(settings.FLAKY_PER_TICK):
            add(app.authorise, "order:authorise", self._next_order(), True)
        if self._ticks % settings.BROKEN_ONE_IN == 0:
            add(app.deliver, "order:deliver", self._next_order())
        if self._ticks % settings.BURST_EVERY_TICKS == 0:
            for number in range(settings.REPORTS_PER_BURST):
                add(app.build_report, "report:build", number)
        batch.schedule_at(app.remind, app.in_seconds(settings.REMINDER_DELAY_SECONDS), self._orders)
        counts["order:remind"] += 1
        self._engine.schedule_batch(batch)
        self._ticks += 1
        self.scheduled += counts  # only what the broker accepted

    def _next_order(self) -> int:
        self._orders += 1
        return self._orders


def main() -> int:
    """Schedule until SIGTERM; return the exit code."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    end_tracing = _start_tracing(app.engine)
    load = Load(app.engine)
    while not stopping.is_set():
        try:
            load.tick()
        except BrokerUnavailable as error:  # the next tick tries again
            print(f"not scheduled: {error}", file=sys.stderr, flush=True)
        stopping.wait(settings.TICK_SECONDS)
    end_tracing()
    print(json.dumps(load.scheduled, sort_keys=True), flush=True)
    return 0


def _start_tracing(engine: Engine) -> Callable[[], None]:
    """Trace scheduled jobs if a collector is named; return a function that ends the tracing."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return lambda: None
    from spinach_ops.tracing.provider import trace_worker  # takes longer to load than all else

    return trace_worker(engine)


if __name__ == "__main__":
    sys.exit(main())
