"""How workers end: from inside a job, with the program around them, by signals, in forked children."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from spinach import AsyncioWorkers, Engine, RedisBroker, ThreadWorkers, signals
from tests.cli import REPOSITORY, Cli
from tests.servers import Server
from tests.waiting import PATIENCE_SECONDS, wait_until

BOTH_WORKERS = pytest.mark.parametrize("workers", [ThreadWorkers, AsyncioWorkers])
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


SLOW_IMPORT = """
import time
open("importing", "w").close()
while True:
    try:
        time.sleep(1)
    except BaseException:  # as careless applications do
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_worker_that_still_imports_the_application(cli: Cli, number: signal.Signals) -> None:
    """No job ran yet: the process ends at once with 0 and says so, whatever the application catches."""
    (cli.folder / "slow.py").write_text(SLOW_IMPORT)
    worker = cli.start("worker", "slow:engine")
    wait_until((cli.folder / "importing").exists)
    worker.send_signal(number)
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert cli.log == "stopped by a signal before the workers started: no job ran\n"


@pytest.mark.parametrize("delay", [0.02 * step for step in range(1, 16)])
def test_a_signal_at_any_moment_ends_the_worker(cli: Cli, delay: float) -> None:
    """From before the interpreter has started until jobs run: the process ends, without a traceback."""
    worker = cli.start("worker", "app:engine", "--asyncio", "2")
    time.sleep(delay)
    worker.send_signal(signal.SIGTERM)
    # Before Python runs the first instruction, the kernel's default holds.
    assert worker.wait(PATIENCE_SECONDS) in (0, -signal.SIGTERM)
    assert "Traceback" not in cli.log


def _may_unshare() -> bool:
    return (
        shutil.which("unshare") is not None
        and not subprocess.run(
            ["unshare", "--pid", "--fork", "true"], capture_output=True, check=False
        ).returncode
    )


@pytest.mark.skipif(not _may_unshare(), reason="needs the right to make a PID namespace: unshare --pid")
@pytest.mark.parametrize("when", ["importing", "running"])
def test_process_1_of_a_container_obeys(cli: Cli, when: str) -> None:
    """The kernel drops signals that process 1 has no handler for; the worker has one from the beginning."""
    (cli.folder / "slow.py").write_text(SLOW_IMPORT)
    target = "slow:engine" if when == "importing" else "app:engine"
    flag = cli.folder / when
    if when == "running":
        cli.engine.schedule("waits", str(flag))
        (cli.folder / "running.go").touch()
    worker = cli.start("worker", target, under=["unshare", "--pid", "--fork", "--kill-child"])
    wait_until(flag.exists)
    (child,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert "no job ran" in cli.log or "stopped: 1 attempts" in cli.log
