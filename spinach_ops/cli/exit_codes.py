"""The exit codes of all commands. Imports nothing, so that a command can begin with it."""

from __future__ import annotations

from typing import Final

OK: Final = 0
# The command worked, and something is wrong: `doctor` found an error, a condition of --fail-if holds.
FINDINGS: Final = 1
# `spinach worker` stopped before the broker acknowledged all results.
UNACKNOWLEDGED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
NOT_PERMITTED: Final = 4
INTERRUPTED: Final = 130
