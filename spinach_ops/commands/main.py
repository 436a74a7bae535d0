"""The command `spinach-ops`: parses the command line and runs one command.

Exit codes: 0 fine, 1 something is in error (doctor), 2 the command line is wrong, 3 the server cannot be
reached, 4 not permitted, 130 interrupted. Output goes to stdout, words about it to stderr.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import Final

from spinach.const import VERSION

from ..cli.errors import run_command
from ..cli.streams import drop_what_cannot_be_written, open_closed_streams

# A command is a module with HELP, add_arguments(parser) and run(given) -> exit code; importing it loads no
# client.
COMMANDS: Final = {
    "status": "spinach_ops.commands.status",
    "jobs": "spinach_ops.commands.jobs",
    "failed": "spinach_ops.commands.failed",
    "periodic": "spinach_ops.commands.periodic",
    "doctor": "spinach_ops.commands.doctor",
    "dashboards": "spinach_ops.commands.dashboards",
    "alerts": "spinach_ops.commands.alerts",
    "exporter": "spinach_ops.commands.exporter",
}

_EXIT_CODES: Final = (
    "exit codes: 0 fine, 1 doctor found an error, 2 the command line is wrong, "
    "3 the server cannot be reached or output cannot be written, 4 not permitted, 130 interrupted"
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `spinach-ops`; return its exit code."""
    open_closed_streams()
    drop_what_cannot_be_written("stderr")
    given = _parser().parse_args(arguments)
    return run_command(f"spinach-ops {given.command}", given.run, given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spinach-ops",
        description="Shows the jobs of a namespace, and serves their metrics.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, module_name in COMMANDS.items():
        module = import_module(module_name)
        command = commands.add_parser(name, help=module.HELP, description=module.HELP, epilog=_EXIT_CODES)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
