"""The command `spinach worker`: reads the command line, imports the application, runs its workers.

Exit codes: 0 stopped after a signal or a burst, 1 stopped before the broker acknowledged all results, 2 the
command line or the application is wrong, 3 the broker cannot be reached, 130 a second signal came before
running jobs had ended.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

from spinach import const
from spinach.validation import check_queue_name

from ..cli.exit_codes import INTERRUPTED, OK, UNACKNOWLEDGED, UNREACHABLE, USAGE
from .telemetry import WorkerTelemetry, add_telemetry, start_telemetry

if TYPE_CHECKING:
    from spinach import Engine
    from spinach.worker import BaseWorkers

    from .log import AttemptLog

_LEVELS: Final = ("debug", "info", "warning", "error")
_MAX_TASKS_SHOWN: Final = 12
# The reader of the log may hang, and a write to it then, too.
_FAREWELL_SECONDS: Final = 1.0

_EXAMPLES: Final = """\
examples:
  spinach worker shop.jobs:engine                   5 threads serve the queue 'spinach'
  spinach worker shop.jobs:engine --threads 20      20 jobs at once, in threads
  spinach worker shop.jobs:engine --asyncio 500     500 jobs at once, on one event loop
  spinach worker shop.jobs:engine --queue mail      another queue
  spinach worker shop.jobs:engine --burst           work until the queue is empty, then end
  spinach worker shop.jobs:engine --metrics-port 9850-9869
                                                    serve /metrics, /healthz and /readyz too
  spinach worker shop.jobs:make_engine              a function that returns the engine

The module is looked for in the current folder, then among the installed packages.
Ctrl-C or SIGTERM stops: running jobs finish, others go back to their queue. A second
signal does not wait: jobs that still run are recovered like those of a dead worker.

