"""Dead letters as bytes: one line of JSON about the failure, then the job's text as it was. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..exc import MalformedJob
from ..stats import FailedJob

_FACTS = (
    "reason",
    "queue",
    "task_name",
    "error_type",
    "message",
    "traceback",
    "attempts",
    "worker",
    "failed_at",
)


def to_record(letter: FailedJob) -> bytes:
    """Return the stored form of a dead letter; the raw bytes stay as they are."""
    facts = {name: getattr(letter, name) for name in _FACTS}
    return json.dumps(facts).encode() + b"\n" + letter.raw


def from_record(letter_id: str, record: bytes, failed_at: float) -> FailedJob:
    """Return the dead letter of a stored record; what cannot be read is shown as malformed."""
    head, _, raw = record.partition(b"\n")
    try:
        facts: dict[str, Any] = json.loads(head)
        known = {name: facts[name] for name in _FACTS if type(facts[name]) in (str, int, float)}
        return FailedJob(id=letter_id, raw=raw, **{**known, "failed_at": failed_at})
    except (ValueError, KeyError, TypeError):
        return FailedJob(id=letter_id, raw=record, reason="malformed", failed_at=failed_at)


def malformed(raw: bytes, error: MalformedJob, place: str, now: float, worker: str) -> FailedJob:
    """Return the dead letter of bytes that are not a job."""
    digest = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    return FailedJob(
        id=f"malformed-{digest}",
        raw=raw,
        reason="malformed",
        failed_at=now,
        error_type="spinach.exc.MalformedJob",
        message=f"found in {place}: {error}",
        worker=worker,
    )
