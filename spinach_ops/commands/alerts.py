"""`spinach-ops alerts`: writes the Prometheus rules that this package carries. Contacts no server."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from ..cli.assets import packaged, write_all
from ..cli.options import OK

HELP = "the alerting and recording rules for Prometheus: print, write to a folder"

_RUNBOOKS: Final = 'runbook_url: "docs/runbooks.md#'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="write the files there instead of printing the alerts"
    )
    parser.add_argument(
        "--runbooks",
        metavar="URL",
        default="",
        help="where people find docs/runbooks.md; goes into every alert",
    )


def run(given: argparse.Namespace) -> int:
    """Print the alerts, or write all rules; return the exit code."""
    texts = packaged(".yml", "rules")
    if given.runbooks:
        ours = f"runbook_url: {json.dumps(given.runbooks, ensure_ascii=False)[:-1]}#"
        texts = {name: text.replace(_RUNBOOKS, ours) for name, text in texts.items()}
    if given.out is not None:
        write_all(texts, given.out)
        print("In prometheus.yml: name the files under rule_files, then reload.", file=sys.stderr)
    else:
        print(texts["alerts.yml"], end="")
    return OK
