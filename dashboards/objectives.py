"""Reads and checks the objectives of `slo.toml`. Refuses an objective that cannot be measured."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from spinach.stats import HISTOGRAM_EDGES


class BadObjective(ValueError):
    """An objective is wrong; the message says which, and what is possible."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The objective of one queue.

    Attributes:
        start_within_seconds: A job should start within this time from the moment it is due.
        start_ratio: The share of jobs that should start in time.
        success_ratio: The share of ended jobs that should succeed.
    """

    start_within_seconds: float
    start_ratio: float
    success_ratio: float

    def __post_init__(self) -> None:
        if self.start_within_seconds not in HISTOGRAM_EDGES:
            edges = ", ".join(f"{edge:g}" for edge in HISTOGRAM_EDGES)
            raise BadObjective(
                f"start_within_seconds is {self.start_within_seconds:g}; expected an edge "
                f"of the histograms: {edges}"
            )
        for name in ("start_ratio", "success_ratio"):
            if not 0 < getattr(self, name) < 1:
                raise BadObjective(f"{name} is {getattr(self, name)}; expected a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class Objectives:
    """The objectives of all queues: those of single queues, and the default for the rest."""

    default: Objective
    queues: Mapping[str, Objective]


def read(text: str) -> Objectives:
    """Return the objectives.

    Raises:
        BadObjective: something is missing, unknown or cannot be measured.
    """
    given = tomllib.loads(text)
    if unknown := set(given) - {"default", "queue"}:
        raise BadObjective(f"unknown: {', '.join(sorted(unknown))}; expected default and queue")
    default = given.get("default", {})
    queues = {
        name: _objective(f"queue {name}", {**default, **own}) for name, own in given.get("queue", {}).items()
    }
    return Objectives(_objective("default", default), queues)


def _objective(where: str, given: Mapping[str, Any]) -> Objective:
    names = {field.name for field in fields(Objective)}
    if set(given) != names:
        raise BadObjective(f"{where} has {sorted(given)}; expected {sorted(names)}")
    try:
        return Objective(**{name: float(value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise BadObjective(f"{where}: {error}") from None
