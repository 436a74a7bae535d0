"""Where the command `spinach-top` begins: an interrupt while it loads ends it as silently as one later. Loads nothing itself."""

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
