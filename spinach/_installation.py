"""Notices a second distribution that owns the package `spinach`.

Two distributions that install into one folder overwrite each other's files; what is left is a mixture
that may lose jobs, so it is refused.
"""

from __future__ import annotations

import os
import sys

_OURS = "spinach_ops"


def refuse_mixture(paths: list[str] | None = None) -> None:
    """Check that no other distribution installed a package `spinach`.

    Args:
        paths: Folders to look in, by default where Python looks for packages.

    Raises:
        ImportError: one is there; the message says what to uninstall.
    """
    for folder in sys.path if paths is None else paths:
        found = _other_distribution(folder)
        if found:
            raise ImportError(
                f"two distributions own the package 'spinach': {found} in {folder} was installed beside "
                "spinach-ops, and one of them has overwritten the other. Run: pip uninstall -y spinach spinach-ops, "
                "then install spinach-ops again from the checkout or wheel it came from"
            )


def _other_distribution(folder: str) -> str:
    # Reading the folder costs a hundredth of what importlib.metadata would.
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return ""
    for name in names:
        if name.startswith("spinach-") and name.endswith((".dist-info", ".egg-info")):
            return name.rpartition(".")[0]
    return ""
