"""A job's text: what is written, what is read, and that the payload passes through untouched."""

from __future__ import annotations

import json
import random
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinach import codec
from spinach.exc import InvalidJobArguments, MalformedJob
from spinach.job import Job, JobStatus

FIELDS: dict[str, Any] = {
    "at": 1_700_000_000,
    "at_us": 250_000,
    "id": "f57fa1ec-0d53-4f8c-b2a3-4f12d1b6e6cf",
    "max_retries": 3,
    "queue": "mail",
    "retries": 1,
    "status": 2,
    "task_args": [1, "two"],
    "task_kwargs": {"three": 3},
    "task_name": "send",
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(categories=None, exclude_categories=()), max_size=20)
    | st.sampled_from(['"status": 2', '{"task_args": []}', '", "task_kwargs": {', "\\", '\\"', "]}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
arguments = st.lists(json_values, max_size=4)
keywords = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
gaps = st.text(" \t\r\n", max_size=3)


def with_field(**changes: Any) -> bytes:
    return json.dumps(FIELDS | changes).encode()


def without_field(name: str) -> bytes:
    return json.dumps({key: value for key, value in FIELDS.items() if key != name}).encode()


def job_of(*args: Any, **kwargs: Any) -> Job:
    return Job("send", "mail", datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=timezone.utc), 3, args, kwargs)


# --- reading -----------------------------------------------------------------------------------------


def test_text_of_the_published_package_is_read() -> None:
    """The ten fields that old producers write make a job."""
    job = Job.deserialize(json.dumps(FIELDS, sort_keys=True))
    assert str(job.id) == FIELDS["id"]
    assert job.at == datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=timezone.utc)
    assert (job.queue, job.task_name, job.max_retries, job.retries) == ("mail", "send", 3, 1)
    assert (job.task_args, job.task_kwargs, job.status) == ((1, "two"), {"three": 3}, JobStatus.QUEUED)
    assert (job.headers, job.timeout, job.unique_key, job.enqueued_at) == (None, None, None, None)


@given(args=arguments, kwargs=keywords, seed=st.integers(), gap=gaps)
def test_any_order_and_spacing_is_read(args: list[Any], kwargs: dict[str, Any], seed: int, gap: str) -> None:
    """Keys come in any order and spacing; the payload's bytes are cut out exactly as they stand."""
    texts = {key: json.dumps(value) for key, value in FIELDS.items()}
    # A payload with a spelling of its own: other spacing, non-ASCII text unescaped where it may be.
    texts["task_args"] = json.dumps(args, separators=(" , ", " :"), indent=1)
    texts["task_kwargs"] = json.dumps(kwargs, separators=(",", ":"))
    texts["further"] = json.dumps({"task_args": [0], "status": 9})
    members = [f'{gap}"{key}"{gap}:{gap}{text}{gap}' for key, text in texts.items()]
    random.Random(seed).shuffle(members)
    text = f"{gap}{{{','.join(members)}}}{gap}"
    assert codec.payload_of(text) == (texts["task_args"], texts["task_kwargs"])
    assert codec.payload_of(text.encode()) == codec.payload_of(text)
    assert repr(Job.deserialize(text).task_args) == repr(tuple(args))


def test_empty_object_for_no_arguments_is_read() -> None:
    """Old workers write an empty array as an object; it is read, and written right again."""
    job = Job.deserialize(with_field(task_args={}, task_kwargs=[]))
    assert (job.task_args, job.task_kwargs) == ((), {})
    assert job.payload() == ("[]", "{}")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "not readable"),
        (b"\xff", "not readable"),
        (b"[" * 100_000, "not readable"),
        (b'{"at": 1', "not readable"),
        (json.dumps(FIELDS).encode("utf-16"), "not readable"),
        (with_field(queue="?").replace(b"?", b"\xed\xa0\x80"), "not readable"),
        (with_field(task_name="\ud800"), "task_name"),
        (with_field(queue="a\udfff"), "queue"),
        (b"null", "NoneType"),
        (b"[]", "list"),
        (b"{}", "at is None"),
        (without_field("id"), "id"),
        (without_field("task_args"), "task_args"),
        (with_field(id="no uuid"), "id"),
        (with_field(id=FIELDS["id"].replace("-", "")), "id"),
        (with_field(at=1.5), "at"),
        (with_field(at=True), "at"),
        (with_field(at=10**12), "at"),
        (with_field(at_us=1_000_000), "at_us"),
        (with_field(max_retries=-1), "max_retries"),
        (with_field(retries="1"), "retries"),
        (with_field(queue=""), "queue"),
        (with_field(task_name=None), "task_name"),
        (with_field(task_args={"a": 1}), "task_args"),
        (with_field(task_kwargs=[1]), "task_kwargs"),
        (with_field(task_kwargs="x" * 1_000), "task_kwargs"),
    ],
)
def test_malformed_text_is_named(raw: bytes, complaint: str) -> None:
    """Bytes that are no job are refused with one error that says, shortly, what is wrong."""
    with pytest.raises(MalformedJob, match=complaint) as caught:
        Job.deserialize(raw)
    assert len(str(caught.value)) < 400


