"""`spinach-ops dashboards`: writes the Grafana dashboards that this package carries. Contacts no server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from ..cli.assets import packaged, write_all
from ..cli.errors import UsageError
from ..cli.exit_codes import OK

HELP = "list the Grafana dashboards, print one, or write them to a folder"

# Every file name begins with it; the user may leave it out.
_PREFIX: Final = "spinach-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("name", nargs="?", help="print this dashboard; without a name, list all")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write the dashboards to this folder instead")


def run(given: argparse.Namespace) -> int:
    """List, print or write the dashboards; return the exit code."""
    chosen = {name.removesuffix(".json"): text for name, text in packaged(".json").items()}
    if given.name is not None:
        name = given.name if given.name in chosen else f"{_PREFIX}{given.name}"
        if name not in chosen:
            raise UsageError(f"there is no dashboard {given.name!r}; choose one of: {', '.join(chosen)}")
        chosen = {name: chosen[name]}
    if given.out is not None:
        write_all({f"{name}.json": text for name, text in chosen.items()}, given.out)
        print(
            "Next, in Grafana: Dashboards, New, Import, upload each file, choose your Prometheus.",
            file=sys.stderr,
        )
    elif given.name is not None:
        print(*chosen.values(), end="")
    else:
        print("\n".join(chosen))
    return OK
