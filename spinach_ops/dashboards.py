"""`spinach-ops dashboards`: hands out the Grafana dashboards that come with this package. Talks to no server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from .options import OK, UsageError

HELP = "the Grafana dashboards: list, print, write to a folder"

# In the wheel; beside the package in a checkout.
_PACKED: Final = "_dashboards"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("name", nargs="?", help="print this one; without it, list what there is")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write the files there instead")


def run(given: argparse.Namespace) -> int:
    """List, print or write the dashboards; return the exit code."""
    chosen = {file.name.removesuffix(".json"): file for file in dashboards()}
    if given.name is not None:
        if given.name not in chosen:
            raise UsageError(f"no dashboard {given.name!r}; there are: {', '.join(chosen)}")
        chosen = {given.name: chosen[given.name]}
    if given.out is not None:
        _write(chosen.values(), given.out)
    elif given.name is not None:
        print(chosen[given.name].read_text(encoding="utf-8"), end="")
    else:
        print("\n".join(chosen))
    return OK


def dashboards() -> Iterator[Traversable]:
    """Yield the dashboards' files, by name.

    Raises:
        UsageError: there are none where they should be.
    """
    packed = files(__package__) / _PACKED
    folder: Traversable = packed if packed.is_dir() else Path(__file__).resolve().parents[1] / "dashboards"
    found = [file for file in folder.iterdir() if file.name.endswith(".json")] if folder.is_dir() else []
    if not found:
        raise UsageError(f"no dashboards at {packed}: this installation is incomplete")
    yield from sorted(found, key=lambda file: file.name)


def _write(chosen: Iterable[Traversable], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in chosen:
            path = folder / file.name
            path.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
            print(path)
    except OSError as error:
        raise UsageError(f"--out {folder} cannot be written: {error}") from None
    print("In Grafana: Dashboards, New, Import, upload the file, choose the Prometheus.", file=sys.stderr)
