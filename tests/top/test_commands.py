"""`spinach-top` and `spinach-ops`: real servers, real processes where the process matters."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spinach import Engine, RedisBroker
from spinach.brokers.base import WorkerProfile
from spinach_ops.cli import options
from spinach_ops.commands import main as cli
from spinach_ops.top import cli as top
from tests.brokers.conftest import MakeRedisBroker
from tests.brokers.helpers import claim, failed, fetch, queued, settle, task, waiting
from tests.servers import Server

from . import schema

REPOSITORY = Path(__file__).resolve().parents[2]


class Console:
    """Runs the commands in this process, on one namespace."""

    def __init__(self, make: MakeRedisBroker, capsys: pytest.CaptureFixture[str]) -> None:
        self.make = make
        self._capsys = capsys

    def __call__(self, main: Callable[[list[str]], int], *arguments: str, code: int = 0) -> str:
        try:
            ended = main(list(arguments))
        except SystemExit as stop:  # argparse
            ended = int(stop.code or 0)
        out, self.err = self._capsys.readouterr()
        assert ended == code, self.err
        return str(out)

    def top(self, *arguments: str, code: int = 0) -> str:
        return self(top.main, *arguments, code=code)

    def ops(self, *arguments: str, code: int = 0) -> str:
        return self(cli.main, *arguments, code=code)

    def json(self, *arguments: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.top("--once", "--json", *arguments))
        return document


@pytest.fixture
def console(
    valkey_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Console]:
    make = MakeRedisBroker(valkey_server)
    for name in (*options.URL_VARIABLES, options.NAMESPACE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPINACH_REDIS_URL", valkey_server.url)
    monkeypatch.setenv("SPINACH_NAMESPACE", make.default_namespace)
    yield Console(make, capsys)
    make.close()


# --- one look ----------------------------------------------------------------------------------------


def test_json_is_what_the_schema_says(console: Console) -> None:
    """`--once --json` prints one object as the checked-in schema describes it, with the numbers of the
    namespace.
    """
    client, worker = console.make(), console.make.worker(slots=3)
    client.enqueue([queued(number) for number in range(5)])
    client.enqueue([waiting(client, 1, seconds=60)])
    claim(worker, 2)
    look = console.json()
    schema.check(look)
    assert look["totals"] == {"queued": 3, "running": 2, "reserved": 0, "waiting": 1, "late": 0, "failed": 0}
    (queue,) = look["queues"]
    assert (queue["name"], queue["depth"], queue["in_per_second"], queue["exact"]) == ("q", 3, None, False)
    (shown,) = look["workers"]
    assert (shown["id"], shown["state"], shown["running"], shown["slots"]) == (worker.worker_id, "live", 2, 3)
    assert look["redis"]["address"] == f"127.0.0.1:{console.make.server.port}"
    assert json.loads(console.ops("status", "--json")).keys() == look.keys()


def test_no_terminal_means_once_and_plain(console: Console) -> None:
    """Without a terminal and without options the tool prints one plain block and ends."""
    console.make().enqueue([queued(1)])
    text = console.top()
    assert text.count("namespace ") == 1
    assert "QUEUE" in text
    assert "queued 1 " in text


def test_count_gives_rates(console: Console) -> None:
    """With `--count` there is one JSON object a line, and from the second on the rates between two looks."""
    console.make().enqueue([queued(1), queued(2)])
    lines = console.top("--count", "2", "--json", "-i", "0.2").splitlines()
    looks = [json.loads(line) for line in lines]
    for look in looks:
        schema.check(look)
    rates = [(look["queues"][0]["in_per_second"], look["queues"][0]["exact"]) for look in looks]
    assert rates == [(None, False), (0.0, True)]
    assert "=0.0" in console.top("--count", "2", "--plain", "-i", "0.2")


def test_textual_is_not_loaded(console: Console) -> None:
    """A headless look loads neither the screen's library nor the exporter's (redis-py itself may load
    OpenTelemetry).
    """
    console.make().enqueue([queued(1)])
    code = (
        "import sys\n"
        "from spinach_ops.top import cli\n"
        "assert cli.main(['--once', '--json']) == 0\n"
        "heavy = {'textual', 'rich', 'prometheus_client'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    schema.check(json.loads(done.stdout))


def test_help_is_light() -> None:
    """`--help` loads no client: it answers at once."""
    for module in ("spinach_ops.commands.main", "spinach_ops.top.cli"):
        code = (
            f"import sys\nfrom {module} import main\n"
            "try: main(['--help'])\nexcept SystemExit: pass\nassert 'redis' not in sys.modules"
        )
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip


HOSTILE = "evil\x1b[31m\x9b\x7f\u202e\nline\u2066"


@pytest.mark.parametrize("arguments", [("--plain",), ("--json",)])
def test_nothing_a_terminal_obeys_is_printed(console: Console, arguments: tuple[str, ...]) -> None:
    """Names of queues, tasks and hosts with control characters or bidi overrides come out escaped."""
    client = console.make()
    client.enqueue([queued(1, name=HOSTILE, queue=HOSTILE), queued("secret", queue=HOSTILE)])
    namespace = console.make.default_namespace
    console.make.redis.hset(
        f"{namespace}/_all_brokers_hash", HOSTILE, json.dumps({"name": HOSTILE, "version": HOSTILE})
    )
    console.make.redis.zadd(f"{namespace}/_all_brokers_zset", {HOSTILE: 1})
    console.make.redis.hset(f"{namespace}/_max_concurrency", HOSTILE, HOSTILE)
    text = console.top("--once", *arguments)
    assert "evil" in text
    assert "secret" not in text
    assert all(character.isprintable() or character == "\n" for character in text)
    if arguments == ("--json",):
        look = json.loads(text)
        schema.check(look)
        assert look["queues"][0]["name"] == HOSTILE
        assert len(text.splitlines()) == 1


def test_poison_never_breaks_a_look(console: Console) -> None:
    """Numbers that are none, foreign types and malformed entries leave a document that keeps to the
    schema.
    """
    prefix = f"{console.make.default_namespace}/"
    console.make.redis.set(prefix + "_future-jobs", "x")
    console.make.redis.zadd(prefix + "_all_brokers_zset", {"w": float("inf"), "v": float("-inf")})
    console.make.redis.sadd(prefix + "_queues", "q", "odd")
    console.make.redis.rpush(prefix + "q", b"\xff")
    console.make.redis.set(prefix + "odd", 5)
    look = console.json()
    schema.check(look)
    assert {queue["name"]: queue["depth"] for queue in look["queues"]} == {"odd": None, "q": 1}
    assert {"unread_wrongtype", "unread_malformed"} <= {finding["code"] for finding in look["findings"]}
    assert "?" in console.top("--once", "--plain")


def test_an_empty_namespace_names_others(console: Console) -> None:
    """Where nothing is, the tool says so and names namespaces in which workers are."""
    console.make.worker()
    console.top("--once", "-n", "nobody-here")
    assert "nothing in namespace 'nobody-here'" in console.err
    assert console.make.default_namespace in console.err


# --- options and exit codes --------------------------------------------------------------------------


def test_wrong_command_lines(console: Console) -> None:
    """A wrong option, interval, URL or namespace ends with exit code 2 and a line that says why."""
    for arguments in (
        ("-i", "0"),
        ("--count", "0"),
        ("--nonsense",),
        ("-n", ""),
        ("-n", "a\nb"),
        ("--redis", "x"),
    ):
        assert console.top("--once", *arguments, code=2) == ""
        assert "error" in console.err
    assert console.ops("failed", "--limit", "0", code=2) == ""
    assert console.ops("nonsense", code=2) == ""


def test_no_server_is_exit_code_3(console: Console, make_server: Callable[..., Server]) -> None:
    """A server that does not answer ends with exit code 3; stdout stays empty."""
    server = make_server("valkey")
    server.kill()
    for command in ("status", "failed", "doctor"):
        assert console.ops(command, "--redis", server.url, code=3) == ""
        assert "Connection refused" in console.err
    assert console.top("--once", "--json", "--redis", server.url, code=3) == ""


def test_no_right_is_exit_code_4(console: Console, make_server: Callable[..., Server]) -> None:
    """A wrong password, or none where one is needed, ends with exit code 4; no password is ever printed."""
    server = make_server("valkey")
    with contextlib.closing(server.client()) as admin:
        admin.config_set("requirepass", "right-secret")
    base = server.url.removeprefix("redis://")
    for url in (server.url, f"redis://:wrong-secret@{base}"):
        console.top("--once", "--redis", url, code=4)
        assert "-secret" not in console.err
    console.ops("status", "--redis", f"redis://:right-secret@{base}")
    assert "on the command line" in console.err
    text = console.ops("doctor", "--redis", f"redis://:right-secret@{base}", code=1)  # there is nothing in it
    assert "-secret" not in text + console.err


def test_url_comes_from_file_and_environment(
    console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The URL is taken from the option, then SPINACH_REDIS_URL, then REDIS_URL; a file keeps it out of
    sight.
    """
    url = console.make.server.url
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    console.json()  # SPINACH_REDIS_URL
    monkeypatch.delenv("SPINACH_REDIS_URL")
    console.top("--once", code=3)
    monkeypatch.setenv("REDIS_URL", url)
    console.json()
    monkeypatch.delenv("REDIS_URL")
    secret = tmp_path / "url"
    secret.write_text(f"{url}\n")
    console.json("--redis-file", str(secret))
    assert "warning" not in console.err
    secret.write_text("")
    console.top("--once", "--redis-file", str(secret), code=2)
    console.top("--once", "--redis-file", str(tmp_path / "none"), code=2)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pw@host:1234/5", "redis://host:1234/5"),
        ("rediss://:pw@[::1]/0?password=pw", "rediss://[::1]:6379/0"),
        ("unix://user:pw@/run/redis.sock?db=1&password=pw", "unix:///run/redis.sock"),
        ("redis://:pw@host:port/", "(a URL that cannot be read)"),
    ],
)
def test_credentials_are_masked(url: str, shown: str) -> None:
    """A URL is shown without user, password and options."""
    assert options.masked(url) == shown


