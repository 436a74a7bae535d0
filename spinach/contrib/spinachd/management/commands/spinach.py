"""The command `manage.py spinach`: runs the background jobs of the project."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from spinach import const
from spinach.contrib.spinachd import spin
from spinach.exc import BrokerError

_SECOND_SIGNAL: Final = 130


class Command(BaseCommand):
    """Runs workers until they are stopped."""

    help = "Run the background jobs of the project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options to Django's parser."""
        parser.add_argument(
            "--threads", type=int, default=const.DEFAULT_WORKER_NUMBER,
            help="how many jobs run at once (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--queue", default=const.DEFAULT_QUEUE, help="queue to serve (default: %(default)s)"
        )
        parser.add_argument(
            "--stop-when-queue-empty",
            action="store_true",
            help="stop once the queue is empty and nothing runs here",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run workers until a signal arrives or, on request, the queue is empty."""
        try:
            spin.start_workers(
                number=options["threads"],
                queue=options["queue"],
                stop_when_queue_empty=options["stop_when_queue_empty"],
            )
        except (BrokerError, ValueError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError(
                f"{error}; jobs that still run count as those of a dead worker", returncode=_SECOND_SIGNAL
            ) from None
