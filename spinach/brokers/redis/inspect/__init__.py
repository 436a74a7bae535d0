"""Reads a namespace for tools: snapshots, lists of jobs, key names. Changes nothing; bounds each reply."""

from __future__ import annotations

from .jobs import failed_jobs, failure_groups, jobs_of, queued_jobs, running_jobs
from .neighbours import Neighbours
from .scanning import list_names, namespaces, scan
from .snapshot import snapshot

__all__ = [
    "Neighbours",
    "failed_jobs",
    "failure_groups",
    "jobs_of",
    "list_names",
    "namespaces",
    "queued_jobs",
    "running_jobs",
    "scan",
    "snapshot",
]
