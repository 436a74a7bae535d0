"""How counts and histograms become fields of Redis hashes. Pure."""

from __future__ import annotations

from ...codec import quote
from ...stats import Histogram, Tally
from . import scripts
from .connection import Argument

_Error = scripts.SETTLE.record("error")


def counter_field(queue: str, task: str, counter: str) -> str:
    """Return the field of a counter, spelled as the scripts spell it."""
    return f'[{quote(queue)}, {quote(task)}, "{counter}"]'


def group_field(task: str, error_type: str) -> str:
    """Return the beginning of a failure group's fields; the script adds the fact and the bracket."""
    return f"[{quote(task)}, {quote(error_type)}, "


def count_arguments(tally: Tally) -> list[Argument]:
    """Return a tally's counters as field, increment, field, increment ..."""
    arguments: list[Argument] = []
    for (queue, task, counter), increment in tally.counts.items():
        arguments += (counter_field(queue, task, counter), increment)
    return arguments


def histogram_arguments(tally: Tally) -> list[Argument]:
    """Return a tally's histograms as field, increment ...; sums in microseconds."""
    arguments: list[Argument] = []
    for kind, histograms in (("wait", tally.waits), ("run", tally.runs)):
        for queue, histogram in histograms.items():
            arguments += _histogram_arguments(f'[{quote(queue)}, "{kind}", ', histogram)
    return arguments


def error_arguments(tally: Tally) -> list[Argument]:
    """Return a tally's errors as records of `lua/settle.lua`."""
    records: list[Argument] = []
    for (task, error_type), (number, newest) in tally.errors.items():
        records += _Error(
            error_group=group_field(task, error_type), attempts=number, error_job=newest.job_id,
            error_message=newest.message.encode("utf-8", "replace"), error_traceback=newest.traceback,
        )  # fmt: skip
    return records


def _histogram_arguments(prefix: str, histogram: Histogram) -> list[Argument]:
    arguments: list[Argument] = []
    for bucket, increment in enumerate(histogram.buckets):
        if increment:
            arguments += (f"{prefix}{bucket}]", increment)
    arguments += (f'{prefix}"sum_us"]', round(histogram.total_seconds * 1e6))
    return arguments
