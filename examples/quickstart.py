"""Jobs in one file, without a server; run it with `python examples/quickstart.py`.

With `RedisBroker()` instead of `MemoryBroker()` the jobs are in Redis or Valkey, and any number of worker
processes runs them: `spinach worker quickstart:engine`.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

from spinach import Engine, MemoryBroker, RetryException

engine = Engine(MemoryBroker(), namespace="quickstart")
fetched = threading.Event()
visits: list[int] = []


@engine.task(name="quickstart:greet")
def greet(name: str) -> None:
    """Not safe to repeat (`max_retries` is 0): runs at most once."""
    print(f"Hello, {name}!")


@engine.task(name="quickstart:fetch", max_retries=3)
def fetch(page: int) -> None:
    """Safe to repeat: runs until it succeeds, at most four times."""
    visits.append(page)
    if len(visits) < 2:
        print(f"Page {page} is not there yet, again in half a second")
        raise RetryException("not there yet", at=datetime.now(timezone.utc) + timedelta(seconds=0.5))
    print(f"Page {page} fetched at attempt {len(visits)}")
    fetched.set()


if __name__ == "__main__":
    for name in ("Ada", "Grace"):
        engine.schedule(greet, name)
    engine.schedule(fetch, page=7)
    engine.start_workers(number=2, block=False)
    fetched.wait(timeout=10)
    engine.stop_workers()
