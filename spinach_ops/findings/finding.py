"""One thing that is wrong: what, how bad, the evidence, and what to do. Pure values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from spinach.stats import NamespaceSnapshot

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should know.

    Attributes:
        code: Stable name of the rule.
        severity: ``error`` when jobs do not run or may be lost.
        subject: What it is about: a queue, a worker, a key.
        evidence: What was seen, with numbers.
        remedy: What to do.
    """

    code: str
    severity: Severity
    subject: str
    evidence: str
    remedy: str


Rule = Callable[[NamespaceSnapshot], Iterator[Finding]]


def by_severity(found: Sequence[Finding]) -> list[Finding]:
    """Return findings with the errors first."""
    return sorted(found, key=lambda finding: ("error", "warning", "info").index(finding.severity))


def jobs(number: int) -> str:
    """Return so many jobs, in words."""
    return "1 job" if number == 1 else f"{number} jobs"
