"""A finding: one thing that is wrong, how bad it is, the evidence and what to do. Contains no rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from spinach.stats import NamespaceSnapshot, WorkerInfo

Severity = Literal["error", "warning", "info"]
# The worst first.
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
Kind = Literal["namespace", "queue", "task", "worker", "schedule", "server", "machine", "data"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about; programs read `kind` and `name`, people read `str(subject)`.

    Attributes:
        kind: ``schedule`` is the jobs that wait for their date, ``machine`` the one this tool runs on,
            ``data`` what could not be read.
        name: Of the namespace, queue, task or data; the id of a worker; empty where there is only one.
        label: How people read it, when that is not kind and name.
    """

    kind: Kind
    name: str = ""
    label: str = ""

    def __str__(self) -> str:
        return self.label or f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something an operator should know.

    Attributes:
        code: Stable name of the rule.
        severity: ``error`` when jobs do not run or may be lost.
        subject: What the finding is about.
        evidence: What was seen, with numbers.
        remedy: What to do.
        explained_by: The finding that is the cause of this one, None where none is known.
    """

    code: str
    severity: Severity
    subject: Subject
    evidence: str
    remedy: str
    explained_by: Finding | None = None

    def document(self) -> dict[str, Any]:
        """Return the finding as the `--json` of the commands shows it (`top/schema.json`)."""
        cause = self.explained_by
        return {
            "code": self.code,
            "severity": self.severity,
            "subject": str(self.subject),
            "about": {"kind": self.subject.kind, "name": self.subject.name},
            "evidence": self.evidence,
            "remedy": self.remedy,
            "explained_by": None if cause is None else {"code": cause.code, "subject": str(cause.subject)},
        }


def worker_subject(info: WorkerInfo) -> Subject:
    """Return a worker as a subject: people read its host and the beginning of its id."""
    return Subject("worker", info.id, f"worker {info.name or '(no host)'}/{info.id[:8]}")


Rule = Callable[[NamespaceSnapshot], Iterator[Finding]]


def jobs(number: int) -> str:
    """Return a number of jobs in words."""
    return "1 job" if number == 1 else f"{number} jobs"
