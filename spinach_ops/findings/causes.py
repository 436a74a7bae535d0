"""Which finding explains which: a person reads the cause first, with its symptoms under it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from spinach.stats import NamespaceSnapshot

from .finding import SEVERITIES, Finding

# What may explain a finding, the best explanation first: codes of findings about the same thing, or about a
# worker that served it.
_CAUSES: Final[Mapping[str, tuple[str, ...]]] = {
    "workers_not_connected": ("worker_dead", "worker_silent", "worker_lost"),
    "orphaned_jobs": ("worker_dead", "worker_lost"),
    "queue_without_consumer": ("worker_dead", "worker_lost"),
    "queue_old": ("no_workers", "queue_without_consumer", "slots_held", "worker_blocked", "worker_dead"),
    "queue_held_back": ("no_workers", "queue_without_consumer", "slots_held"),
    "slots_held": ("worker_blocked",),
    "job_runs_long": ("worker_blocked",),
    "overdue": ("no_workers",),
}
# These are about a whole namespace.
_OF_ALL: Final = frozenset({"no_workers"})


def arranged(found: Iterable[Finding], snapshot: NamespaceSnapshot) -> list[Finding]:
    """Return findings with the worst cause first, each followed by what it explains.

    Args:
        found: The findings.
        snapshot: The namespace: it says which queues a worker serves, or served.
    """
    served = _queues_by_worker(snapshot)
    all_found = list(found)
    causes = {id(one): _cause_of(one, all_found, served) for one in all_found}
    symptoms: dict[int, list[Finding]] = {}
    for one in all_found:
        # A cause that is a symptom itself passes its symptoms on, so that two levels are enough.
        root, cause = one, causes[id(one)]
        while cause is not None:
            root, cause = cause, causes[id(cause)]
        symptoms.setdefault(id(root), []).append(one)
    roots = sorted(
        (one for one in all_found if causes[id(one)] is None),
        key=lambda root: min(SEVERITIES.index(one.severity) for one in symptoms[id(root)]),
    )
    ordered: list[Finding] = []
    for root in roots:
        ordered.append(root)
        explained = (replace(one, explained_by=root) for one in symptoms[id(root)] if one is not root)
        ordered += sorted(explained, key=lambda one: SEVERITIES.index(one.severity))
    return ordered


def _queues_by_worker(snapshot: NamespaceSnapshot) -> dict[str, frozenset[str]]:
    queues = {lost.info.id: _names(lost.info.details.get("queues")) for lost in snapshot.lost}
    return queues | {worker.info.id: frozenset(worker.queues) for worker in snapshot.workers}


def _names(queues: Any) -> frozenset[str]:
    return (
        frozenset(name for name in queues if isinstance(name, str))
        if isinstance(queues, list)
        else frozenset()
    )


def _cause_of(
    symptom: Finding, found: Iterable[Finding], served: Mapping[str, frozenset[str]]
) -> Finding | None:
    for code in _CAUSES.get(symptom.code, ()):
        for one in found:
            if one.code == code and _concerns(one, symptom, served):
                return one
    return None


def _concerns(cause: Finding, symptom: Finding, served: Mapping[str, frozenset[str]]) -> bool:
    """Whether a finding is about the same as another, or about a worker of its queue."""
    if cause.code in _OF_ALL or symptom.subject.kind == "namespace" or cause.subject == symptom.subject:
        return True
    about_worker = cause.subject.kind == "worker" and symptom.subject.kind == "queue"
    return about_worker and symptom.subject.name in served.get(cause.subject.name, ())
