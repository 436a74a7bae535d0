"""The boards: one table each, as data. What a screen shows is a pure function of a view and a place."""

from __future__ import annotations

from typing import Final

from ..view.view_model import Location
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

ALL: Final = (*TABS, jobs.QUEUED_BOARD, *_OTHERS)


def find_board(location: Location) -> Board:
    """Return the board of a place."""
    if location.board == "jobs" and location.which_jobs != "running":
        return jobs.QUEUED_BOARD
    return _BY_NAME[location.board]


def find_tab(location: Location) -> str:
    """Return the name of the tab under which a place stands."""
    return _UNDER.get(location.board, location.board)


__all__ = ["ALL", "TABS", "Board", "find_board", "find_tab"]
