"""Refuses to run where another distribution has installed a package `spinach`, too.

Two distributions that install into one folder overwrite each other's files. The mixture that is left may lose
jobs.
"""

from __future__ import annotations

import os
import sys


def refuse_mixture(paths: list[str] | None = None) -> None:
    """Check that no other distribution installed a package `spinach`.

    Args:
        paths: Folders to look in, by default where Python looks for packages.

    Raises:
        ImportError: There is one; the message says what to uninstall.
    """
    for folder in sys.path if paths is None else paths:
        found = _other_distribution(folder)
        if found:
            raise ImportError(
                f"two distributions own the package 'spinach': {found} in {folder} was installed beside "
                "spinach-ops, and one of them has overwritten the other. Run: pip uninstall -y spinach "
                "spinach-ops, then install spinach-ops again from the checkout or wheel it came from"
            )


def _other_distribution(folder: str) -> str:
    # Listing the folder takes a hundredth of the time that importlib.metadata takes.
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return ""
    for name in names:
        if name.startswith("spinach-") and name.endswith((".dist-info", ".egg-info")):
            return name.rpartition(".")[0]
    return ""
