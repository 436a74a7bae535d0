"""The tasks of this app: sending e-mails, clearing expired sessions."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from django.conf import settings

from ...task import AbortException, Tasks
from . import conf
from .mail import SEND_TASK
from .packing import PackedEmail
from .pickled import load_emails

# About three hours of attempts: longer than greylisting or a restart of the mail server, but within the day.
_SEND_RETRIES: Final = 20
_CLEAR_RETRIES: Final = 3

tasks = Tasks()


@tasks.task(name=SEND_TASK, max_retries=_SEND_RETRIES)
def send_email(mime: str, sender: str, recipients: list[str]) -> None:
    """Send one e-mail with the actual backend; parameters are those of `PackedEmail`."""
    try:
        message = PackedEmail(mime, sender, recipients)
    except ValueError as error:
        raise AbortException(f"this e-mail cannot be read: {error}") from error
    conf.make_mailer().send_messages([message])


@tasks.task(name="spinachd:send_emails", max_retries=_SEND_RETRIES)
def send_pickled_emails(*pickled: Any) -> None:
    """Send the e-mails that a client of release 0.0.25 scheduled, if the settings allow it."""
    if not conf.accepts_pickled_emails():
        raise AbortException(
            "this job of a client of spinach 0.0.25 carries pickled e-mails, which can run code when opened; "
            "they were not opened. To send them, set SPINACH_ACCEPT_PICKLED_EMAILS = True until all clients "
            "are upgraded, and retry this job"
        )
    conf.make_mailer().send_messages(load_emails(pickled))


@tasks.task(
    name="spinachd:clear_expired_sessions",
    max_retries=_CLEAR_RETRIES,
    periodicity=conf.clear_sessions_periodicity(),
)
def clear_expired_sessions() -> None:
    """Delete expired sessions, as `manage.py clearsessions` does."""
    try:
        import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    except NotImplementedError:
        raise AbortException(f"sessions of {settings.SESSION_ENGINE} cannot be cleared") from None
