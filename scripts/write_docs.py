"""Writes the generated parts of the documentation: the list of metrics, from the catalog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from spinach_ops.metrics.catalog import as_markdown

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
MARK: Final = "<!-- Written by `make docs` from spinach_ops/metrics/catalog.py. -->\n"


def page(text: str) -> str:
    """Return the page with the current list below the mark."""
    before, mark, _ = text.partition(MARK)
    if not mark:
        raise ValueError(f"{PAGE} has no line {MARK!r}: the list goes below it")
    return f"{before}{mark}\n{as_markdown()}"


def main() -> int:
    """Write the page; return the exit code."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
