"""How a worker process fares, as it knows itself: frozen values for its own health checks and metrics.

What others know of it stands in `fleet`. Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceVitals:
    """One background duty.

    Attributes:
        name: Its noun: ``arbiter``, ``notifier``, ``heartbeat``, ``rescuer``, ``subscriber``.
        alive: Whether its thread runs.
        last_run_at: Epoch seconds (this machine's clock) at which it last began or ended a tick.
        interval_seconds: It means to run again so long after it last ended one, or sooner.
        failures: Ticks that failed, outages of the broker included, since the start.
    """

    name: str
    alive: bool
    last_run_at: float
    interval_seconds: float
    failures: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """One worker process.

    Attributes:
        state: ``starting``, ``running``, ``quiet`` or ``stopping``.
        slots: Jobs it runs at once.
        busy: Jobs it runs now.
        started_at: Epoch seconds of the start of its workers.
        broker_heard_at: Epoch seconds of the last heartbeat that the broker took.
        unacknowledged: Results of which the broker has not heard.
        services: Its background duties.
    """

    state: str
    slots: int
    busy: int
    started_at: float
    broker_heard_at: float
    unacknowledged: int
    services: tuple[ServiceVitals, ...]
