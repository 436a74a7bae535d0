"""The command `spinach worker`: real processes, a real server."""

from __future__ import annotations

import logging
import re
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from spinach import Engine, signals
from spinach.exc import BrokerUnavailable
from spinach.job import Job
from spinach.stats import WorkerInfo
from spinach_ops.text import duration, printable
from spinach_ops.worker import command as worker_cli
from spinach_ops.worker.app_loader import TargetError, load_engine
from spinach_ops.worker.log import AttemptLog, PersonFormatter
from tests.waiting import PATIENCE_SECONDS, wait_until

from .cli import Cli
from .prometheus import fetch

# --- running -------------------------------------------------------------------------------------


def test_burst_runs_what_is_there_and_ends(cli: Cli) -> None:
    """With `--burst` the worker runs all jobs of its queue, tells each in one line, sums up, and exits with
    0.
    """
    jobs = [cli.engine.schedule("ok", secret="s3cret") for _ in range(3)]
    assert cli.run("worker", "app:engine", "--burst") == 0
    for job in jobs:
        (line,) = (line for line in cli.log.splitlines() if str(job.id)[:8] in line)
        assert "done" in line
        assert "  ok  " in line
        assert "attempt 1/1" in line
    assert "3 done, 0 retried, 0 failed, 0 recovered" in cli.log


def test_banner_says_what_runs_where(cli: Cli) -> None:
    """The banner names engine, namespace, server, queue, slots and tasks."""
    assert cli.run("worker", "app:engine", "--burst", "--threads", "2") == 0
    address = cli.environment["URL"].removeprefix("redis://").removesuffix("/0")
    for expected in (
        "app:engine",
        cli.namespace,
        address,
        "queue      spinach",
        "2 in threads",
        "ok, fails, retried",
    ):
        assert expected in cli.log


def test_metrics_are_served_where_the_banner_says(cli: Cli) -> None:
    """With `--metrics-port` the worker serves metrics and health; the address stands in the banner."""
    worker = cli.start("worker", "app:engine", "--metrics-port", "0")
    wait_until(lambda: "workers of" in cli.log)
    (url,) = re.findall(r"metrics +(http://127\.0\.0\.1:\d+)/metrics", cli.log)
    cli.engine.schedule("ok")
    wait_until(lambda: 'spinach_jobs_finished_total{outcome="succeeded"' in fetch(f"{url}/metrics"))
    assert fetch(f"{url}/readyz")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_SECONDS) == 0
    with pytest.raises(OSError, match="refused"):
        fetch(f"{url}/healthz")


def test_a_port_that_is_taken_stops_no_job(cli: Cli) -> None:
    """Where metrics cannot be served the worker says so twice, and runs its jobs."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        cli.engine.schedule("ok")
        assert cli.run("worker", "app:engine", "--burst", "--metrics-port", str(port)) == 0
    assert (
        f"No metrics are served: cannot listen on 127.0.0.1, port {port}: taken by another process" in cli.log
    )
    assert "NOT SERVED, see above" in cli.log
    assert "1 done" in cli.log


def test_password_and_arguments_are_not_logged(cli: Cli) -> None:
    """Neither the server's password nor arguments of jobs reach the log."""
    cli.environment["URL"] = cli.environment["URL"].replace(
        "redis://", "redis://default:s3cret@"
    )  # accepts any
    cli.engine.schedule("ok", secret="s3cret")
    cli.run("worker", "app:engine", "--burst", "--log-level", "debug", "--tracebacks")
    assert "1 done" in cli.log
    assert "s3cret" not in cli.log


def test_errors_are_told_on_one_line_with_nothing_a_terminal_obeys(cli: Cli) -> None:
    """A failure shows type and message on the attempt's own line, control characters escaped."""
    cli.engine.schedule("fails")
    assert cli.run("worker", "app:engine", "--burst") == 0
    (line,) = (line for line in cli.log.splitlines() if "FAILED" in line)
    assert r"ValueError: no such \x1b[31morder\nforged line" in line
    assert "\x1b" not in cli.log
    assert "Traceback" not in cli.log


