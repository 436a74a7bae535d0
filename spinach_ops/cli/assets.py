"""The dashboards and rules that this package carries: read from the wheel or the checkout, written to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from .options import UsageError

# In the wheel; in a checkout they stand where they are generated.
_PACKED: Final = "_dashboards"


def packaged(suffix: str, folder: str = "") -> dict[str, str]:
    """Return the texts of files by name.

    Args:
        suffix: What the files' names end with.
        folder: Below the dashboards' folder.

    Raises:
        UsageError: there are none where they should be.
    """
    packed = files("spinach_ops") / _PACKED
    root: Traversable = packed if packed.is_dir() else Path(__file__).resolve().parents[2] / "dashboards"
    place = root / folder if folder else root
    found = [file for file in place.iterdir() if file.name.endswith(suffix)] if place.is_dir() else []
    if not found:
        raise UsageError(f"no {suffix} files at {place}: this installation is incomplete")
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(found, key=lambda file: file.name)}


def write_all(texts: Mapping[str, str], folder: Path) -> None:
    """Write texts to files of these names, make the folder for them, and say where they are.

    Raises:
        UsageError: that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            path.write_text(text, encoding="utf-8")
            print(path)
    except OSError as error:
        raise UsageError(f"--out {folder} cannot be written: {error}") from None