def test_colour_is_for_terminals() -> None:
    """There is no colour without a terminal, with --no-color, or with NO_COLOR set."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def color(*arguments: str, environment: dict[str, str] | None = None, output: Any = None) -> bool:
        parser = argparse.ArgumentParser()
        options.add_common(parser)
        given = parser.parse_args(arguments)
        return options.read_common(given, environment=environment or {}, output=output or Terminal()).color

    assert color()
    assert not color("--no-color")
    assert not color(environment={"NO_COLOR": "1"})
    assert not color(output=io.StringIO())


# --- failed ------------------------------------------------------------------------------------------


def test_failed_shows_groups_and_jobs(console: Console) -> None:
    """`failed` shows what fails how often, then the newest failed jobs; arguments and tracebacks only when
    asked.
    """
    client, worker = console.make(), console.make.worker()
    assert "no failed jobs" in console.ops("failed")
    client.enqueue([queued("secret", retries=0)])
    (job,) = claim(worker)
    settle(worker, failed(worker, job, message="boom \x1b[0m"))
    text = console.ops("failed")
    assert "ValueError" in text
    assert str(job.id) in text
    assert "\x1b" not in text
    assert "secret" not in text
    assert "Traceback" not in text
    assert "secret" in console.ops("failed", "--args")
    assert "Traceback" in console.ops("failed", "--traceback")
    document = json.loads(console.ops("failed", "--json"))
    assert document["groups"][0]["count"] == 1
    assert document["failed"][0]["id"] == str(job.id)
    assert "arguments" not in document["failed"][0]
    document = json.loads(console.ops("failed", "--json", "--args", "--traceback"))
    assert document["failed"][0]["arguments"]["args"] == ["secret"]
    assert document["failed"][0]["traceback"]


# --- doctor ------------------------------------------------------------------------------------------


def codes(console: Console, *, code: int) -> dict[str, str]:
    document = json.loads(console.ops("doctor", "--json", code=code))
    return {finding["code"]: finding["severity"] for finding in document["findings"]}


def test_doctor_finds_nothing_in_a_healthy_namespace(console: Console) -> None:
    """With a live worker on the queue and nothing late, doctor lists what it looked at and ends with 0."""
    engine = Engine(RedisBroker(console.make.server.client()), namespace=console.make.default_namespace)
    engine.start_workers(number=1, queue="q", block=False)
    try:
        text = console.ops("doctor")
    finally:
        engine.stop_workers()
    assert "nothing wrong was found" in text
    for fact in ("server:", "eviction:    noeviction", "clock:", "1 connected, 1 registered: 1 live"):
        assert fact in text


def test_doctor_finds_jobs_without_workers(console: Console) -> None:
    """Jobs and nobody who listens is an error, with exit code 1."""
    console.make().enqueue([queued(1)])
    assert codes(console, code=1) == {"no_workers": "error"}
    assert "[no_workers]" in console.ops("doctor", code=1)


def test_a_namespace_that_is_not_there_is_no_healthy_one(console: Console) -> None:
    """Doctor calls an empty namespace an error and names the one that was meant; so does `failed`, in
    words.
    """
    console.make.worker()
    meant = console.make.default_namespace
    text = console.ops("doctor", "-n", f"{meant}x", code=1)
    assert f"did you mean '{meant}'?" in text
    assert console.ops("failed", "-n", f"{meant}x") == "no failed jobs\n"
    assert f"did you mean '{meant}'?" in console.err


def test_doctor_says_what_failed_lately(console: Console) -> None:
    """Jobs that failed for good in the last two minutes are a warning, with task, error and since when."""
    worker = console.make.worker()
    console.make().enqueue([queued(1)])
    settle(worker, failed(worker, claim(worker)[0]))
    document = json.loads(console.ops("doctor", "--json"))
    (finding,) = (one for one in document["findings"] if one["code"] == "failed_lately")
    assert (finding["severity"], finding["subject"]) == ("warning", "task task")
    assert finding["about"] == {"kind": "task", "name": "task"}
    assert "1 job failed for good in the last 2 minutes; the newest with" in finding["evidence"]


def test_jobs_that_run_are_listed_with_their_start(console: Console) -> None:
    """The longest first, those that are only reserved last; --longest leaves out who does not say."""
    client, worker = console.make(), console.make.worker(slots=2)
    client.enqueue([queued(1), queued(2, name="later"), queued(3, name="waits"), queued(4)])
    fetch(worker, free_slots=1)
    fetch(worker, free_slots=1, reserve_ahead=1)
    head, first, second, third = console.ops("jobs").splitlines()
    assert head.split() == ["TASK", "RUN", "TRY", "QUEUE", "WORKER", "ID"]
    assert [line.split()[0] for line in (first, second, third)] == ["task", "later", "waits"]
    assert "reserved" in third
    assert len(console.ops("jobs", "--longest", "--limit", "1").splitlines()) == 2
    jobs = json.loads(console.ops("jobs", "--longest", "--json", "--args"))["jobs"]
    assert [job["arguments"] for job in jobs] == [{"args": [1], "kwargs": {}}, {"args": [2], "kwargs": {}}]
    assert jobs[0]["started_at"] <= jobs[1]["started_at"]
    assert "arguments" not in json.loads(console.ops("jobs", "--json"))["jobs"][0]
    assert console.ops("jobs", "--queue", "q").splitlines()[1].startswith("task")
    assert console.ops("jobs", "--queue", "none") == "no jobs in queue none\n"
    assert console.ops("jobs", "--scheduled") == "no job waits for its date\n"


def test_doctor_finds_dead_workers_and_queues_without_consumer(console: Console) -> None:
    """A worker past its limit, jobs of one that is gone, and a queue nobody serves are errors."""
    client, dead, gone = console.make(), console.make.worker(), console.make.worker()
    client.enqueue([queued(1), queued(2), queued(3, queue="unserved")])
    claim(dead, 1)
    claim(gone, 1)
    gone.leave()
    console.make.expire(dead)
    alive = console.make()
    alive.join(WorkerProfile("q", 1))
    subscription = alive.subscribe()
    found = codes(console, code=1)
    subscription.close()
    assert found == {"worker_dead": "error", "orphaned_jobs": "error", "queue_without_consumer": "error"}


def test_doctor_finds_overdue_jobs(console: Console) -> None:
    """Jobs long past their date while somebody listens are an error."""
    client = console.make()
    console.make.redis.zadd(f"{console.make.default_namespace}/_future-jobs", {"x": 1})
    subscription = client.subscribe()
    found = codes(console, code=1)
    subscription.close()
    assert found["overdue"] == "error"


def test_doctor_finds_leaked_slots(console: Console) -> None:
    """A limit whose slots count as taken though no job of the task runs is a leak."""
    client, worker = console.make(), console.make.worker()
    client.register([task("task", limit=3), task("fine", limit=1)])
    client.enqueue([queued(1)])
    claim(worker, 1)
    console.make.redis.hset(f"{console.make.default_namespace}/_current_concurrency", "task", 3)
    document = json.loads(console.ops("doctor", "--json", code=1))
    (drift,) = (finding for finding in document["findings"] if finding["code"] == "limit_drift")
    assert (drift["subject"], drift["severity"]) == ("task task", "error")
    assert "3 slots count as taken, 1 of its jobs run" in drift["evidence"]


def test_doctor_finds_a_server_that_evicts(console: Console, make_server: Callable[..., Server]) -> None:
    """A server that deletes keys when memory is full is an error once it has a limit."""
    server = make_server("valkey", "--maxmemory", "200mb", "--maxmemory-policy", "allkeys-lru")
    document = json.loads(console.ops("doctor", "--json", "--redis", server.url, code=1))
    assert [finding["code"] for finding in document["findings"]] == ["empty_namespace", "eviction"]


def test_doctor_finds_mixed_versions_and_silence(console: Console) -> None:
    """Old workers beside ours make counters incomplete, and an old one not seen for 75 s is silent."""
    console.make.worker()
    broker = console.make()
    now = broker.snapshot().at
    entry = {"id": "old", "name": "host", "started_at": 1, "last_seen_at": now - 80}
    console.make.redis.hset(f"{console.make.default_namespace}/_all_brokers_hash", "old", json.dumps(entry))
    console.make.redis.zadd(f"{console.make.default_namespace}/_all_brokers_zset", {"old": now - 80})
    found = codes(console, code=0)
    assert found["mixed_versions"] == "info"
    assert found["worker_silent"] == "warning"
    assert found["workers_not_connected"] == "warning"


def test_doctor_finds_wrong_clocks(console: Console) -> None:
    """A first job with a date in the future shows a producer with a wrong clock."""
    client = console.make()
    client.snapshot()
    job = waiting(client, 1, seconds=100)
    raw = job.text(job.status, client.clock.now()).replace('"queue": "q"', '"queue": "clock"')
    console.make.redis.rpush(f"{console.make.default_namespace}/clock", raw)
    assert codes(console, code=1)["producer_clock"] == "warning"


# --- frames and conditions ---------------------------------------------------------------------------


def test_a_frame_as_text(console: Console) -> None:
    """`--snapshot` prints the home screen once, as wide and high as asked, and loads no library for
    screens.
    """
    console.make().enqueue([queued(number, queue="thumbnails") for number in range(7)])
    text = console.top("--snapshot", "80x24", "-i", "0.2")
    assert len(text.splitlines()) == 24
    assert max(map(len, text.splitlines())) <= 80
    assert all(part in text for part in ("● LIVE", "QUEUED 7", "thumbnails", "0.0", "8 Tasks"))
    assert console.top("--snapshot", "100x30", "-i", "0.2", "--ascii").isascii()


@pytest.mark.parametrize("size", ["", "80", "80x", "x24", "80x24x3", "5x5", "80x5000", "axb", "-80x24"])
def test_no_sizes(console: Console, size: str) -> None:
    """What is no size of a terminal is refused with an example."""
    console.top(f"--snapshot={size}", code=2)
    assert "80x24" in console.err


def test_conditions_decide_the_exit_code(console: Console) -> None:
    """With --fail-if the exit code is 1 when one of the conditions holds, and what was seen is said on
    stderr.
    """
    console.make().enqueue([queued(number) for number in range(3)])
    console.top("--once", "--fail-if", "depth>100", "--fail-if", "workers.dead>0")
    assert console.err == ""
    text = console.top(
        "--once", "--json", "--fail-if", "depth>100", "--fail-if", "workers.connected<1", code=1
    )
    schema.check(json.loads(text))
    assert console.err == "spinach-top: workers.connected is 0, and must not be < 1\n"


def test_a_condition_that_cannot_be_told(console: Console) -> None:
    """Where a queue cannot be read a condition neither holds nor passes: exit code 3, 4 where a right is
    missing; JSON says null.
    """
    client, namespace = console.make(), console.make.default_namespace
    client.enqueue([queued(number) for number in range(3)])
    client.enqueue([queued(1, queue="other")])
    console.make.redis.set(f"{namespace}/odd", 5)
    console.make.redis.sadd(f"{namespace}/_queues", "odd")
    look = json.loads(
        console.top("--once", "--json", "--fail-if", "oldest>5m", "--fail-if", "depth<3", code=3)
    )
    schema.check(look)
    assert look["totals"]["queued"] is None
    assert "cannot tell: oldest is at least 0" in console.err
    assert "depth" not in console.err
    assert "WRONGTYPE" in console.err
    assert "queued ≥4" in console.top("--once", "--plain", "--fail-if", "depth>2", code=1)
    console.make.redis.delete(f"{namespace}/odd")
    rules = [
        f"~{namespace}/_*",
        f"~{namespace}/q",
        "+@read",
        "+@connection",
        "+info",
        "+time",
        "+pubsub",
        "&*",
    ]
    console.make.redis.execute_command("ACL", "SETUSER", "half", "on", ">pass", *rules, "+multi", "+exec")
    try:
        url = f"redis://half:pass@127.0.0.1:{console.make.server.port}/0"
        console.top("--once", "--json", "--redis", url, "--fail-if", "depth>100", code=4)
    finally:
        console.make.redis.execute_command("ACL", "DELUSER", "half")
    assert "cannot tell: depth is at least 3" in console.err


def test_a_condition_that_is_none(console: Console) -> None:
    """A condition that is none is refused before anything is read."""
    console.top("--once", "--fail-if", "oldest>>1", code=2)
    assert "workers.connected" in console.err


def run_top(console: Console, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, on the console's namespace."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **options.pop("environment", {})}
    return subprocess.run(
        [sys.executable, "-m", "spinach_ops.top.cli", *arguments], env=environment, text=True, timeout=60,
        check=False, stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE, **options},
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments", [("--once",), ("--once", "--json"), ("--snapshot", "80x24", "-i", "0.2")]
)
def test_output_that_cannot_be_written(console: Console, arguments: tuple[str, ...]) -> None:
    """A full disk ends with exit code 3 and one line: exit code 1 would mean that a condition holds."""
    with Path("/dev/full").open("w") as full:
        done = run_top(console, *arguments, stdout=full)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def test_output_in_ascii(console: Console) -> None:
    """Where the output says that it takes ASCII only, there is nothing else in it, and our signs by their
    likeness.
    """
    console.make().enqueue([queued(1)])
    console.make.redis.set(f"{console.make.default_namespace}/odd", 5)
    console.make.redis.sadd(f"{console.make.default_namespace}/_queues", "odd")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    frame = run_top(console, "--snapshot", "80x24", "-i", "0.2", environment=ascii_only)
    assert (frame.returncode, "\\u" in frame.stdout, "* LIVE" in frame.stdout) == (0, False, True)
    assert "queued >=1 " in run_top(console, "--once", environment=ascii_only).stdout


def test_the_help_lists_exit_codes(console: Console) -> None:
    """`--help` says what each exit code means."""
    words = " ".join(console.top("--help").split())
    for code in (
        "0 fine",
        "1 a condition",
        "2 the command line",
        "3 the server",
        "4 not permitted",
        "130 interr",
    ):
        assert code in words


def test_a_theme_that_is_none(console: Console) -> None:
    """A theme that does not exist is refused without a terminal, too, with those that do."""
    assert console.top("--once", "--theme", "nope", code=2) == ""
    assert "'nope' is none of: " in console.err
    assert "spinach-light" in console.err
    console.top("--once", "--theme", "spinach-light")


def test_an_interrupt_while_it_loads() -> None:
    """Ctrl+c while the command loads ends it with 130 and without a word."""
    code = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'spinach_ops.top.headless':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from spinach_ops.top.start import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_log_that_cannot_be_written(console: Console, tmp_path: Path) -> None:
    """A log that cannot be written is said."""
    console.top("--once", "--log", str(tmp_path / "missing" / "log"), code=2)
    assert "cannot be written" in console.err


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["--snapshot", "80x24", "-i", "0.2"]])
def test_textual_is_loaded_for_a_screen_only(console: Console, arguments: list[str]) -> None:
    """Version, help and a frame as text come without the library for screens."""
    code = (
        "import sys\n"
        "from spinach_ops.top import cli\n"
        "try:\n"
        f"    cli.main({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('textual' in sys.modules, file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.splitlines()[-1] == "False"
    assert done.stdout
