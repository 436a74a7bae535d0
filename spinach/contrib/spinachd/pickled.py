"""Reads the pickled e-mails that clients of release 0.0.25 scheduled. Loads only the parts of e-mails."""

from __future__ import annotations

import io
import pickle
import zlib
from base64 import b64decode
from typing import Any, Final

from ...task import AbortException

_ZLIB: Final = b"\x78"

# Exact names only: a dotted name, or a whole module, would also allow what the module imports, such as `os`.
_ALLOWED: Final = {
    "builtins": {"bytearray", "frozenset", "object", "set", "str"},
    "copyreg": {"_reconstructor"},
    "django.core.mail.message": {
        "EmailAlternative", "EmailAttachment", "EmailMessage", "EmailMultiAlternatives", "SafeMIMEMessage",
        "SafeMIMEMultipart", "SafeMIMEText",
    },
    "django.utils.functional": {"_lazy_proxy_unpickle"},
    "django.utils.safestring": {"SafeString", "SafeText"},
    "django.utils.translation": {"gettext", "ngettext", "npgettext", "pgettext"},
    "email._policybase": {"Compat32"},
    "email.charset": {"Charset"},
    "email.header": {"Header"},
    "email.message": {"EmailMessage", "Message", "MIMEPart"},
    "email.mime.application": {"MIMEApplication"},
    "email.mime.audio": {"MIMEAudio"},
    "email.mime.base": {"MIMEBase"},
    "email.mime.image": {"MIMEImage"},
    "email.mime.message": {"MIMEMessage"},
    "email.mime.multipart": {"MIMEMultipart"},
    "email.mime.text": {"MIMEText"},
    "spinach.contrib.spinachd.mail": {"BackgroundEmailBackend"},
}  # fmt: skip


def load_emails(arguments: tuple[Any, ...]) -> list[Any]:
    """Return the e-mails in the arguments of an old job.

    Args:
        arguments: Strings, or lists of strings: pickled e-mails or lists of them, in base64, perhaps
            compressed.

    Raises:
        AbortException: They are not e-mails; the message says what they are.
    """
    found: list[Any] = []
    for argument in arguments:
        _collect(_unpickle(argument) if isinstance(argument, str) else argument, found)
    return found


def _collect(value: Any, found: list[Any]) -> None:
    if isinstance(value, str):
        value = _unpickle(value)
    if isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, found)
    elif callable(getattr(value, "message", None)):
        found.append(value)
    else:
        raise AbortException(
            f"this job of an old client holds {type(value).__name__}, expected pickled e-mails"
        )


def _unpickle(text: str) -> Any:
    try:
        raw = b64decode(text, validate=True)
        if raw.startswith(_ZLIB):
            raw = zlib.decompress(raw)
        return _EmailUnpickler(io.BytesIO(raw)).load()
    except AbortException:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise AbortException(f"the e-mails of this job of an old client cannot be read: {error}") from error


class _EmailUnpickler(pickle.Unpickler):
    """Loads parts of e-mails and nothing else: a user who can write to Redis must not run code here."""

    def find_class(self, module: str, name: str) -> Any:
        if name in _ALLOWED.get(module, ()):
            return super().find_class(module, name)
        raise AbortException(
            f"the pickle in this job of an old client names {module}.{name}, which is not part of an e-mail; "
            "it was not opened"
        )
