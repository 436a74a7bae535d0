"""What panels share in style: colours, thresholds, areas in the grid. Knows no panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import GridPos, Threshold, ThresholdsMode

FINE: Final = "green"
WARNING: Final = "orange"
BAD: Final = "red"
PLAIN: Final = "blue"

# Ages at which the oldest job changes its colour: the default objective, and five times as much.
OLD_SECONDS: Final = 60
VERY_OLD_SECONDS: Final = 300
ROW_HEIGHT: Final = 7


@dataclass(frozen=True, slots=True)
class Area:
    """The area of a panel. The grid has 24 columns; a row is 38 pixels high."""

    x: int
    y: int
    width: int
    height: int

    @property
    def grid_position(self) -> GridPos:
        """The area as the SDK takes it."""
        return GridPos(h=self.height, w=self.width, x=self.x, y=self.y)


def third(column: int, row: int) -> Area:
    """Return one of three areas side by side, in a row of panels."""
    return Area(8 * column, ROW_HEIGHT * row, 8, ROW_HEIGHT)


def thresholds(colour: str, *further: tuple[float, str]) -> ThresholdsConfig:
    """Return thresholds: a colour from zero, then (value, colour) pairs for higher values."""
    found = [
        Threshold(value=0, color=colour),
        *(Threshold(value=value, color=name) for value, name in further),
    ]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def age_thresholds() -> ThresholdsConfig:
    """Return thresholds for how long jobs wait."""
    return thresholds(FINE, (OLD_SECONDS, WARNING), (VERY_OLD_SECONDS, BAD))
