"""The demo: starts server and workers, schedules the work, kills a worker, checks the result.

Exits with 0 when every total agrees with a direct computation, with 130 when it was interrupted, else with 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
from pathlib import Path
from typing import Final

from examples.shared.ending import INTERRUPTED, interrupt_on_signals
from examples.shared.folder import FolderRefused, claimed
from examples.shared.screen import Screen

_DEFAULT_DATA: Final = Path("demo-data")


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    interrupt_on_signals()
    screen = Screen()
    try:
        return _run(_parser().parse_args(arguments), screen)
    except FolderRefused as error:
        screen.say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        screen.say("Stopped.")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.catalogue.run", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=_DEFAULT_DATA, help="folder for the results (default: %(default)s)"
    )
    parser.add_argument(
        "--root", type=Path, default=Path(sysconfig.get_paths()["stdlib"]), help="folder to catalogue"
    )
    parser.add_argument(
        "--limit", type=int, default=2500, help="at most so many files (default: %(default)s)"
    )
    parser.add_argument(
        "--no-top", action="store_true", help="do not open spinach-top, even where there is a terminal"
    )
    return parser


def _run(options: argparse.Namespace, screen: Screen) -> int:
    # Loaded here, where an interrupt is heard: it takes a moment.
    from examples.shared.children import ChildFailed

    from .catalogue import find_sources
    from .demo import Demo, DemoFailed
    from .top import has_terminal

    root = options.root.resolve()
    with claimed(options.data) as data:
        os.environ.update(CATALOGUE_DATA=str(data), CATALOGUE_ROOT=str(root))
        paths = find_sources(options.root, options.limit)
        screen.say(
            f"Input: {len(paths)} .py files of {options.root}, without the folders of tests and of "
            f"installed packages (at most {options.limit})"
        )
        show_top = has_terminal() and not options.no_top
        try:
            agrees = Demo(data, root, paths, screen, show_top=show_top).run()
        except (DemoFailed, ChildFailed) as error:
            screen.say(f"FAILED: {error}")
            return 1
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
