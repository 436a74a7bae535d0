"""How workers end: from inside a job, with the program around them, by signals, in forked children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from spinach import AsyncioWorkers, Engine, RedisBroker, ThreadWorkers, signals
from tests.servers import Server
from tests.waiting import wait_until

BOTH_WORKERS = pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
REPOSITORY = Path(__file__).resolve().parents[1]
HEAD = """
import os, signal, sys, threading, time
import redis
from spinach import AsyncioWorkers, Engine, RedisBroker, ThreadWorkers, signals
engine = Engine(RedisBroker(redis.Redis(port={port})), namespace={namespace!r})
"""


def start_program(server: Server, namespace: str, body: str) -> subprocess.Popen[str]:
    code = HEAD.format(port=server.port, namespace=namespace) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=REPOSITORY, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


@pytest.fixture
def namespace() -> str:
    return f"ends-{uuid4().hex[:8]}"


@BOTH_WORKERS
@pytest.mark.parametrize("where", ["plain", "coroutine", "receiver"])
def test_a_job_may_stop_its_own_workers(
    valkey_server: Server, namespace: str, workers: Any, where: str
) -> None:
    """`stop_workers` inside a job or a receiver requests the stop: the job ends, then the workers, in
    order.
    """
    engine = Engine(RedisBroker(valkey_server.client()), namespace=namespace)
    ended: list[str] = []

    def stop(*_: Any, **__: Any) -> None:
        engine.stop_workers()
        ended.append("returned")

    async def stop_later() -> None:
        stop()

    engine._tasks.add({"plain": stop, "coroutine": stop_later}.get(where, lambda: None), name="stops")
    if where == "receiver":
        signals.job_finished.connect(stop, sender=namespace, weak=False)
    try:
        engine.start_workers(2, block=False, workers_class=workers)
        engine.schedule("stops")
        wait_until(lambda: engine.vitals is None, "the stop")
        assert ended == ["returned"]
        assert engine._broker.get_all_brokers() == []
        engine.start_workers(1, block=False, workers_class=workers)
    finally:
        signals.job_finished.disconnect(stop, sender=namespace)
        engine.stop_workers()
        engine._broker.flush()


@BOTH_WORKERS
def test_a_program_that_ends_finishes_its_jobs(valkey_server: Server, namespace: str, workers: Any) -> None:
    """A program with `block=False` that simply ends: running jobs finish, the others stay queued, the exit
    code is its own.
    """
    program = start_program(
        valkey_server, namespace,
        f"""
        started = threading.Event()
        @engine.task(name="slow", max_retries=1)
        def slow():
            started.set()
            time.sleep(0.5)
            print("finished")
        @engine.task(name="later", max_retries=1)
        async def later():
            import asyncio
            started.set()
            await asyncio.sleep(0.5)
            print("finished")
        for _ in range(6):
            engine.schedule("slow"); engine.schedule("later")
        engine.start_workers(2, block=False, workers_class={workers.__name__})
        assert started.wait(10)
        sys.exit(7)
        """,
    )  # fmt: skip
    out, err = program.communicate(timeout=40)
    assert program.returncode == 7
    assert "Traceback" not in err
    engine = Engine(RedisBroker(valkey_server.client()), namespace=namespace)
    finished = out.count("finished")
    assert finished >= 1
    assert len(engine._broker.queued_jobs("spinach", 100)) == 12 - finished
    assert engine._broker.get_all_brokers() == []
    engine._broker.flush()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_stop_gracefully(valkey_server: Server, namespace: str, number: signal.Signals) -> None:
    """SIGHUP, as SIGTERM and SIGINT, lets running jobs finish."""
    program = start_program(
        valkey_server, namespace,
        """
        @engine.task(name="slow")
        def slow():
            print("started")
            time.sleep(0.5)
            print("finished")
        engine.schedule("slow")
        engine.start_workers(1)
        print("stopped")
        """,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "started\n"
    program.send_signal(number)
    out, err = program.communicate(timeout=30)
    assert (program.returncode, out) == (0, "finished\nstopped\n"), err


def test_forked_children_have_their_own_handlers(valkey_server: Server, namespace: str) -> None:
    """A pool of processes that a job uses can be terminated: its children did not inherit the worker's
    handlers.
    """
    program = start_program(
        valkey_server, namespace,
        """
        import multiprocessing
        @engine.task(name="pool")
        def pool():
            context = multiprocessing.get_context("fork")
            with context.Pool(2) as made:
                print(made.map(abs, [-1, -2]))
            made.join()
            print("terminated")
        engine.schedule("pool")
        engine.start_workers(1, stop_when_queue_empty=True)
        print("handlers", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        """,
    )  # fmt: skip
    out, err = program.communicate(timeout=30)
    assert (program.returncode, out) == (0, "[1, 2]\nterminated\nhandlers True\n"), err