exit codes: 0 stopped, 1 stopped before the broker acknowledged all results,
2 wrong command line or application, 3 no broker, 130 second signal
"""


def main(arguments: list[str] | None = None, *, on_start: Callable[[], None] = lambda: None) -> int:
    """Run the command line `spinach`; return its exit code.

    Args:
        arguments: By default those of this process.
        on_start: Called just before the workers start.
    """
    options = _parser().parse_args(arguments)
    options.on_start = on_start
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spinach", description="Background jobs on Redis.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {const.VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_worker(commands.add_parser(
        "worker",
        help="run the jobs of an application",
        description="Runs the jobs of an application: imports its engine and starts workers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ))  # fmt: skip
    return parser


def _add_worker(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=run_worker)
    add = parser.add_argument
    add("target", metavar="package.module:engine", help="where the Engine of the application is")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--threads", metavar="N", type=_positive, default=const.DEFAULT_WORKER_NUMBER,
        help="run N jobs at once in threads (default: %(default)s)",
    )  # fmt: skip
    kind.add_argument(
        "--asyncio", metavar="N", type=_positive, help="run N jobs at once on an event loop instead"
    )
    add(
        "--queue",
        metavar="Q",
        type=_queue,
        default=const.DEFAULT_QUEUE,
        help="queue to serve (default: %(default)s)",
    )
    add("--burst", action="store_true", help="stop once the queue is empty and nothing runs here")
    add_telemetry(parser)
    add("--log-level", choices=_LEVELS, default="info", help="lowest level to log (default: %(default)s)")
    add(
        "--tracebacks",
        action="store_true",
        help="log the traceback of every error (failed jobs keep theirs anyway)",
    )
    add(
        "--no-color", action="store_true", help="no colours; also when NO_COLOR is set, or without a terminal"
    )


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def _queue(text: str) -> str:
    try:
        check_queue_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def run_worker(options: argparse.Namespace) -> int:
    """Run workers until they are stopped; return the exit code."""
    from spinach.exc import BrokerError

    from . import log as worker_log
    from .app_loader import TargetError, load_engine

    color = not options.no_color and not os.environ.get("NO_COLOR") and sys.stderr.isatty()
    log = worker_log.WorkerLog(
        logging.getLevelName(options.log_level.upper()), color=color, tracebacks=options.tracebacks
    )
    if options.metrics_port is not None:
        from ..metrics.multiprocess import ignore_multiprocess_folder

        ignore_multiprocess_folder()  # before the application may import the client library
    log.attach()
    add_working_folder()
    try:
        engine = load_engine(options.target)
        log.attach()  # again: the application may have configured logging
        log.attach_to_root()
        return _work(engine, options)
    except TargetError as error:
        return _complain(error, USAGE)
    except BrokerError as error:
        return _complain(error, UNREACHABLE)


def add_working_folder() -> None:
    """Let the application be imported from the working folder, as `python -m` does, unless it was deleted."""
    try:
        folder = os.getcwd()
    except OSError:
        return
    if "" not in sys.path and folder not in sys.path:
        sys.path.insert(0, folder)


def _work(engine: Engine, options: argparse.Namespace) -> int:
    from .log import AttemptLog

    telemetry = start_telemetry(engine, options)
    _show_banner(engine, options, telemetry)
    attempts = AttemptLog(engine.namespace)
    attempts.connect()
    try:
        options.on_start()
        engine.start_workers(
            number=options.asyncio or options.threads,
            queue=options.queue,
            stop_when_queue_empty=options.burst,
            workers_class=_workers_class(options),
        )
    except KeyboardInterrupt:
        _leave_at_once(attempts)
    finally:
        attempts.disconnect()
        telemetry.close()
    _say(f"stopped: {attempts.summary()}")
    return OK if engine.stopped_cleanly else UNACKNOWLEDGED


def _workers_class(options: argparse.Namespace) -> type[BaseWorkers]:
    if options.asyncio:
        from spinach import AsyncioWorkers  # asyncio is not loaded where nobody asked for it

        return AsyncioWorkers
    from spinach import ThreadWorkers

    return ThreadWorkers


def _show_banner(engine: Engine, options: argparse.Namespace, telemetry: WorkerTelemetry) -> None:
    slots = f"{options.asyncio} on an event loop" if options.asyncio else f"{options.threads} in threads"
    ending = "the queue is empty (--burst), or Ctrl-C" if options.burst else "Ctrl-C or SIGTERM"
    facts = {
        "engine": options.target,
        "namespace": engine.namespace,
        "server": engine.broker.address,
        "queue": options.queue,
        "slots": slots,
        "tasks": _tasks_of(engine),
        **telemetry.facts,
        "until": f"{ending}; running jobs finish first",
    }
    _say(f"spinach {const.VERSION} worker, pid {os.getpid()}")
    for name, value in facts.items():
        _say(f"  {name:10} {value}")


def _tasks_of(engine: Engine) -> str:
    names = list(engine.tasks)
    if not names:
        return "none: attach them with engine.attach_tasks(tasks) where the engine is made"
    shown = ", ".join(names[:_MAX_TASKS_SHOWN])
    rest = len(names) - _MAX_TASKS_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _say(text: str) -> None:
    from ..text import printable

    with suppress(OSError, ValueError):  # ValueError: the application closed the stream
        print(printable(text), file=sys.stderr, flush=True)


def _complain(error: Exception, code: int) -> int:
    _say(f"spinach worker: error: {error}")
    return code


def _leave_at_once(attempts: AttemptLog) -> NoReturn:
    # Python would wait for the threads of an executor: a job that never ends must not keep the process.
    farewell = threading.Thread(target=_take_leave, args=(attempts,), daemon=True)
    farewell.start()
    farewell.join(_FAREWELL_SECONDS)
    os._exit(INTERRUPTED)


def _take_leave(attempts: AttemptLog) -> None:
    _say(f"second signal, not waiting for running jobs: {attempts.summary()}")
    logging.shutdown()
