"""Where the workers of a namespace serve their metrics, as they say themselves, in the form Prometheus reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from spinach.stats import NamespaceSnapshot, WorkerInfo

from .bounds import clean
from .server import METRICS_URL


def http_sd(snapshots: Iterable[NamespaceSnapshot]) -> list[dict[str, Any]]:
    """Return a target group for each live worker that serves metrics.

    Labels begin with ``__meta_``: Prometheus drops them unless a relabelling keeps them, and none of ours is shadowed.
    """
    return [
        group
        for snapshot in snapshots
        for worker in snapshot.workers
        if worker.state != "dead" and (group := _group(snapshot.namespace, worker.info)) is not None
    ]


def _group(namespace: str, worker: WorkerInfo) -> dict[str, Any] | None:
    address = worker.details.get(METRICS_URL)
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
        port = parts.port
    except ValueError:  # what a worker announces is only text
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return {
        "targets": [clean(f"{host}:{port}")],
        "labels": {
            "__scheme__": parts.scheme,
            "__metrics_path__": clean(parts.path) or "/metrics",
            "__meta_spinach_namespace": clean(namespace),
            "__meta_spinach_worker": clean(worker.id),
            "__meta_spinach_host": clean(worker.name),
            "__meta_spinach_version": clean(worker.version or ""),
        },
    }