def test_retry_tells_when_it_runs_again(cli: Cli) -> None:
    """A retry shows the attempt, the error, and when the next attempt is due."""
    cli.engine.schedule("retried")
    assert cli.run("worker", "app:engine", "--burst") == 0
    (line,) = (line for line in cli.log.splitlines() if "  retry " in line)
    assert "attempt 1/2, again at " in line
    assert "KeyError: 'gone'" in line


def test_retry_of_another_day_tells_the_date(caplog: pytest.LogCaptureFixture) -> None:
    """A time without its date means today."""
    log = AttemptLog("dates")
    log.connect()
    job = Job("task", "q", datetime(2031, 5, 6, 7, 8, 9, tzinfo=timezone.utc), 3, (), {})
    try:
        signals.job_schedule_retry.send("dates", job=job, err=KeyError("gone"))
    finally:
        log.disconnect()
    assert f"again at {job.at.astimezone():%Y-%m-%d %H:%M:%S}" in caplog.text


def test_tracebacks_are_shown_when_asked_for(cli: Cli) -> None:
    """With `--tracebacks` the error's traceback is in the log as well."""
    cli.engine.schedule("fails")
    assert cli.run("worker", "app:engine", "--burst", "--tracebacks") == 0
    assert "Traceback (most recent call last)" in cli.log


def test_log_level_hides_successes(cli: Cli) -> None:
    """With `--log-level warning` only what went wrong is logged, and the summary still counts everything."""
    cli.engine.schedule("ok")
    cli.engine.schedule("fails")
    assert cli.run("worker", "app:engine", "--burst", "--log-level", "warning") == 0
    assert "  done " not in cli.log
    assert "  FAILED " in cli.log
    assert "1 done, 0 retried, 1 failed" in cli.log


def test_asyncio_workers_serve_another_queue(cli: Cli) -> None:
    """`--asyncio` runs coroutine functions on an event loop, `--queue` chooses the queue."""
    cli.engine.schedule("async-ok")
    cli.engine.schedule("ok")
    assert cli.run("worker", "app:engine", "--asyncio", "20", "--queue", "other", "--burst") == 0
    assert "20 on an event loop" in cli.log
    assert "1 done" in cli.log
    assert not cli.engine._broker.is_queue_empty("spinach")


def test_function_that_returns_an_engine_is_called(cli: Cli) -> None:
    """The target may be a function that makes the engine."""
    cli.engine.schedule("ok")
    assert cli.run("worker", "app:make_engine", "--burst") == 0
    assert "1 done" in cli.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_after_running_jobs(cli: Cli, number: signal.Signals) -> None:
    """SIGTERM and SIGINT let the running job finish; the worker exits with 0 and is unregistered."""
    flag = cli.folder / "running"
    cli.engine.schedule("waits", str(flag))
    process = cli.start("worker", "app:engine")
    wait_until(flag.exists)
    process.send_signal(number)
    wait_until(lambda: "finishing running jobs" in cli.log)
    assert process.poll() is None
    (cli.folder / "running.go").touch()
    assert process.wait(PATIENCE_SECONDS) == 0
    assert "stopped: 1 attempts" in cli.log
    assert cli.engine._broker.get_all_brokers() == []


@pytest.mark.parametrize("kind", ["--threads", "--asyncio"])
def test_second_signal_does_not_wait(cli: Cli, kind: str) -> None:
    """A second signal ends the process at once, with 130, whatever still runs."""
    flag = cli.folder / "running"
    cli.engine.schedule("waits", str(flag))
    process = cli.start("worker", "app:engine", kind, "2")
    wait_until(flag.exists)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: "finishing running jobs" in cli.log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 130
    assert "not waiting for running jobs" in cli.log


