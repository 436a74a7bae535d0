"""The demo's numbers, and why they are what they are."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "catalogue"
# Delayed and periodic jobs have a queue and a small worker of their own: in the queue of the files they would
# wait behind all files.
CLOCK_QUEUE: Final = "clock"

FILE_WORKERS: Final = 2
THREADS: Final = 3
MAX_PACKAGES_AT_ONCE: Final = 2
# Another worker takes over after this time. The default of 60 s is too long for a demo.
DEAD_AFTER_SECONDS: Final = 4
# About one file in this many fails at its first attempt, on purpose.
FAIL_ONE_IN: Final = 40
SUMMARY_SECONDS: Final = 2
DELAYS_SECONDS: Final = (2.0, 4.0, 6.0)
