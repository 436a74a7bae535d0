"""Vitals: how a worker process sees itself, as frozen values for its health checks and metrics.

`stats.workers` has what the broker knows about a worker. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceVitals:
    """One background duty. Durations come from the monotonic clock, which no clock change affects.

    Attributes:
        name: ``arbiter``, ``notifier``, ``heartbeat``, ``rescuer``, ``subscriber`` or ``workers``; a tick of
            the last is a sign of life of their event loop.
        expected: Whether it should run: it was started and not asked to stop.
        alive: Whether its thread runs.
        last_run_at: When it last began or ended a tick, in epoch seconds by this machine's clock.
        silent_seconds: Seconds since then.
        interval_seconds: Longest planned pause between the end of its last tick and the next one.
        failures: Ticks that failed since the start, those in an outage of the broker included.
        asking: Whether it waits for a reply of the broker now.
    """

    name: str
    expected: bool
    alive: bool
    last_run_at: float
    silent_seconds: float
    interval_seconds: float
    failures: int
    asking: bool = False


@dataclass(frozen=True, slots=True)
class Vitals:
    """One worker process. Epoch seconds are by this machine's clock.

    Attributes:
        state: ``starting``, ``running``, ``quiet`` or ``stopping``.
        slots: How many jobs it runs at once.
        busy: How many jobs it runs now.
        started_at: When its workers were started, in epoch seconds.
        heartbeat_at: When the broker last accepted a heartbeat, in epoch seconds.
        heartbeat_seconds: Seconds since then.
        answered_seconds: Seconds since the broker last answered any call of this process.
        unacknowledged: How many results the broker has not confirmed.
        services: Its background duties.
    """

    state: str
    slots: int
    busy: int
    started_at: float
    heartbeat_at: float
    heartbeat_seconds: float
    answered_seconds: float
    unacknowledged: int
    services: tuple[ServiceVitals, ...]
