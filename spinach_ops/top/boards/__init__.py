"""The boards: one table each, as data. What a screen shows is a pure function of a view and a place."""

from __future__ import annotations

from typing import Final

from ..view.view_model import Place
from . import explain, failures, jobs, planned, queues, tasks, workers
from .board import Board

TABS: Final[tuple[Board, ...]] = (
    queues.BOARD,
    workers.BOARD,
    jobs.RUNNING_BOARD,
    planned.SCHEDULED_BOARD,
    planned.PERIODIC_BOARD,
    planned.LIMITS_BOARD,
    failures.GROUPS_BOARD,
    tasks.BOARD,
)
_OTHERS: Final = (failures.JOBS_BOARD, explain.BOARD)
_BY_NAME: Final = {board.name: board for board in (*TABS, *_OTHERS)}
# Whose tab is lit while they are shown.
_UNDER: Final = {"failed": "failures"}

ALL: Final = (*TABS, jobs.STANDING_BOARD, *_OTHERS)


def board_of(place: Place) -> Board:
    """Return the board of a place."""
    if place.board == "jobs" and place.view != "running":
        return jobs.STANDING_BOARD
    return _BY_NAME[place.board]


def tab_of(place: Place) -> str:
    """Return the name of the tab under which a place stands."""
    return _UNDER.get(place.board, place.board)


__all__ = ["ALL", "TABS", "Board", "board_of", "tab_of"]
