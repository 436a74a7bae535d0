"""Writes the dashboards' files beside this one: `python -m dashboards.generate`; `--check` only compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .overview import overview
from .portable import to_json

FOLDER: Final = Path(__file__).resolve().parent


def files() -> Mapping[str, str]:
    """Return the text of every file by its name."""
    return {"spinach-overview.json": to_json(overview())}


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or say which differ; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file differs")
    check = parser.parse_args(arguments).check
    differing = [name for name, text in files().items() if _read(FOLDER / name) != text]
    for name in differing:
        if not check:
            (FOLDER / name).write_text(files()[name], encoding="utf-8")
        print(f"{name} {'differs' if check else 'written'}")
    return 1 if check and differing else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
