"""The entry point of `spinach-top`. Loads nothing itself: an interrupt while it loads ends it silently."""

from __future__ import annotations

import sys

from ..cli.exit_codes import INTERRUPTED


def main() -> int:
    """Load and run the command line; return its exit code."""
    try:
        from .cli import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
