"""The e-mail backend that schedules e-mails instead of sending them. Stores text and JSON, never pickles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.core.mail.backends.base import BaseEmailBackend

from ...exc import BrokerError
from ...task import Batch
from .packing import pack

SEND_TASK: Final = "spinachd:send_emails_v2"


class BackgroundEmailBackend(BaseEmailBackend):
    """Schedules one job per e-mail; workers send them with `SPINACH_ACTUAL_EMAIL_BACKEND`.

    Each job carries the final MIME text. So an e-mail that is not valid raises in the caller, and a retry
    sends the same text under the same Message-ID.

    Args:
        fail_silently: Raise no error where the broker does not accept the e-mails.
        username: Ignored, because it would be stored in Redis.
        password: Ignored, because it would be stored in Redis.
        **kwargs: Passed to Django's base class.
    """

    only_schedules = True

    def __init__(
        self, fail_silently: bool = False, username: object = None, password: object = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.fail_silently = fail_silently

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Schedule e-mails, all or none.

        Args:
            email_messages: The e-mails; those without recipients are left out.

        Returns:
            How many were scheduled.

        Raises:
            BrokerError: The e-mails could not be scheduled, and `fail_silently` is False.
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
