"""Numbers, ages and trends as a person reads them, and cells that fit their columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from spinach_ops.top.view.format import (
    downsample,
    draw_graph,
    draw_sparkline,
    format_age,
    format_count,
    format_date,
    format_duration,
    format_rate,
    format_short,
    format_size,
    narrow_number,
    to_ascii,
)
from spinach_ops.top.view.table import (
    Cell,
    Column,
    cut_line,
    fit_columns,
    fit_text,
    justify_line,
    make_cell,
    make_row_line,
    make_span,
    measure_line,
)

COLUMNS = (
    Column("NAME", "", 10, share=1, max_width=20, priority=9, align="left"),
    Column("A", "", 5, priority=2),
    Column("B", "", 5, priority=8),
    Column("C", "", 5, priority=2),
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (59.9, "59s"), (60, "1m00s"), (252, "4m12s"), (3600, "1h00m"), (11_220, "3h07m"),
        (90_000, "1d1h"),
        (86_400 * 400, "400d"), (-5, "-5s"), (None, "?"), (float("nan"), "?"), (float("inf"), "?"),
    ],
)  # fmt: skip
def test_ages(seconds: float | None, text: str) -> None:
    """An age has the two units that matter; what is no age is a question mark."""
    assert format_age(seconds) == text


@given(st.floats(min_value=0, max_value=1e9))
def test_ages_are_short(seconds: float) -> None:
    """No age of less than thirty years is longer than six characters."""
    assert len(format_age(seconds)) <= 6


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "?"), (0, "0"), (12_408, "12,408"), (13_400_000, "13.4M"), (2e15, "2e+15")],
)
def test_counts(number: float | None, text: str) -> None:
    """A count has separators, and a unit from ten millions on."""
    assert format_count(number) == text


def test_other_figures() -> None:
    """Short counts, rates, bytes, durations and dates have their usual forms."""
    assert [format_short(number) for number in (None, 9_999, 12_400, 3_100_000)] == [
        "?",
        "9,999",
        "12.4k",
        "3.1M",
    ]
    assert [format_rate(number) for number in (0, 85.72, 999.94, 12_400)] == ["0.0", "85.7", "999.9", "12.4k"]
    assert [format_size(number) for number in (None, 812, 38_912, 1_288_490_188)] == [
        "?",
        "812B",
        "38.0K",
        "1.2G",
    ]
    assert [format_duration(number) for number in (0.0012, 0.34, 2.1)] == ["1.2ms", "340ms", "2.1s"]
    assert format_date(0) == "1970-01-01 00:00:00 UTC"
    assert format_date(1e20) == "?"


def test_a_trend_starts_at_zero() -> None:
    """A trend is drawn from zero; little is more than nothing, and what nobody saw is blank."""
    assert draw_sparkline([0, 1, 50, 100, None]) == "▁▂▄█ "
    assert draw_sparkline([0, 0]) == "▁▁"
    assert draw_sparkline([5], top=10) == "▄"
    assert downsample([1, 5, None, None, 2, 3], 3) == [5, None, 3]
    assert downsample([1, None], 5) == [1, None]


def test_ascii_keeps_the_width() -> None:
    """In ASCII every sign of ours has a likeness, others are question marks, and nothing moves."""
    for text in ("▸ ● LIVE ≥1.0 ∞ grow …", "▁▂▃▄▅▆▇█", "日本 ünï 🌱"):
        assert to_ascii(text).isascii()
        assert cell_len(to_ascii(text)) == cell_len(text)


@given(st.text(max_size=60), st.integers(min_value=1, max_value=40), st.sampled_from(["left", "right"]))
def test_any_text_fits(text: str, width: int, align: str) -> None:
    """Whatever a name is, its cell has the width of the column, and nothing in it moves the cursor of a
    terminal.
    """
    shown = make_cell(text).text
    assert shown.isprintable()
    assert cell_len(fit_text(shown, width, align)) == width  # type: ignore[arg-type]


@given(st.integers(min_value=1, max_value=200))
def test_columns_fit(width: int) -> None:
    """The columns that are shown fit the width, the first is always there, and the least important go
    first.
    """
    places = fit_columns(COLUMNS, width)
    shown = [index for index, _ in places]
    assert shown[0] == 0
    assert sum(size for _, size in places) + 2 * (len(places) - 1) <= max(width, 1)
    assert not (1 in shown and 2 not in shown)
    assert not (3 in shown and 1 not in shown)  # of equals the last goes first
    assert dict(places)[0] <= 20


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("1,000,000", 9, "1,000,000"), ("1,000,000", 7, "1.0M"), ("≥999.9k", 6, "≥999k"),
        ("!!14m41s", 8, "!!14m41s"),
        ("!!14m41s", 7, "!!14m"), ("1,999/2,000", 10, "1.9k/2.0k"), ("12345", 4, "12k"), ("+85.7", 3, "+85"),
    ],
)  # fmt: skip
def test_numbers_are_not_cut(text: str, width: int, shown: str) -> None:
    """A number that does not fit its column is written shorter, rounded down, and never cut."""
    assert narrow_number(text, width) == shown


@given(st.integers(min_value=0, max_value=2**53), st.sampled_from(["", "≥", "≈", "!!"]))
def test_no_number_in_a_table_is_cut(number: int, mark: str) -> None:
    """Whatever a number is, what stands in its column has no mark of a cut and exactly its width."""
    columns = (Column("N", "", 10, align="left"), Column("DEPTH", "", 7))
    row = make_row_line(
        columns, [(0, 10), (1, 7)], [make_cell("name"), Cell(f"{mark}{format_count(number)}", "", number)]
    )
    assert measure_line(row) == 19
    assert "…" not in row[1].text
    assert "#" not in row[1].text


def test_a_row_is_as_wide_as_its_columns() -> None:
    """A row with bars and wide characters is exactly as wide as its columns and the gaps between."""
    places = fit_columns(COLUMNS, 40)
    cells = [Cell("日本" * 20), Cell("1"), Cell("", bars=tuple(range(60))), Cell("x" * 50)]
    assert measure_line(make_row_line(COLUMNS, places, cells)) == sum(size for _, size in places) + 2 * 3


def test_lines_are_cut_and_spread() -> None:
    """A line is cut at its width with a mark; a right part goes where there is no room for it."""
    line = (make_span("12345"), make_span("67890"))
    assert measure_line(cut_line(line, 7)) == 7
    assert cut_line(line, 7)[-1].text == "6…"
    assert measure_line(justify_line(line, (make_span("right"),), 30)) == 30
    assert justify_line(line, (make_span("right"),), 12) == line


def test_a_graph() -> None:
    """A graph has as many rows as asked for, is full where the highest value is, and shows that nothing was
    seen.
    """
    assert draw_graph([0, 4, 8, None], 2) == ["  █ ", "▁██ "]
    assert draw_graph([0, None], 2) == ["  ", "▁ "]
