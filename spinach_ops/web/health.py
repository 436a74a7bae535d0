"""Judges from its vitals whether a worker process is alive, and whether it is ready. Pure.

A process manager restarts a process that is not alive: an outage of the broker must not make it so. A rollout
waits until the process is ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from spinach.runtime.vitals import ServiceVitals, Vitals

_INTERVALS: Final = 3
# A service that asks a silent broker tries again after its timeout of 15 s: allow for two of these.
_SHORTEST_SILENCE_SECONDS: Final = 30.0
_BROKER_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `detail` says what it saw."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    """The result of all checks."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check passes."""
        return all(check.ok for check in self.checks)

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "status": "ok" if self.ok else "failing",
            "checks": {
                check.name: {"status": "ok" if check.ok else "failing", "detail": check.detail}
                for check in self.checks
            },
        }


def liveness(vitals: Vitals | None) -> Health:
    """Return whether every background service moves.

    Args:
        vitals: The vitals of the process, None while no workers run: then no service can have stopped.
    """
    if vitals is None:
        return Health((Check("process", ok=True, detail="no workers run"),))
    # While the broker does not answer at all, a service that waits for it does not hang.
    outage = vitals.answered_seconds > _SHORTEST_SILENCE_SECONDS / 2
    return Health(tuple(_check_service(service, outage=outage) for service in vitals.services))


def _check_service(service: ServiceVitals, *, outage: bool) -> Check:
    if not service.expected:
        return Check(service.name, ok=True, detail="not started, or stopping")
    if not service.alive:
        return Check(service.name, ok=False, detail="its thread has ended")
    limit = max(_INTERVALS * service.interval_seconds, _SHORTEST_SILENCE_SECONDS)
    detail = f"moved {service.silent_seconds:.1f} s ago, {service.failures} failures"
    if service.silent_seconds <= limit:
        return Check(service.name, ok=True, detail=detail)
    if service.asking and outage:
        return Check(service.name, ok=True, detail=f"{detail}; waits for the broker, which does not answer")
    return Check(service.name, ok=False, detail=f"{detail}; expected within {limit:.0f} s")


def readiness(vitals: Vitals | None) -> Health:
    """Return whether the process takes jobs.

    Args:
        vitals: The vitals of the process, None while no workers run.
    """
    if vitals is None:
        return Health((Check("started", ok=False, detail="no workers run"),))
    silence = vitals.heartbeat_seconds
    heartbeat_interval = next(
        (one.interval_seconds for one in vitals.services if one.name == "heartbeat"), 0.0
    )
    limit = max(_BROKER_SECONDS, 1.5 * heartbeat_interval)
    return Health(
        (
            Check("started", ok=vitals.state != "starting", detail=vitals.state),
            Check("takes_jobs", ok=vitals.state == "running", detail=vitals.state),
            Check(
                "broker",
                ok=silence < limit,
                detail=f"accepted a heartbeat {silence:.1f} s ago, expected within {limit:.0f} s",
            ),
        )
    )
