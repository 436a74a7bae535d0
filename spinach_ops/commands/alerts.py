"""`spinach-ops alerts`: writes the Prometheus rules that this package carries. Contacts no server."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from ..cli.assets import packaged, write_all
from ..cli.exit_codes import OK

HELP = "print the alerting rules for Prometheus, or write all rules to a folder"

_RUNBOOKS: Final = 'runbook_url: "docs/runbooks.md#'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path,
        help="write alerting and recording rules to this folder instead of printing the alerts",
    )  # fmt: skip
    parser.add_argument(
        "--runbooks", metavar="URL", default="",
        help="the address at which you publish docs/runbooks.md; every alert links to it",
    )  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Print the alerts, or write all rules; return the exit code."""
    texts = packaged(".yml", "rules")
    if given.runbooks:
        link = f"runbook_url: {json.dumps(given.runbooks, ensure_ascii=False)[:-1]}#"
        texts = {name: text.replace(_RUNBOOKS, link) for name, text in texts.items()}
    if given.out is not None:
        write_all(texts, given.out)
        print(
            "Next: name these files under rule_files in prometheus.yml, then reload Prometheus.",
            file=sys.stderr,
        )
    else:
        print(texts["alerts.yml"], end="")
    return OK
