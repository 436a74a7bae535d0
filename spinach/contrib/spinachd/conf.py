"""The settings of this app with their defaults. They are read when a function is called, never at import."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ... import const
from ...brokers.base import Broker

_DEFAULT_EMAIL_BACKEND: Final = "django.core.mail.backends.smtp.EmailBackend"


def broker() -> Broker:
    """Return `SPINACH_BROKER`, by default a `RedisBroker` on localhost.

    Raises:
        ImproperlyConfigured: It is not a broker.
    """
    value = getattr(settings, "SPINACH_BROKER", None)
    if value is None:
        from ...brokers.redis import RedisBroker  # not loaded where another broker is configured

        return RedisBroker()
    if not isinstance(value, Broker):
        raise ImproperlyConfigured(
            f"SPINACH_BROKER is {value!r}, expected a broker, such as RedisBroker(redis.Redis(...))"
        )
    return value


def namespace() -> str:
    """Return `SPINACH_NAMESPACE`."""
    value: str = getattr(settings, "SPINACH_NAMESPACE", const.DEFAULT_NAMESPACE)
    return value


def clear_sessions_periodicity() -> timedelta | None:
    """Return `SPINACH_CLEAR_SESSIONS_PERIODICITY`; None, the default, leaves expired sessions in place."""
    value: timedelta | None = getattr(settings, "SPINACH_CLEAR_SESSIONS_PERIODICITY", None)
    return value


def accepts_pickled_emails() -> bool:
    """Return whether `SPINACH_ACCEPT_PICKLED_EMAILS` is True; any other value counts as False."""
    return getattr(settings, "SPINACH_ACCEPT_PICKLED_EMAILS", False) is True


def make_mailer() -> Any:
    """Return a new backend of `SPINACH_ACTUAL_EMAIL_BACKEND`, by default Django's SMTP backend.

    The setting is a dotted path, or, since Django 6.1, an alias in `MAILERS`.

    Raises:
        ImproperlyConfigured: The setting names the background backend itself.
    """
    name: str = getattr(settings, "SPINACH_ACTUAL_EMAIL_BACKEND", _DEFAULT_EMAIL_BACKEND)
    aliases = getattr(settings, "MAILERS", {})
    mailer = mail.mailers[name] if name in aliases else import_string(name)()
    if getattr(mailer, "only_schedules", False):
        raise ImproperlyConfigured(
            f"SPINACH_ACTUAL_EMAIL_BACKEND is {name!r}, which schedules e-mails; expected a backend that "
            "sends them"
        )
    return mailer
