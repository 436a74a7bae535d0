"""The command `spinach-top`: a screen that shows a namespace, or its state as text and JSON.

Exit codes: see `_CODES`. Loads the screen's library only when there is a screen, or a theme to find.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from spinach.const import VERSION

from ..cli.errors import UsageError, carries_unicode, run_command
from ..cli.numbers import seconds, whole_number
from ..cli.options import Options, add_common, add_queues, read_common
from ..polling.poller import Poller
from . import headless
from .conditions import Condition

_NAME: Final = "spinach-top"
_DEFAULT_INTERVAL_SECONDS: Final = 2.0
_INTERVALS: Final = (0.2, 3600.0)
_SIZES: Final = (20, 1000)
_CODES: Final = (
    "Exit codes: 0 fine, 1 a condition of --fail-if holds, 2 the command line is wrong, "
    "3 the server cannot be reached, "
    "a condition is not known or output cannot be written, 4 not permitted, 130 interrupted, 143 terminated."
)
_NO_SCREEN: Final = (
    "the screen is drawn on standard error, which is not a terminal: do not redirect it, use --log FILE, "
    "or do without a screen: --once, --count, --plain or --json"
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `spinach-top`; return its exit code."""
    return run_command(_NAME, run, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_NAME, description="Queues and workers of a namespace, straight from Redis; changes nothing.",
        epilog="Without a terminal it behaves as with --once --plain. Rates: = is exact, ≥ a lower bound. "
        f"On the screen ? shows all keys. {_CODES}",
    )  # fmt: skip
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {VERSION}")
    add("-i", "--interval", metavar="SECS", type=seconds(*_INTERVALS), default=_DEFAULT_INTERVAL_SECONDS,
        help="seconds between two polls (default: %(default)s)")  # fmt: skip
    add_queues(parser)
    _add_headless(parser)
    _add_screen(parser)
    add_common(parser)
    return parser


def _add_headless(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("without a screen")
    times = group.add_mutually_exclusive_group()
    times.add_argument("--once", action="store_true", help="poll once")
    times.add_argument(
        "--count", metavar="N", type=whole_number(1), help="poll N times; rates from the second on"
    )
    times.add_argument(
        "--snapshot", metavar="WxH", type=_size, help="print one frame of the screen as text: 80x24"
    )
    group.add_argument("--plain", action="store_true", help="plain text, a block per poll")
    group.add_argument(
        "--fail-if", metavar="EXPR", action="append", default=[],
        help="with --once or --count: exit with 1 if this holds, e.g. 'oldest>5m' or 'workers.connected<1'",
    )  # fmt: skip


def _add_screen(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("screen")
    add = group.add_argument
    add("--inline", action="store_true", help="under the prompt; the last frame stays in the scrollback")
    add("--theme", metavar="T", default="", help="spinach, spinach-light, ansi-dark, textual-light, ...")
    add("--ascii", action="store_true", help="only ASCII, for terminals that lack the other signs")
    add("--hide-args", action="store_true", help="never show arguments of jobs, whatever key is pressed")
    add("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    add("--log", metavar="FILE", type=Path, help="write a log there; the screen is no place for one")


def _size(text: str) -> tuple[int, int]:
    numbers = [int(part) for part in text.split("x") if part.isascii() and part.isdecimal()]
    if len(numbers) != 2 or not _SIZES[0] <= numbers[0] <= _SIZES[1] or not 1 <= numbers[1] <= _SIZES[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 80x24")
    return numbers[0], numbers[1]


def run(given: argparse.Namespace) -> int:
    """Show the screen, or print as many polls as asked for; return the exit code."""
    options = read_common(given)
    if given.log is not None:
        _log_to(given.log)
    if given.theme:
        _check_theme(given.theme)
    is_asked_for = given.once or given.count or given.snapshot or given.plain or options.json
    if not is_asked_for and sys.stdout.isatty():
        if not sys.stderr.isatty():
            print(f"{_NAME}: {_NO_SCREEN}")  # who sits there does not see standard error
            raise UsageError(_NO_SCREEN)
        return _screen(given, options)
    broker = options.connect()
    poller = Poller(broker, interval_seconds=given.interval, queues=given.queue, discover=True)
    if given.snapshot:
        width, height = given.snapshot
        ascii_only = given.ascii or not carries_unicode(sys.stdout)
        return headless.print_screen(poller, broker, width=width, height=height, ascii_only=ascii_only)
    count = 1 if given.once or not (given.count or sys.stdout.isatty()) else given.count
    conditions = _conditions(given.fail_if) if given.fail_if else ()
    return headless.print_polls(poller, broker, options, count=count, conditions=conditions)


def _check_theme(name: str) -> None:
    from .tui.theme import known_themes

    if name not in known_themes():
        raise UsageError(f"theme {name!r} is none of: {', '.join(sorted(known_themes()))}")


def _conditions(texts: list[str]) -> list[Condition]:
    try:
        return [Condition.parse(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"--fail-if: {error}") from None


def _log_to(path: Path) -> None:
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--log {path} cannot be written: {error}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


def _screen(given: argparse.Namespace, options: Options) -> int:
    if given.fail_if:
        raise UsageError("--fail-if needs --once or --count")
    if given.no_color:
        os.environ["NO_COLOR"] = "1"
    logging.getLogger().addHandler(logging.NullHandler())  # on the screen a log would be dirt
    options.connect()  # says what is wrong with the URL while there is no screen yet
    from .tui.app import ScreenOptions, TopApp  # what it needs takes a third of a second to load
    from .tui.app import run as run_app

    screen_options = ScreenOptions(
        interval_seconds=given.interval,
        theme=given.theme,
        ascii_only=given.ascii or not carries_unicode(sys.stderr),  # there the screen is drawn
        hide_arguments=given.hide_args,
        queues=tuple(given.queue),
    )
    app = TopApp(
        lambda namespace: replace(options, namespace=namespace).connect(),
        options.namespace,
        options=screen_options,
    )
    return run_app(app, inline=given.inline, mouse=not given.no_mouse)


if __name__ == "__main__":
    sys.exit(main())
