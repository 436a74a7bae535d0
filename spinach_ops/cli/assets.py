"""The dashboards and rules that this package carries: reads them, and writes them to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from .errors import UsageError

# Name of the folder in the wheel; a checkout has them in dashboards/, where they are generated.
_PACKAGED: Final = "_dashboards"


def packaged(suffix: str, folder: str = "") -> dict[str, str]:
    """Return the texts of the packaged files by file name.

    Args:
        suffix: The end of the names of the files to return.
        folder: A folder below that of the dashboards.

    Raises:
        UsageError: There is no such file: the installation is incomplete.
    """
    in_wheel = files("spinach_ops") / _PACKAGED
    root: Traversable = in_wheel if in_wheel.is_dir() else Path(__file__).resolve().parents[2] / "dashboards"
    place = root / folder if folder else root
    found = [file for file in place.iterdir() if file.name.endswith(suffix)] if place.is_dir() else []
    if not found:
        raise UsageError(f"{place} has no {suffix} files: install spinach-ops again, this one is incomplete")
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(found, key=lambda file: file.name)}


def write_all(texts: Mapping[str, str], folder: Path) -> None:
    """Write texts to files of a folder, which is made if it is missing; print the path of each.

    Raises:
        UsageError: A file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            path.write_text(text, encoding="utf-8")
            print(path)
    except OSError as error:
        raise UsageError(f"--out {folder} cannot be written: {error}") from None
