"""The command line of a run: one exclusive data folder, one answer to Ctrl-C, SIGTERM and a closed terminal.

Knows nothing of what runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .console import Console
from .data_folder import FolderRefused, exclusive_folder
from .termination import INTERRUPTED, interrupt_on_signals

Run = Callable[[argparse.Namespace, Path, Console], int]


def run_command(parser: argparse.ArgumentParser, run: Run, arguments: list[str] | None) -> int:
    """Read the command line and run, with an emptied data folder; return the exit code.

    Args:
        parser: Has an option `--data`.
        run: Called with the options, the absolute path of the folder and a console; returns the exit code.
        arguments: The command line, by default that of this process.
    """
    interrupt_on_signals()
    console = Console()
    try:
        options = parser.parse_args(arguments)
        with exclusive_folder(options.data) as data:
            return run(options, data, console)
    except FolderRefused as error:
        console.say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        console.say("Stopped.")
        return INTERRUPTED


def add_data(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the option `--data`."""
    parser.add_argument(
        "--data", type=Path, default=Path(default), help="folder for logs and results (default: %(default)s)"
    )