# --- what can be wrong ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules that can be imported, and are forgotten afterwards."""
    for name, text in {
        "fine": "from spinach import Engine, MemoryBroker\nmotor = Engine(MemoryBroker())\nnumber = 3\n"
        "class box: motor = motor\ndef make(): return motor\ndef fail(): raise LookupError('no settings')\n"
        "async def wait(): return motor\nasync def generate(): yield motor\n",
        "broken": "x = 1\n1 / 0\n",
        "lacks": "import missing_dependency\n",
        "ends": "raise SystemExit(7)\n",
        "away": "from spinach.exc import BrokerUnavailable\nraise BrokerUnavailable('no server')\n",
    }.items():
        (tmp_path / f"cli_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("cli_")]:
        del sys.modules[name]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("target", ["cli_fine:motor", "cli_fine:box.motor", "cli_fine:make", "cli_fine:wait"])
def test_target_leads_to_an_engine(target: str) -> None:
    """A target is an attribute, a dotted attribute, or a function or coroutine function that returns it."""
    assert isinstance(load_engine(target), Engine)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("cli_fine", "expected package.module:engine"),
        ("cli_fine:", "expected package.module:engine"),
        (":motor", "expected package.module:engine"),
        ("cli_nowhere.jobs:engine", "no module 'cli_nowhere'"),
        ("cli_fine.jobs:engine", "no module 'cli_fine.jobs'"),
        ("cli_fine:engine", "cli_fine has no 'engine'; engines in it: motor"),
        ("./cli_fine.py:motor", "names a file, expected a module: cli_fine:motor"),
        ("shop/cli_fine:motor", "names a file, expected a module: shop.cli_fine:motor"),
        ("cli_fine.py", "names a file, expected a module: cli_fine:engine"),
        ("../elsewhere.py:motor", "names a file, expected a module: package.module:engine, in the folder"),
        ("shop/", "names a file, expected a module: shop:engine"),
        ("cli_fine:make()", "leave them out"),
        ("cli_fine:motor:x", "no module 'cli_fine:motor'"),
        ("cli_fine:generate", "is of type async_generator"),
        ("cli_fine:number", "is of type int, expected a spinach.Engine"),
        ("cli_fine:fail", "calling it failed: LookupError: no settings"),
        ("cli_broken:engine", "ZeroDivisionError: division by zero"),
        ("cli_broken:engine", "cli_broken.py, line 2"),
        ("cli_lacks:engine", "No module named 'missing_dependency'"),
        ("cli_ends:engine", "exit code 7"),
    ],
)
def test_wrong_target_says_what_is_wrong(target: str, said: str) -> None:
    """A target that leads to no engine is an error that says why."""
    with pytest.raises(TargetError) as raised:
        load_engine(target)
    assert said in str(raised.value)


@pytest.mark.usefixtures("folder")
def test_unreachable_broker_is_no_wrong_target() -> None:
    """An application that cannot be imported without its broker is not called wrong."""
    with pytest.raises(BrokerUnavailable):
        load_engine("cli_away:engine")


def test_wrong_target_ends_with_2(cli: Cli) -> None:
    """A target that leads to no engine ends with 2, the reason, and no traceback."""
    (cli.folder / "broken.py").write_text("1 / 0\n")
    assert cli.run("worker", "broken:engine") == 2
    assert "ZeroDivisionError: division by zero" in cli.log
    assert "Traceback" not in cli.log


