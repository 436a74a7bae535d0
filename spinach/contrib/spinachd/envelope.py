"""An e-mail on its way through Redis: MIME text, sender and recipients, and back to what e-mail backends take."""

from __future__ import annotations

import email
import email.policy
from base64 import b64decode, b64encode
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import EmailPolicy
from logging import getLogger
from typing import Any, Final

from django.core.mail import EmailMultiAlternatives

logger = getLogger(__name__)

# These have attributes of their own, or are written by whoever encodes the message.
_OWN_HEADERS: Final = {
    "subject", "from", "to", "cc", "reply-to", "mime-version", "content-type", "content-transfer-encoding",
}  # fmt: skip


def pack(message: Any) -> tuple[str, str, list[str]]:
    """Return an e-mail of Django as MIME (base64), envelope sender and envelope recipients.

    The recipients are kept apart: nobody finds those of Bcc in the MIME text.
    """
    mime = message.message().as_bytes()
    recipients = [str(recipient) for recipient in message.recipients()]
    return b64encode(mime).decode("ascii"), str(message.from_email), recipients


class PackedEmail(EmailMultiAlternatives):
    """An e-mail whose MIME text is final.

    `message` and `recipients` give what was packed. For backends that speak to a web service instead of a mail
    server, subject, bodies, headers and attachments are read back from the text; attributes that Django does not know are lost.

    Args:
        mime: What `pack` returned.
        sender: Of the envelope.
        recipients: Of the envelope, Bcc included.

    Raises:
        ValueError: `mime` is not base64.
    """

    def __init__(self, mime: str, sender: str, recipients: list[str]) -> None:
        super().__init__(from_email=sender, to=recipients)
        self._mime = b64decode(mime, validate=True)
        self._recipients = list(recipients)
        try:
            self._read_back(self.message())
        except Exception:  # the parser of headers has bugs; a mail server needs none of this
            logger.warning("An e-mail could not be read back; web services may get less of it", exc_info=True)

    def recipients(self) -> list[str]:
        """Return the recipients of the envelope."""
        return list(self._recipients)

    def message(self, *, policy: EmailPolicy[Any] = email.policy.default) -> PackedMime:
        """Return the MIME message; written out again, it is the packed text to the byte, line ends aside."""
        exact = policy.clone(refold_source="none")
        parsed = email.message_from_bytes(self._mime, _class=PackedMime, policy=exact)
        assert isinstance(parsed, PackedMime)  # noqa: S101 - for the type checker
        return parsed

    def _read_back(self, parsed: EmailMessage) -> None:
        self.subject = str(parsed.get("Subject", ""))
        self.to, self.cc = _addresses(parsed, "To"), _addresses(parsed, "Cc")
        shown = {_bare(address) for address in self.to + self.cc}
        self.bcc = [address for address in self._recipients if _bare(address) not in shown]
        self.reply_to = _addresses(parsed, "Reply-To")
        self.extra_headers = dict(_further_headers(parsed, self.from_email))
        plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
        if plain is None and html is not None:
            self.content_subtype = "html"
            self.body = _text(html)
        else:
            self.body = "" if plain is None else _text(plain)
            if html is not None:
                self.attach_alternative(_text(html), "text/html")
        for part in parsed.iter_attachments():
            self.attach(part.get_filename(), _content(part), part.get_content_type())


class PackedMime(EmailMessage):
    """A MIME message that can be written the way the backends of each Django release ask for."""

    def as_bytes(self, unixfrom: bool = False, policy: Any = None, linesep: str | None = None) -> bytes:
        """Return the text; before Django 6 its backends pass `linesep` instead of a policy."""
        policy = policy or self.policy
        return super().as_bytes(unixfrom, policy.clone(linesep=linesep) if linesep else policy)


def _addresses(parsed: EmailMessage, header: str) -> list[str]:
    value = parsed.get(header)
    return [] if value is None else [str(address) for address in value.addresses]


def _bare(address: str) -> str:
    return address.rpartition("<")[2].rstrip("> ").lower()


def _further_headers(parsed: EmailMessage, sender: str) -> Iterator[tuple[str, str]]:
    for name, value in parsed.items():
        if name.lower() not in _OWN_HEADERS or (name.lower() == "from" and str(value) != sender):
            yield name, str(value)


def _text(part: Any) -> str:
    raw: bytes = part.get_payload(decode=True) or b""
    try:
        return raw.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:  # a charset that Python does not know
        return raw.decode("utf-8", "replace")


def _content(part: Any) -> Any:
    if part.get_content_maintype() == "text":
        return _text(part)
    if part.is_multipart():
        return part.get_payload(0).as_bytes()
    return part.get_payload(decode=True) or b""
