"""An e-mail as a job carries it: MIME text, sender and recipients, packed and unpacked."""

from __future__ import annotations

import email
import email.policy
from base64 import b64decode, b64encode
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any, Final

from django.core.mail import EmailMultiAlternatives

from ...logger import SafeLogger

logger = SafeLogger(__name__)

# The message has attributes for these, or writes them itself when it is encoded.
_OWN_HEADERS: Final = {
    "subject", "from", "to", "cc", "reply-to", "mime-version", "content-type", "content-transfer-encoding",
}  # fmt: skip


def pack(message: Any) -> tuple[str, str, list[str]]:
    """Return an e-mail of Django as MIME (base64), envelope sender and envelope recipients.

    The recipients are separate, because the MIME text does not name those of Bcc.

    Args:
        message: A `django.core.mail.EmailMessage`.
    """
    mime = message.message().as_bytes()
    recipients = [str(recipient) for recipient in message.recipients()]
    return b64encode(mime).decode("ascii"), str(message.from_email), recipients


class PackedEmail(EmailMultiAlternatives):
    """An e-mail whose MIME text is final.

    `message` and `recipients` return what was packed. Backends that call a web service, and not a mail
    server, read
    attributes: subject, bodies, headers and attachments are read back from the text; others are lost.

    Args:
        mime: MIME text (base64), as `pack` returned it.
        sender: Sender of the envelope.
        recipients: Recipients of the envelope, with those of Bcc.

    Raises:
        ValueError: `mime` is not base64.
    """

    def __init__(self, mime: str, sender: str, recipients: list[str]) -> None:
        super().__init__(from_email=sender, to=recipients)
        self._mime = b64decode(mime, validate=True)
        self._recipients = list(recipients)
        try:
            self._read_back(self.message())
        except Exception:  # the parser of headers has bugs; a mail server needs only the text
            logger.warning(
                "Not all of an e-mail could be read; a web service that sends it may get less", exc_info=True
            )

    def recipients(self) -> list[str]:
        """Return the recipients of the envelope."""
        return list(self._recipients)

    def message(self, *, policy: EmailPolicy[Any] = email.policy.default) -> PackedMime:
        """Return the MIME message. Its bytes are those of the packed text, except for line ends.

        Args:
            policy: How to read and write headers.
        """
        exact = policy.clone(refold_source="none")
        parsed = email.message_from_bytes(self._mime, _class=PackedMime, policy=exact)
        assert isinstance(parsed, PackedMime)  # noqa: S101 - for the type checker
        return parsed

    def _read_back(self, parsed: EmailMessage) -> None:
        self.subject = str(parsed.get("Subject", ""))
        self.to, self.cc = _addresses(parsed, "To"), _addresses(parsed, "Cc")
        shown = {_bare_address(address) for address in self.to + self.cc}
        self.bcc = [address for address in self._recipients if _bare_address(address) not in shown]
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
    """A MIME message that the e-mail backends of every Django release can write."""

    def as_bytes(self, unixfrom: bool = False, policy: Any = None, linesep: str | None = None) -> bytes:
        """Return the text.

        Args:
            unixfrom: Begin with a line ``From ...``, as in a mailbox file.
            policy: How to write headers and line ends.
            linesep: Line end; backends before Django 6 pass it instead of a policy.
        """
        policy = policy or self.policy
        return super().as_bytes(unixfrom, policy.clone(linesep=linesep) if linesep else policy)


def _addresses(parsed: EmailMessage, header: str) -> list[str]:
    value = parsed.get(header)
    return [] if value is None else [str(address) for address in value.addresses]


def _bare_address(address: str) -> str:
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
