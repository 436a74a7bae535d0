"""How panels look and where they stand: colours, limits, words, places in the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import GridPos, Threshold, ThresholdsMode

FINE: Final = "green"
WARNING: Final = "orange"
BAD: Final = "red"
PLAIN: Final = "blue"

# Where oldest jobs are coloured: the objective's threshold and its fivefold.
OLD_SECONDS: Final = 60
VERY_OLD_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel stands: 24 columns wide is the grid, a row is 38 pixels high."""

    x: int
    y: int
    width: int
    height: int

    @property
    def grid(self) -> GridPos:
        """The place in the SDK's words."""
        return GridPos(h=self.height, w=self.width, x=self.x, y=self.y)


@dataclass(frozen=True, slots=True)
class Words:
    """What a panel says of itself: its title, and what the number means and what to do about it."""

    title: str
    description: str


def steps(colour: str, *further: tuple[float, str]) -> ThresholdsConfig:
    """Return thresholds: a colour from zero on, then others from a value on."""
    found = [
        Threshold(value=0, color=colour),
        *(Threshold(value=value, color=name) for value, name in further),
    ]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def age_steps() -> ThresholdsConfig:
    """Return thresholds for how long jobs wait."""
    return steps(FINE, (OLD_SECONDS, WARNING), (VERY_OLD_SECONDS, BAD))
