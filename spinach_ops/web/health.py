"""Whether a worker process is alive, and whether it is ready, judged from its vitals. Pure.

Alive is asked by what would restart the process: an outage of the broker is no reason to. Ready is asked by what
watches a rollout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from spinach.runtime.vitals import ServiceVitals, Vitals

_INTERVALS: Final = 3
# A loop that waits for a broker that does not answer comes back within its timeout of 15 s, and tries again.
_SHORTEST_SILENCE_SECONDS: Final = 30.0
_BROKER_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `detail` says what was seen."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    """All that was looked at."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(check.ok for check in self.checks)

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "status": "ok" if self.ok else "failing",
            "checks": {
                check.name: {"status": "ok" if check.ok else "failing", "detail": check.detail}
                for check in self.checks
            },
        }


def liveness(vitals: Vitals | None) -> Health:
    """Return whether every background loop moves.

    Args:
        vitals: Of the process, None while no workers run: then there is nothing that could have stopped.
    """
    if vitals is None:
        return Health((Check("process", ok=True, detail="no workers run"),))
    # While the broker answers nobody, a loop that waits for it is no loop that hangs.
    outage = vitals.answered_seconds > _SHORTEST_SILENCE_SECONDS / 2
    return Health(tuple(_moves(service, outage=outage) for service in vitals.services))


def _moves(service: ServiceVitals, *, outage: bool) -> Check:
    if not service.expected:
        return Check(service.name, ok=True, detail="not started yet, or told to stop")
    if not service.alive:
        return Check(service.name, ok=False, detail="its thread has ended")
    limit = max(_INTERVALS * service.interval_seconds, _SHORTEST_SILENCE_SECONDS)
    detail = f"moved {service.silent_seconds:.1f} s ago, {service.failures} failures"
    if service.silent_seconds <= limit:
        return Check(service.name, ok=True, detail=detail)
    if service.asking and outage:
        return Check(service.name, ok=True, detail=f"{detail}; waits for the broker, which answers nobody")
    return Check(service.name, ok=False, detail=f"{detail}; expected within {limit:.0f} s")


def readiness(vitals: Vitals | None) -> Health:
    """Return whether the process takes jobs.

    Args:
        vitals: Of the process, None while no workers run.
    """
    if vitals is None:
        return Health((Check("started", ok=False, detail="no workers run"),))
    silence = vitals.heartbeat_seconds
    beat = next((one.interval_seconds for one in vitals.services if one.name == "heartbeat"), 0.0)
    limit = max(_BROKER_SECONDS, 1.5 * beat)
    return Health(
        (
            Check("started", ok=vitals.state != "starting", detail=vitals.state),
            Check("takes_jobs", ok=vitals.state == "running", detail=vitals.state),
            Check(
                "broker",
                ok=silence < limit,
                detail=f"took a heartbeat {silence:.1f} s ago, expected within {limit:.0f} s",
            ),
        )
    )
