"""The alerts, played through by promtool: a namespace that is well, and what must and must not fire when it
is not.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from dashboards import generate
from dashboards.alerts import alerts
from dashboards.expressions import expressions_of_rules, metrics_of
from dashboards.objectives import BadObjective, Objective, read
from dashboards.prometheus_rules import to_yaml
from dashboards.recording import recording
from spinach_ops.metrics.catalog import METRICS
from tests.dashboards.helpers import FOLDER
from tests.dashboards.test_expressions import exposed
from tests.prometheus import binary

RULES = [FOLDER / "rules" / name for name in ("recording.yml", "alerts.yml")]
RUNBOOKS = FOLDER.parent / "docs" / "runbooks.md"

DEFAULT = "[default]\nstart_within_seconds = 60\nstart_ratio = 0.99\nsuccess_ratio = 0.999\n"
N = 'spinach_namespace="p"'
Q = f'{N},queue="q"'
T = f'{Q},task="t"'
UP, UP_B = 'up{job="spinach-exporter",instance="a"}', 'up{job="spinach-exporter",instance="b"}'
REDIS, REDIS_B = f'spinach_redis_up{{{N},instance="a"}}', f'spinach_redis_up{{{N},instance="b"}}'
EXACT = f"spinach_fleet_counters_exact{{{N}}}"
DEPTH, OLDEST, PAUSED = (
    f"{name}{{{Q}}}"
    for name in ("spinach_queue_depth", "spinach_queue_oldest_job_age_seconds", "spinach_queue_paused")
)
STARTED, SUCCEEDED, FAILED, ENQUEUED = (
    f'spinach_fleet_jobs_total{{{T},outcome="{outcome}"}}'
    for outcome in ("started", "succeeded", "failed", "enqueued")
)
FOLDED = f'spinach_snapshot_truncated{{{N},reason="tasks"}}'
NEW_FAILED = FAILED.replace('task="t"', 'task="new"')
SOON = f'spinach_fleet_queue_wait_seconds_bucket{{{Q},le="60.0"}}'
WAITS = f"spinach_fleet_queue_wait_seconds_count{{{Q}}}"
CONNECTED = f"spinach_workers_connected{{{N}}}"
LIVE, DEAD = (f'spinach_workers{{{N},state="{state}"}}' for state in ("live", "dead"))
BEAT = f"spinach_workers_heartbeat_age_max_seconds{{{N}}}"
LOST = f'spinach_workers_lost_total{{{N},reason="silent"}}'
ORPHANED = f"spinach_orphaned_jobs{{{N}}}"
OVERDUE, OVERDUE_AGE = (
    f"spinach_scheduled_overdue_jobs{{{N}}}",
    f"spinach_scheduled_overdue_age_seconds{{{N}}}",
)
LATE, PERIOD = (
    f'spinach_periodic_late_seconds{{{N},task="t"}}',
    f'spinach_periodic_period_seconds{{{N},task="t"}}',
)
USED, LIMIT = f'spinach_concurrency_used{{{N},task="t"}}', f'spinach_concurrency_limit{{{N},task="t"}}'
EVICTING, MEMORY, MEMORY_MAX = (
    f"{name}{{{N}}}"
    for name in (
        "spinach_redis_evicting",
        "spinach_redis_memory_used_bytes",
        "spinach_redis_memory_max_bytes",
    )
)
SERVING = f"spinach_queue_workers{{{Q}}}"
RUNS_SINCE = f"spinach_running_oldest_age_seconds{{{Q}}}"
RAN_FAST, RAN_MINUTES, RAN = (
    f'spinach_fleet_job_duration_seconds_bucket{{{Q},le="{edge}"}}' for edge in ("0.1", "300.0", "+Inf")
)
VERSION, NEXT_VERSION = (f'spinach_workers_by_version{{{N},version="{version}"}}' for version in ("1", "2"))
OVERFLOW = 'spinach_telemetry_overflow_total{reason="task"}'

MINUTES = 400
FOREVER = f"x{MINUTES}"
# 60 jobs in a minute, all soon and all well; two workers; nothing paused, late, lost or full.
WELL = {
    UP: f"1{FOREVER}", REDIS: f"1{FOREVER}", EXACT: f"1{FOREVER}",
    DEPTH: f"5{FOREVER}", OLDEST: f"1{FOREVER}", PAUSED: f"0{FOREVER}",
    ENQUEUED: f"0+60{FOREVER}", STARTED: f"0+60{FOREVER}", SUCCEEDED: f"0+60{FOREVER}", FAILED: f"0{FOREVER}",
    SOON: f"0+60{FOREVER}", WAITS: f"0+60{FOREVER}",
    CONNECTED: f"2{FOREVER}", LIVE: f"2{FOREVER}", DEAD: f"0{FOREVER}", BEAT: f"3{FOREVER}",
    LOST: f"0{FOREVER}", ORPHANED: f"0{FOREVER}",
    OVERDUE: f"0{FOREVER}", OVERDUE_AGE: f"0{FOREVER}", LATE: f"0{FOREVER}", PERIOD: f"600{FOREVER}",
    USED: f"1{FOREVER}", LIMIT: f"2{FOREVER}",
    EVICTING: f"0{FOREVER}", MEMORY: f"10{FOREVER}", MEMORY_MAX: f"100{FOREVER}",
    SERVING: f"2{FOREVER}", RUNS_SINCE: f"0{FOREVER}",
    RAN_FAST: f"0+60{FOREVER}", RAN_MINUTES: f"0+60{FOREVER}", RAN: f"0+60{FOREVER}",
    VERSION: f"2{FOREVER}", OVERFLOW: f"0{FOREVER}",
}  # fmt: skip
STUCK = {
    DEPTH: f"5{FOREVER}",
    OLDEST: f"0+60{FOREVER}",
    STARTED: f"600{FOREVER}",
    WAITS: f"600{FOREVER}",
    SOON: f"600{FOREVER}",
}
GONE = {CONNECTED: f"0{FOREVER}", LIVE: f"0{FOREVER}"}


@dataclass(frozen=True, slots=True)
class Case:
    """What becomes of one alert when some series are other than well; a series that is empty is not there."""

    alert: str
    about: str
    series: Mapping[str, str]
    fires: bool
    at: str = "50m"
    labels: str = ""
    interval: str = "1m"


CASES = [
    Case("SpinachQueueLatencyBurn", "a fifth starts late", {SOON: f"0+48{FOREVER}"}, True,
        labels='severity="page"'),
    Case("SpinachQueueLatencyBurn", "2 % start late for long",
        {SOON: f"0+294{FOREVER}", WAITS: f"0+300{FOREVER}", STARTED: f"0+300{FOREVER}"}, True, at="33h",
        interval="5m", labels='severity="ticket"'),
    Case("SpinachQueueLatencyBurn", "2 % start late for long, hardly any jobs",
        {SOON: f"0+0.02{FOREVER}", WAITS: f"0+0.04{FOREVER}", STARTED: f"0+0.04{FOREVER}"}, False, at="33h",
        interval="5m", labels='severity="ticket"'),
    Case("SpinachQueueLatencyBurn", "half a per cent starts late", {SOON: f"0+59.7{FOREVER}"}, False),
    Case("SpinachQueueLatencyBurn", "no traffic", {SOON: f"600{FOREVER}", WAITS: f"600{FOREVER}"}, False),
    Case("SpinachQueueLatencyBurn", "old workers do not count",
        {SOON: f"0+48{FOREVER}", EXACT: f"0{FOREVER}"}, False),
    Case("SpinachFailureBurn", "5 % fail", {FAILED: f"0+3{FOREVER}", SUCCEEDED: f"0+57{FOREVER}"}, True,
        labels='severity="page"'),
    Case("SpinachFailureBurn", "the counters begin anew", {SUCCEEDED: "0+60x40 0+60x40", FAILED: "7x40 0x40"},
        False),
    Case("SpinachFailureBurn", "the first jobs of a new task fail at once", {NEW_FAILED: "_x68 200x300"},
        True, at="70m", labels='severity="page"'),
    Case("SpinachFailureBurn", "the reader is new, they failed long ago",
        {REDIS: "_x68 1x300", NEW_FAILED: "_x68 200x300"}, False, at="70m"),
    Case("SpinachFailureBurn", "half of them fail, old workers do not count",
        {FAILED: f"0+30{FOREVER}", EXACT: f"0{FOREVER}"}, False),
    Case("SpinachQueueStuck", "jobs wait, none starts", STUCK, True),
    Case("SpinachQueueStuck", "the queue is new, none ever started", {**STUCK, STARTED: ""}, True),
    Case("SpinachQueueStuck", "old workers: the head stays", {**STUCK, EXACT: f"0{FOREVER}"}, True),
    Case("SpinachQueueStuck", "old workers: the head moves", {OLDEST: f"400{FOREVER}", EXACT: f"0{FOREVER}"},
        False),
    Case("SpinachQueueStuck", "jobs are old, but some start", {OLDEST: f"0+60{FOREVER}"}, False),
    Case("SpinachQueueStuck", "the queue is empty", {**STUCK, DEPTH: f"0{FOREVER}", OLDEST: f"0{FOREVER}"},
        False),
    Case("SpinachQueueStuck", "the queue is paused", {**STUCK, PAUSED: f"1{FOREVER}"}, False),
    Case("SpinachQueueWithoutConsumer", "jobs wait, nobody serves it", {SERVING: f"0{FOREVER}"}, True),
    Case("SpinachQueueWithoutConsumer", "nobody serves it, it is empty",
        {SERVING: f"0{FOREVER}", DEPTH: f"0{FOREVER}"}, False),
    Case("SpinachQueueWithoutConsumer", "a deploy: nobody for half a minute", {SERVING: "2x98 0x1 2x99"},
        False, interval="30s"),
    Case("SpinachQueueWithoutConsumer", "it was mended a minute ago", {SERVING: "2x30 0x18 2x50"}, False),
    Case("SpinachJobRunsLong", "far longer than others", {RUNS_SINCE: f"0+60{FOREVER}"}, True, at="6m"),
    Case("SpinachJobRunsLong", "far longer than others, but they are long",
        {RUNS_SINCE: f"400{FOREVER}", RAN_FAST: f"0{FOREVER}", RAN_MINUTES: f"0+60{FOREVER}"}, False),
    Case("SpinachJobRunsLong", "no job of the queue ended so far",
        {RUNS_SINCE: f"400{FOREVER}", RAN_FAST: "", RAN_MINUTES: "", RAN: ""}, True),
    Case("SpinachJobRunsLong", "no job of the queue ended so far, this one is young",
        {RUNS_SINCE: f"200{FOREVER}", RAN_FAST: "", RAN_MINUTES: "", RAN: ""}, False),
    Case("SpinachJobRunsLong", "it ended", {RUNS_SINCE: "0+60x46 0x60"}, False),
    Case("SpinachQueueGrowing", "from 10 on, one more in a second",
        {DEPTH: f"10+60{FOREVER}", OLDEST: f"100{FOREVER}"}, True, at="18m"),
    Case("SpinachQueueGrowing", "it grows, but jobs start at once", {DEPTH: f"10+60{FOREVER}"}, False,
        at="18m"),
    Case("SpinachQueueGrowing", "it drains", {DEPTH: f"6000-60{FOREVER}", OLDEST: f"100{FOREVER}"}, False),
    Case("SpinachNoWorkers", "nobody listens, jobs wait", GONE, True),
    Case("SpinachNoWorkers", "nobody listens, scheduled jobs are due",
        {**GONE, DEPTH: f"0{FOREVER}", OVERDUE: f"3{FOREVER}"}, True),
    Case("SpinachNoWorkers", "nobody listens, nothing to do", {**GONE, DEPTH: f"0{FOREVER}"}, False),
    Case("SpinachNoWorkers", "a deploy: nobody for a minute", {CONNECTED: "2x48 0x0 2x50"}, False),
    Case("SpinachWorkerDead", "one is lost", {LOST: "0x45 1x55"}, True),
    Case("SpinachWorkerDead", "old workers: its jobs are orphaned", {ORPHANED: f"2{FOREVER}"}, True),
    Case("SpinachWorkerDead", "one was lost long ago", {LOST: "0x5 1x95"}, False),
    Case("SpinachWorkerDead", "a scrape gap", {LOST: "3x40 _x5 3x55"}, False),
    Case("SpinachHeartbeatStale", "one is silent and does not listen",
        {BEAT: f"200{FOREVER}", CONNECTED: f"1{FOREVER}"}, True),
    Case("SpinachHeartbeatStale", "it is late but listens", {BEAT: f"200{FOREVER}"}, False),
    Case("SpinachScheduledOverdue", "workers are there, nobody releases", {OVERDUE_AGE: f"90{FOREVER}"},
        True),
    Case("SpinachScheduledOverdue", "there are no workers: that is another alert",
        {OVERDUE_AGE: f"90{FOREVER}", **GONE}, False),
    Case("SpinachPeriodicLate", "late by more than half its period", {LATE: f"400{FOREVER}"}, True),
    Case("SpinachPeriodicLate", "late by less than half its period", {LATE: f"200{FOREVER}"}, False),
    Case("SpinachPeriodicLate", "late by less than a minute", {LATE: f"50{FOREVER}", PERIOD: f"10{FOREVER}"},
        False),
    Case("SpinachDeadLettersGrowing", "some fail", {FAILED: "0x40 4x60"}, True),
    Case("SpinachDeadLettersGrowing", "some failed 20 minutes ago: it keeps firing", {FAILED: "0x25 4x75"},
        True),
    Case("SpinachDeadLettersGrowing", "the first job of a new task fails", {NEW_FAILED: "_x45 1x55"}, True),
    Case("SpinachDeadLettersGrowing", "the first of all, soon after the reader came",
        {NEW_FAILED: "_x5 1x40"}, True, at="16m"),
    Case("SpinachDeadLettersGrowing", "a new task failed hours ago", {NEW_FAILED: "_x5 1x95"}, False,
        at="95m"),
    Case("SpinachDeadLettersGrowing", "tasks are folded: one that shows up may be old",
        {NEW_FAILED: "_x45 1x55", FOLDED: f"1{FOREVER}"}, False),
    Case("SpinachDeadLettersGrowing", "tasks are folded, some fail",
        {FAILED: "0x40 4x60", FOLDED: f"1{FOREVER}"}, True),
    Case("SpinachDeadLettersGrowing", "the reader is new, some failed before",
        {REDIS: "_x45 1x55", FAILED: "_x45 4x55"}, False),
    Case("SpinachDeadLettersGrowing", "the reader was away, some failed before",
        {REDIS: "1x30 _x15 1x55", FAILED: "4x30 _x15 4x55"}, False),
    Case("SpinachDeadLettersGrowing", "some failed hours ago", {FAILED: f"4{FOREVER}"}, False),
    Case("SpinachConcurrencySaturated", "all slots are taken, its queue waits",
        {USED: f"2{FOREVER}", OLDEST: f"100{FOREVER}"}, True),
    Case("SpinachConcurrencySaturated", "all slots are taken, nothing waits", {USED: f"2{FOREVER}"}, False),
    Case("SpinachRedisDown", "nobody can read it", {REDIS: f"0{FOREVER}"}, True),
    Case("SpinachRedisDown", "one exporter of two cannot", {REDIS: f"0{FOREVER}", REDIS_B: f"1{FOREVER}"},
        False),
    Case("SpinachExporterDown", "it cannot be scraped", {UP: f"0{FOREVER}"}, True),
    Case("SpinachExporterDown", "there is none", {UP: "", REDIS: ""}, True),
    Case("SpinachExporterDown", "one of two is down", {UP: f"0{FOREVER}", UP_B: f"1{FOREVER}"}, False),
    Case("SpinachRedisFull", "memory is full, nothing is deleted", {MEMORY: f"99.9{FOREVER}"}, True),
    Case("SpinachRedisFull", "memory is full, keys are deleted",
        {MEMORY: f"99.9{FOREVER}", EVICTING: f"1{FOREVER}"}, False),
    Case("SpinachRedisFull", "memory is nearly full", {MEMORY: f"95{FOREVER}"}, False),
    Case("SpinachRedisFull", "it was full until a minute ago", {MEMORY: "99.9x48 10x60"}, False),
    Case("SpinachRedisEvicting", "its policy evicts", {EVICTING: f"1{FOREVER}"}, True),
    Case("SpinachRedisEvicting", "memory is nearly full", {MEMORY: f"95{FOREVER}"}, True),
    Case("SpinachRedisEvicting", "memory has no limit", {MEMORY: f"95{FOREVER}", MEMORY_MAX: f"0{FOREVER}"},
        False),
    Case("SpinachQueuePausedLong", "paused for more than an hour", {PAUSED: f"1{FOREVER}"}, True, at="70m"),
    Case("SpinachQueuePausedLong", "paused for half an hour", {PAUSED: "0x40 1x60"}, False, at="70m"),
    Case("SpinachMixedVersions", "two versions for more than a day", {NEXT_VERSION: f"1{FOREVER}"}, True,
        at="26h", interval="5m"),
    Case("SpinachMixedVersions", "a rollout", {NEXT_VERSION: "0x150 1x250", VERSION: "2x160 0x240"}, False,
        at="26h", interval="5m"),
    Case("SpinachTelemetryDegraded", "labels are folded", {OVERFLOW: f"0+1{FOREVER}"}, True),
    Case("SpinachTelemetryDegraded", "labels were folded long ago", {OVERFLOW: f"7{FOREVER}"}, False),
]  # fmt: skip


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [binary("promtool"), *arguments], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def play(series: Mapping[str, str], case: Case, expr: str, value: int) -> dict[str, object]:
    samples = [{"labels": "{}", "value": value}] if value else []
    return {
        "name": f"{case.alert}: {case.about}",
        "interval": case.interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
        "promql_expr_test": [{"expr": expr, "eval_time": case.at, "exp_samples": samples}],
    }


def check_cases(cases: list[Case], folder: Path) -> None:
    for interval in {case.interval for case in cases}:
        tests = []
        for case in cases:
            labels = f",{case.labels}" if case.labels else ""
            expr = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"{labels}}}) > bool 0'
            if case.interval == interval:
                tests.append(play({**WELL, **case.series}, case, expr, int(case.fires)))
        run_tests(tests, interval, folder)


def run_tests(tests: list[dict[str, object]], interval: str, folder: Path, rules: list[Path] = RULES) -> None:
    file = folder / "test.yml"
    document = {"rule_files": [str(path) for path in rules], "evaluation_interval": interval, "tests": tests}
    file.write_text(json.dumps(document), encoding="utf-8")
    promtool("test", "rules", str(file))


ALERTS = sorted({case.alert for case in CASES})


@pytest.mark.slow
@pytest.mark.parametrize("alert", ALERTS)
def test_alert_fires_when_it_must_and_only_then(alert: str, tmp_path: Path) -> None:
    """Each alert fires in every case that is its own, and in none that only looks like it."""
    cases = [case for case in CASES if case.alert == alert]
    assert {case.fires for case in cases} == {True, False}
    check_cases(cases, tmp_path)


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    """While a namespace is well no alert fires, not even pending."""
    case = Case("none", "all is well", {}, False)
    run_tests([play(WELL, case, 'count(ALERTS{alertname=~"Spinach.+"})', 0)], "1m", tmp_path)


def test_annotations_bear_any_name(tmp_path: Path) -> None:
    """What an alert says can be pasted into a shell and opened in a browser, whatever the namespace is
    called.
    """
    name = 'it\'s $(x) & "y"'
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    expected = {
        "summary": "Redis cannot be read",
        "description": f"No exporter can read the namespace {name}.",
        "runbook_url": "docs/runbooks.md#spinachredisdown",
        "dashboard": f"/d/spinach-overview?var-namespace={quote_plus(name)}",
        "command": f"spinach-top -n {shell_quoted(name)}",
    }
    alert = {"exp_labels": {"spinach_namespace": name, "severity": "page"}, "exp_annotations": expected}
    test = {
        "interval": "1m",
        "input_series": [{"series": f'spinach_redis_up{{spinach_namespace="{quoted}"}}', "values": "0x10"}],
        "alert_rule_test": [{"eval_time": "5m", "alertname": "SpinachRedisDown", "exp_alerts": [alert]}],
    }
    run_tests([test], "1m", tmp_path)


@pytest.mark.parametrize(
    ("alert", "series", "labels", "leads"),
    [
        ("SpinachExporterDown", {UP: "0x40"}, {"job": "spinach-exporter", "severity": "page"}, None),
        ("SpinachTelemetryDegraded", {OVERFLOW: "0+1x40"}, {"reason": "task", "severity": "info"}, ("", "")),
        (
            "SpinachTelemetryDegraded",
            {f'spinach_snapshot_truncated{{{N},reason="queues"}}': "1x40"},
            {"spinach_namespace": "p", "reason": "queues", "severity": "info"},
            ("/d/spinach-overview?var-namespace=p", "spinach-top -n 'p'"),
        ),
    ],
)
def test_alert_without_namespace_leads_to_none(
    alert: str,
    series: Mapping[str, str],
    labels: dict[str, str],
    leads: tuple[str, str] | None,
    tmp_path: Path,
) -> None:
    """An alert that names no namespace carries neither a command nor a link for one."""
    rule = next(
        rule
        for group in alerts(read(DEFAULT))
        for rule in group.rules
        if rule.name == alert
    )  # fmt: skip
    said = {
        "summary": rule.annotations["summary"],
        "description": rule.annotations["description"]
        .replace("{{ $labels.reason }}", labels.get("reason", ""))
        .replace("{{ $labels.signal }}", ""),
        "runbook_url": f"docs/runbooks.md#{alert.lower()}",
    }
    if leads is not None:
        said |= {"dashboard": leads[0], "command": leads[1]}
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in {REDIS: "1x40", **series}.items()
        ],
        "alert_rule_test": [
            {
                "eval_time": "35m",
                "alertname": alert,
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": said}],
            }
        ],
    }
    run_tests([test], "1m", tmp_path)


def shell_quoted(text: str) -> str:
    """Return a text in single quotes, the way that a shell reads back as it was."""
    quoted = "'" + text.replace("'", "'\\''") + "'"
    assert shlex.split(quoted) == [text]
    return quoted


def test_every_alert_has_cases_and_a_runbook() -> None:
    """Every alert is played through, and its runbook says what it means, what to look at, do, and do
    after.
    """
    text = RULES[1].read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"- alert: (\w+)", text))) == ALERTS
    sections = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(encoding="utf-8")))
    for alert in ALERTS:
        assert f'runbook_url: "docs/runbooks.md#{alert.lower()}"' in text
        for part in ("**Means**", "**Look at**", "**Do**", "**After**"):
            assert part in sections[alert], f"{alert} lacks {part}"


def test_rules_are_valid_and_generated() -> None:
    """Promtool finds nothing wrong with the rules, and they are what the generator writes."""
    assert "SUCCESS" in promtool("check", "rules", *map(str, RULES))
    for path in RULES:
        assert path.read_text(encoding="utf-8") == generate.files()[f"rules/{path.name}"]


def test_metrics_of_rules_exist() -> None:
    """Every metric a rule names is in the catalogue with the labels it is asked for, or is recorded by a
    rule.
    """
    known = {name: set(metric.labels) for metric in METRICS for name in exposed(metric)}
    for path in RULES:
        for name, labels in metrics_of(expressions_of_rules(path.read_text(encoding="utf-8"))):
            if not name.startswith("spinach:"):
                assert name in known, name
                assert labels <= known[name] | {"job"}, name


def test_queue_may_have_its_own_objective(tmp_path: Path) -> None:
    """A queue with its own objective, whatever its name, is judged by that, and the others by the default."""
    name = 'mail "b\\ulk"'
    given = f"{DEFAULT}\n[queue.{json.dumps(name)}]\nstart_within_seconds = 300\nstart_ratio = 0.9\n"
    objectives = read(given)
    assert objectives.queues[name] == Objective(300, 0.9, 0.999)
    texts = {
        "recording.yml": to_yaml(recording(objectives), "r"),
        "alerts.yml": to_yaml(alerts(objectives), "a"),
    }
    files = [tmp_path / file for file in texts]
    for file in files:
        file.write_text(texts[file.name], encoding="utf-8")
    # Under one name there is a rule for each objective: not twice for one queue.
    promtool("check", "rules", "--lint=none", *map(str, files))
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    waits = {
        f'{metric}{{spinach_namespace="p",queue="{queue}"{le}}}': values
        for queue in ("q", quoted)
        for metric, le, values in (
            ("spinach_fleet_queue_wait_seconds_bucket", ',le="60.0"', "0+30x20"),
            ("spinach_fleet_queue_wait_seconds_bucket", ',le="300.0"', "0+60x20"),
            ("spinach_fleet_queue_wait_seconds_count", "", "0+60x20"),
        )
    }
    ratios = [
        {"labels": f'spinach:wait_slow_ratio:5m{{queue="{quoted}",spinach_namespace="p"}}', "value": 0},
        {"labels": 'spinach:wait_slow_ratio:5m{queue="q",spinach_namespace="p"}', "value": 0.5},
    ]
    series = [{"series": key, "values": values} for key, values in {**waits, EXACT: "1x20"}.items()]
    test = {
        "interval": "1m", "input_series": series,
        "promql_expr_test": [{"expr": "spinach:wait_slow_ratio:5m", "eval_time": "15m",
            "exp_samples": ratios}],
    }  # fmt: skip
    run_tests([test], "1m", tmp_path, files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[default]\nstart_within_seconds = 42\nstart_ratio = 0.9\nsuccess_ratio = 0.9",
            "42; expected an edge of the histograms: 0.1, 0.5"),
        ("[default]\nstart_within_seconds = 60\nstart_ratio = 1\nsuccess_ratio = 0.9", "start_ratio is 1"),
        ("[default]\nstart_within_seconds = 60", "expected"),
        ("[queues]", "expected default and queue"),
        ("[default]\nstart_within_seconds = 'a'\nstart_ratio = 0.9\nsuccess_ratio = 0.9", "default"),
    ],
)  # fmt: skip
def test_wrong_objective_is_refused(text: str, message: str) -> None:
    """An objective that cannot be measured or makes no sense is refused, and what is possible is said."""
    with pytest.raises(BadObjective, match=re.escape(message)):
        read(text)
