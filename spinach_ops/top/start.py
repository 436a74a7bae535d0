"""The entry point of `spinach-top`. Loads next to nothing itself: an interrupt ends it silently."""

from __future__ import annotations

import sys

from ..cli.exit_codes import INTERRUPTED
from ..cli.streams import drop_what_cannot_be_written, open_closed_streams


def main() -> int:
    """Load and run the command line; return its exit code."""
    open_closed_streams()
    drop_what_cannot_be_written("stderr")
    try:
        from .cli import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
