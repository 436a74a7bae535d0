"""What a board is: columns, rows from a view, the page it needs, and where its rows lead. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spinach.stats import Wanted

from ..view.table import Column, Row, StyleName
from ..view.view_model import Location, ViewModel


def _nothing(location: Location, limit: int) -> tuple[Wanted, ...]:
    del location, limit
    return ()


def _nowhere(view: ViewModel, location: Location, key: str) -> Location | None:
    del view, location, key
    return None


def _no_words(view: ViewModel, location: Location) -> str:
    del view, location
    return ""


@dataclass(frozen=True, slots=True)
class Board:
    """One table of the screen.

    Attributes:
        name: By which places name it.
        title: On its tab.
        columns: Of its rows, the one with names first.
        rows: Makes the rows, in the order in which they are to stand unless somebody sorts.
        number: Key of its tab, 0 for a board that others lead to.
        wanted: Pages it needs in the next look.
        leads_to: The place that a row opens, None where it opens the thing itself, or nothing.
        caption: A line over the table, empty for none.
        empty: What to say when there is no row.
        ranked: Whether rows are put in order of their rank, and others below by the column `by`.
        by: That column.
        has_items: Whether rows are single jobs, which can be opened.
        in_full: Makes labels and texts of a row that does not fit one line; where it leads to is the next
            step.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[ViewModel, Location], Sequence[Row]]
    number: int = 0
    wanted: Callable[[Location, int], tuple[Wanted, ...]] = _nothing
    leads_to: Callable[[ViewModel, Location, str], Location | None] = _nowhere
    caption: Callable[[ViewModel, Location], str] = _no_words
    empty: Callable[[ViewModel, Location], str] = _no_words
    ranked: bool = False
    by: str = ""
    has_items: bool = False
    in_full: Callable[[ViewModel, str], Sequence[tuple[str, str, StyleName]]] | None = None
