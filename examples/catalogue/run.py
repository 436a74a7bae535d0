"""The demo: starts server and workers, schedules the work, kills a worker, checks the result.

Exits with 0 when every total agrees with a direct computation, with 130 when it was interrupted, else with 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
from pathlib import Path

from examples.shared.command import add_data, run_command
from examples.shared.console import Console


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.catalogue.run", description=__doc__)
    add_data(parser, "demo-data")
    parser.add_argument(
        "--root", type=Path, default=Path(sysconfig.get_paths()["stdlib"]), help="folder to catalogue"
    )
    parser.add_argument("--limit", type=int, default=2500, help="at most N files (default: %(default)s)")
    parser.add_argument("--no-top", action="store_true", help="do not open spinach-top on a terminal")
    return run_command(parser, _run, arguments)


def _run(options: argparse.Namespace, data: Path, console: Console) -> int:
    # Imported here, because an interrupt is handled from here on: the imports take a moment.
    from examples.shared.child_process import ChildFailed

    from .catalogue import find_sources
    from .demo import Demo, DemoFailed
    from .top import has_terminal

    root = options.root.resolve()
    os.environ.update(CATALOGUE_DATA=str(data), CATALOGUE_ROOT=str(root))
    paths = find_sources(options.root, options.limit)
    console.say(
        f"Input: {len(paths)} .py files of {options.root}, without the folders of tests and of "
        f"installed packages (at most {options.limit})"
    )
    show_top = has_terminal() and not options.no_top
    try:
        agrees = Demo(data, root, paths, console, show_top=show_top).run()
    except (DemoFailed, ChildFailed) as error:
        console.say(f"FAILED: {error}")
        return 1
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
