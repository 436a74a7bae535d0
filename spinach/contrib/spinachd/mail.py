"""The e-mail backend that leaves the sending to a job. Nothing but text and JSON is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.core.mail.backends.base import BaseEmailBackend

from ...exc import BrokerError
from ...task import Batch
from .envelope import pack

SEND_TASK: Final = "spinachd:send_emails_v2"


class BackgroundEmailBackend(BaseEmailBackend):
    """Schedules one job per e-mail; workers send them with `SPINACH_ACTUAL_EMAIL_BACKEND`.

    Each job holds the final MIME text: what is wrong with a message is raised here, and a retry sends the same
    message under the same Message-ID. User name and password of a connection are ignored: they would stand in Redis.
    """

    only_schedules = True

    def __init__(
        self, fail_silently: bool = False, username: object = None, password: object = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.fail_silently = fail_silently

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Schedule e-mails, all or none.

        Returns:
            How many were scheduled; those without recipients are left out.

        Raises:
            BrokerError: they could not be scheduled, unless `fail_silently` was asked for.
        """
        from . import spin  # e-mail backends are imported before the app is ready

        batch = Batch()
        for message in email_messages or ():
            if message.recipients():
                batch.schedule(SEND_TASK, *pack(message))
        if not len(batch):
            return 0
        try:
            spin.schedule_batch(batch)
        except BrokerError:
            if not self.fail_silently:
                raise
            return 0
        return len(batch)
