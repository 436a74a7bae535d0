"""`make observe`: starts a fleet under load and what watches it, says what to look at, kills a worker, ends on Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from examples.shared.ending import INTERRUPTED, interrupt_on_signals
from examples.shared.folder import FolderRefused, claimed
from examples.shared.screen import Screen

from .settings import KILL_AFTER_SECONDS

if TYPE_CHECKING:
    from .observed import Observed

_DEFAULT_DATA: Final = Path("observe-data")


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C; return the exit code."""
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
    parser = argparse.ArgumentParser(prog="python -m examples.observe.run", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=_DEFAULT_DATA, help="folder for logs and data (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="end after so long (default: on Ctrl-C)")
    parser.add_argument(
        "--kill-after", type=float, default=KILL_AFTER_SECONDS, help="seconds until a worker is killed"
    )
    return parser


def _run(options: argparse.Namespace, screen: Screen) -> int:
    # Loaded here, where an interrupt is heard: it takes a moment.
    from .observed import Observed

    with claimed(options.data) as data:
        return _observe(
            Observed(data, screen, kill_after=options.kill_after), screen, seconds=options.seconds
        )


def _observe(observed: Observed, screen: Screen, *, seconds: float | None) -> int:
    from examples.shared.children import ChildFailed

    from .guide import lines

    code = 0
    try:
        for line in lines(observed.start()):
            screen.show(line)
        screen.say("Everything runs. Ctrl-C ends it")
        observed.watch(seconds)
    except KeyboardInterrupt:
        pass
    except ChildFailed as error:
        screen.say(f"FAILED: {error}")
        code = 1
    try:
        observed.stop()
    except KeyboardInterrupt:
        screen.say("Did not wait for all of them")
    screen.say(f"All ended. Scheduled: {observed.scheduled()}. Logs and data: {observed.data}")
    return code


if __name__ == "__main__":
    sys.exit(main())
