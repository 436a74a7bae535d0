"""The read model: frozen values that describe a namespace at one moment.

All tools (screen, exporter, commands) read these values and no others. Pure: no I/O, no clock. Unless a field
says otherwise, times are epoch seconds by the broker's clock, durations are seconds, None is unknown.

Reserved, shown by the tools but not produced yet: `QueueStats.paused`, the worker state ``quiet``, the
counters ``cancelled`` and ``expired``.
"""

from __future__ import annotations

from .counters import COUNTERS, HISTOGRAM_EDGES, AttemptError, Histogram, Tally
from .jobs import MAX_PAGE, FailedJob, FailureGroup, HeldJob, JobInfo, Page, Wanted
from .namespace import (
    OVERDUE_SECONDS,
    Costs,
    HistogramStats,
    LimitStats,
    NamespaceSnapshot,
    PeriodicStats,
    QueueStats,
    ReadError,
    ServerStats,
)
from .recent import RECENT_MINUTES, RecentCounts
from .workers import (
    DEFAULT_DEAD_AFTER_SECONDS,
    MAX_LONGEST,
    STATES,
    UPSTREAM_DEAD_AFTER_SECONDS,
    LostWorker,
    OrphanStats,
    RunningJob,
    WorkerInfo,
    WorkerStats,
)

__all__ = [
    "COUNTERS", "DEFAULT_DEAD_AFTER_SECONDS", "HISTOGRAM_EDGES", "MAX_LONGEST", "MAX_PAGE",
    "OVERDUE_SECONDS", "RECENT_MINUTES", "STATES", "UPSTREAM_DEAD_AFTER_SECONDS", "AttemptError", "Costs",
    "FailedJob", "FailureGroup", "HeldJob", "Histogram", "HistogramStats", "JobInfo", "LimitStats",
    "LostWorker", "NamespaceSnapshot", "OrphanStats", "Page", "PeriodicStats", "QueueStats", "ReadError",
    "RecentCounts", "RunningJob", "ServerStats", "Tally", "Wanted", "WorkerInfo", "WorkerStats",
]  # fmt: skip
