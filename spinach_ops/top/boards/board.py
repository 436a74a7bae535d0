"""What a board is: columns, rows from a view, the pages it needs, and where its rows lead. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from spinach.stats import Wanted

from ..view.table import Column, Row, StyleName
from ..view.view_model import Location, ViewModel


class Board(ABC):
    """One table of the screen.

    Attributes:
        name: Name by which locations refer to it.
        title: Text of its tab.
        columns: Its columns, the one with names first.
        number: Key of its tab; 0 for a board without a tab.
        ranked: Whether rows are put in order of their rank, and rows of the same rank by the column `by`.
        by: That column.
        has_items: Whether rows are single jobs, which can be opened.
        has_text: Whether a row can be opened in full, see `in_full`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    number: ClassVar[int] = 0
    ranked: ClassVar[bool] = False
    by: ClassVar[str] = ""
    has_items: ClassVar[bool] = False
    has_text: ClassVar[bool] = False

    @abstractmethod
    def rows(self, view: ViewModel, location: Location) -> Sequence[Row]:
        """Return the rows, in the order in which they are shown unless the operator sorts."""

    def wanted(self, location: Location, limit: int) -> tuple[Wanted, ...]:
        """Return the pages that the next poll should read, of `limit` entries at most."""
        return ()

    def leads_to(self, view: ViewModel, location: Location, key: str) -> Location | None:
        """Return the location that a row opens; None if it opens nothing, or the job itself."""
        return None

    def caption(self, view: ViewModel, location: Location) -> str:
        """Return the line over the table; empty for none."""
        return ""

    def empty(self, view: ViewModel, location: Location) -> str:
        """Return what is shown instead of rows when there is none."""
        return ""

    def in_full(self, view: ViewModel, key: str) -> Sequence[tuple[str, str, StyleName]]:
        """Return labels, texts and styles of a row that does not fit on one line."""
        return ()
