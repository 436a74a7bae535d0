"""`make observe`: runs a fleet under load with the tools that watch it, and kills a worker, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from examples.shared.command import add_data, run_command
from examples.shared.console import Console

from .settings import KILL_AFTER_SECONDS


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.observe.run", description=__doc__)
    add_data(parser, "observe-data")
    parser.add_argument("--seconds", type=float, help="end after this time (default: on Ctrl-C)")
    parser.add_argument(
        "--kill-after", type=float, default=KILL_AFTER_SECONDS, help="seconds until a worker is killed"
    )
    return run_command(parser, _run, arguments)


def _run(options: argparse.Namespace, data: Path, console: Console) -> int:
    # Imported here, because an interrupt is handled from here on: the imports take a moment.
    from examples.shared.child_process import ChildFailed

    from .deployment import Deployment
    from .guide import lines

    deployment = Deployment(data, console, kill_after=options.kill_after)
    code = 0
    try:
        for line in lines(deployment.start()):
            console.show(line)
        console.say("Everything runs. Ctrl-C ends it")
        deployment.watch(options.seconds)
    except KeyboardInterrupt:
        pass
    except ChildFailed as error:
        console.say(f"FAILED: {error}")
        code = 1
    try:
        deployment.stop()
    except KeyboardInterrupt:
        console.say("Did not wait for all processes")
    console.say(f"All ended. Scheduled: {deployment.scheduled()}. Logs and data: {deployment.data}")
    return code


if __name__ == "__main__":
    sys.exit(main())
