"""The addresses at which workers serve their metrics, in the form that Prometheus reads. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from spinach.stats import NamespaceSnapshot, WorkerInfo

from ..metrics.labels import sanitize_label
from ..serving import METRICS_URL
from ..web.addresses import is_loopback


def http_sd(snapshot: NamespaceSnapshot, *, here: str) -> list[dict[str, Any]]:
    """Return a target group for each live worker that serves metrics at an address that others can reach.

    Labels begin with ``__meta_``: Prometheus drops them unless a relabelling rule keeps them.

    Args:
        snapshot: The namespace.
        here: Name of this machine: a worker of another machine cannot be reached on its loopback address.
    """
    return [
        group
        for worker in snapshot.workers
        if worker.state != "dead" and (group := _group(snapshot.namespace, worker.info, here)) is not None
    ]


def _group(namespace: str, worker: WorkerInfo, here: str) -> dict[str, Any] | None:
    address = worker.details.get(METRICS_URL)
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
        port = parts.port
    except ValueError:  # a worker can announce any text
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        return None
    if is_loopback(parts.hostname) and worker.name != here:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return {
        "targets": [sanitize_label(f"{host}:{port}")],
        "labels": {
            "__scheme__": parts.scheme,
            "__metrics_path__": sanitize_label(parts.path) or "/metrics",
            "__meta_spinach_namespace": sanitize_label(namespace),
            "__meta_spinach_worker": sanitize_label(worker.id),
            "__meta_spinach_host": sanitize_label(worker.name),
            "__meta_spinach_version": sanitize_label(worker.version or ""),
        },
    }
