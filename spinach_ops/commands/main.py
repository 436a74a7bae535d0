"""The command `spinach-ops`: reads the command line and calls the command.

Exit codes: 0 fine, 1 something is in error (doctor), 2 the command line is wrong, 3 the server cannot be
reached, 4 not permitted, 130 interrupted. Output goes to stdout, words about it to stderr.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import Final

from spinach.const import VERSION

from ..cli.errors import guarded

# A command is a module with HELP, add_arguments(parser) and run(given) -> exit code, light to import.
COMMANDS: Final = {
    "status": "spinach_ops.commands.status",
    "failed": "spinach_ops.commands.failed",
    "periodic": "spinach_ops.commands.periodic",
    "doctor": "spinach_ops.commands.doctor",
    "dashboards": "spinach_ops.commands.dashboards",
    "alerts": "spinach_ops.commands.alerts",
    "exporter": "spinach_ops.commands.exporter",
}

_CODES = "exit codes: 0 fine, 1 errors found (doctor), 2 wrong command line, 3 no server, 4 not permitted"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `spinach-ops`; return its exit code."""
    given = _parser().parse_args(arguments)
    return guarded(f"spinach-ops {given.command}", given.run, given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spinach-ops", description="Looks after the jobs of a namespace.", epilog=_CODES
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, module_name in COMMANDS.items():
        module = import_module(module_name)
        command = commands.add_parser(name, help=module.HELP, description=module.HELP, epilog=_CODES)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