def test_unreachable_broker_ends_with_3(cli: Cli) -> None:
    """Without a server the worker exits with 3 and says where it looked."""
    cli.environment["URL"] = "redis://default:s3cret@127.0.0.1:1/0"
    assert cli.run("worker", "app:engine") == 3
    assert "127.0.0.1:1" in cli.log
    assert "s3cret" not in cli.log
    assert "Traceback" not in cli.log


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["worker"], "package.module:engine"),
        (["worker", "app:engine", "--threads", "0"], "'0' is not a whole number of 1 or more"),
        (["worker", "app:engine", "--asyncio", "many"], "'many' is not a whole number of 1 or more"),
        (["worker", "app:engine", "--threads", "1", "--asyncio", "1"], "not allowed with"),
        (["worker", "app:engine", "--queue", "_private"], "reserved"),
        (["worker", "app:engine", "--metrics-port", "99999"], "'99999' is not a port"),
        (["worker", "app:engine", "--log-level", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_wrong_option_says_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option ends with 2 and names the option and the value."""
    with pytest.raises(SystemExit) as ended:
        worker_cli.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """The help shows examples, how to stop, and the exit codes."""
    with pytest.raises(SystemExit) as ended:
        worker_cli.main(["worker", "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for expected in ("spinach worker shop.jobs:engine --asyncio 500", "SIGTERM", "exit codes"):
        assert expected in told


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("plain äö", "plain äö"),
        ("a\nb\x1b[0m\x07", r"a\nb\x1b[0m\x07"),
        ("\u202eevil", r"\u202eevil"),
        ("\ud800", r"\ud800"),
    ],
)
def test_printable_escapes_what_terminals_obey(text: str, printed: str) -> None:
    """Control, invisible and broken characters are written as escapes; other text stays."""
    assert printable(text) == printed


def test_printable_cuts() -> None:
    """A text is cut to its limit, visibly."""
    assert printable("x" * 50, 10) == "xxxxxxx..."


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 us"), (0.00034, "340 us"), (0.012, "12 ms"), (0.9999, "1.0 s"), (3.44, "3.4 s"),
        (59.7, "1 min 0 s"),
     (125, "2 min 5 s"), (12000, "3 h 20 min")],
)  # fmt: skip
def test_durations_have_the_unit_a_person_would_choose(seconds: float, told: str) -> None:
    """A duration is told with two or three digits and a fitting unit."""
    assert duration(seconds) == told


def test_log_tells_what_a_dead_worker_left(caplog: pytest.LogCaptureFixture) -> None:
    """A lost worker, and each of its jobs that was queued again or failed, is told and counted."""
    log = AttemptLog("log")
    log.connect()
    worker = WorkerInfo("0123456789", "host", 0.0, 0.0, 60.0, "0.1.0", {"pid": 7})
    job = Job("task", "queue", datetime.now(timezone.utc), 3)
    try:
        signals.job_recovered.send("log", job=job, worker_info=worker)
        signals.job_failed.send("log", job=job, err=RuntimeError())
        signals.worker_lost.send("log", worker_info=worker, recovered=1, failed=1)
        signals.job_failed.send("another namespace", job=job, err=RuntimeError())
    finally:
        log.disconnect()
    signals.job_failed.send("log", job=job, err=RuntimeError())
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"{str(job.id)[:8]}  task  again, taken from dead worker 01234567",
        f"{str(job.id)[:8]}  task  RuntimeError",
        "worker 01234567 on host (pid 7) is dead: 1 of its jobs queued again, 1 failed because they must not "
        "run "
        "twice",
    ]
    assert "1 attempts" in log.summary()
    assert "0 done, 0 retried, 1 failed, 1 recovered" in log.summary()


def test_log_survives_an_error_without_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """An error whose message cannot be read is told by its type."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise TypeError

    log = AttemptLog("log")
    log.connect()
    try:
        job = Job("task", "queue", datetime.now(timezone.utc), 3)
        signals.job_schedule_retry.send("log", job=job, err=Mute(), duration=1.0, queue_wait=0.0, attempt=1)
    finally:
        log.disconnect()
    assert caplog.records[0].getMessage().endswith(": Mute: its message cannot be read")


def test_colour_only_when_asked_for() -> None:
    """The outcome is coloured on a terminal, and only there."""
    record = logging.LogRecord("spinach.worker", logging.INFO, __file__, 1, "text", (), None)
    record.outcome = "done"
    assert "\x1b[32mdone" in PersonFormatter(color=True, with_date=False).format(record)
    assert "\x1b" not in PersonFormatter(color=False, with_date=False).format(record)