@given(raw=st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    """Whatever stands in a queue is read or refused, never worse."""
    with pytest.raises(MalformedJob):
        Job.deserialize(raw)


@given(field=st.sampled_from([*FIELDS, "headers", "timeout", "unique_key", "enqueued_at"]), value=json_values)
def test_no_field_breaks_the_reader(field: str, value: Any) -> None:
    """A field of any type or size is read or refused, never worse."""
    try:
        job = Job.deserialize(with_field(**{field: value}))
    except MalformedJob:
        return
    job.text(JobStatus.QUEUED, 1.0).encode()


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-1e999", "1" + "0" * 400, "true", '"5"', "null", "[]"]
)
def test_further_number_that_is_none_is_ignored(number: str) -> None:
    """A further field that should be a number and is not one counts as absent."""
    text = json.dumps(FIELDS)[:-1] + f', "timeout": {number}, "enqueued_at": {number}}}'
    job = Job.deserialize(text)
    assert (job.timeout, job.enqueued_at) == (None, None)
    Job.deserialize(job.text(JobStatus.QUEUED, 1.0))


def test_unknown_status_is_a_hint_only() -> None:
    """A status that nobody knows is read as NOT_SET."""
    for status in (9, -1, "2", None, True):
        assert Job.deserialize(with_field(status=status)).status is JobStatus.NOT_SET


# --- writing -----------------------------------------------------------------------------------------


def test_text_begins_with_the_envelope() -> None:
    """The envelope comes first in one fixed spelling, the task's name last."""
    job = job_of(1, a=[])
    text = job.text(JobStatus.QUEUED, 1_700_000_000.5)
    assert text == (
        f'{{"at": 1893553445, "at_us": 678901, "enqueued_at": 1700000000.500000, "id": "{job.id}", '
        '"max_retries": 3, "queue": "mail", "retries": 0, "status": 2, '
        '"task_args": [1], "task_kwargs": {"a": []}, "task_name": "send"}'
    )


@given(args=arguments, kwargs=keywords, name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_is_written_is_read(args: list[Any], kwargs: dict[str, Any], name: str) -> None:
    """A job that is written and read is the same job, its payload byte for byte, at any distance."""
    job = job_of(*args)
    job.task_kwargs, job.task_name, job.queue = kwargs, name, name
    first = Job.deserialize(job.text(JobStatus.QUEUED, 5.0).encode())
    second = Job.deserialize(first.text(JobStatus.QUEUED, 6.0))
    for received in (first, second):
        assert received.payload() == job.payload()
        assert repr((list(received.task_args), received.task_kwargs)) == repr((args, kwargs))
        assert (received.id, received.at, received.task_name, received.queue) == (job.id, job.at, name, name)


def test_text_is_what_json_reads() -> None:
    """Any JSON reader understands a job's text, further fields included."""
    job = job_of("ä")
    job.headers, job.timeout, job.unique_key = {"traceparent": "00"}, 1.5, "k"
    fields = json.loads(job.text(JobStatus.WAITING, 5.0))
    assert (fields["status"], fields["headers"], fields["timeout"], fields["unique_key"]) == (
        1, {"traceparent": "00"}, 1.5, "k",
    )  # fmt: skip
    assert fields["task_args"] == ["ä"]


def test_changed_arguments_are_not_written() -> None:
    """What a task does to the arguments it got is not written back."""
    received = Job.deserialize(job_of([1]).text(JobStatus.QUEUED, 5.0))
    received.task_args[0].append(2)
    received.task_args = ("something else",)
    assert received.payload() == ("[[1]]", "{}")


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), object(), b"", {1}, {(1, 2): 3}])
def test_arguments_that_are_no_json_are_refused(bad: object) -> None:
    """NaN, infinities and objects are refused with an error that is a TypeError and a ValueError, too."""
    for job in (job_of(bad), job_of(key=bad), job_of([[bad]])):
        with pytest.raises(InvalidJobArguments) as caught:
            job.serialize()
        assert isinstance(caught.value, TypeError)
        assert isinstance(caught.value, ValueError)


def test_circular_arguments_are_refused() -> None:
    """A structure that contains itself is refused like any other that is no JSON."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidJobArguments):
        job_of(circle).serialize()


# --- jobs --------------------------------------------------------------------------------------------


def test_dates() -> None:
    """The exact due time keeps microseconds; the old timestamp is the next whole second."""
    job = job_of()
    assert job.due_timestamp == pytest.approx(1_893_553_445.678901, abs=1e-6)
    assert job.at_timestamp == 1_893_553_446


def test_retries_run_out() -> None:
    """A job may be retried until it was repeated `max_retries` times."""
    job = job_of()
    job.retries = 2
    assert job.should_retry
    job.retries = 3
    assert not job.should_retry


def test_jobs_differ_by_their_fields() -> None:
    """Jobs are equal when their published fields are; ids are random."""
    job = job_of(1)
    copy = Job.deserialize(job.serialize())
    assert copy == job
    assert hash(copy) == hash(job)
    assert job_of(1) != job
    assert job != "job"
    copy.retries = 1
    assert copy != job


def test_published_slots_are_kept() -> None:
    """Integrations iterate the slots of a job; the published ones come first, in their order."""
    assert Job.__slots__[:10] == (
        "id", "status", "task_name", "queue", "at", "max_retries", "retries", "task_args", "task_kwargs",
        "task_func",
    )  # fmt: skip


def test_id_in_capitals_is_the_same_id() -> None:
    """Ids are compared as UUIDs, not as texts."""
    upper = str(uuid4()).upper()
    assert str(Job.deserialize(with_field(id=upper)).id) == upper.lower()
