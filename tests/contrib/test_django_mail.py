"""E-mails that jobs send: a real Django project, a real mail server, and jobs that an old client left
behind.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.django_project import AWAY, Project
from tests.contrib.smtp import MailServer, mail_server
from tests.servers import Server


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, valkey_server: Server, server: MailServer) -> Project:
    return Project(tmp_path, valkey_server.port, f"EMAIL_PORT = {server.port}\n")


def failures(project: Project) -> list[str]:
    return [letter.message for letter in project.engine._broker.failed_jobs()]


SEND = """
from django.core.mail import EmailMultiAlternatives
message = EmailMultiAlternatives(
    "Grüße", "Guten Tag", "shop@example.com", ["Ann <ann@example.com>"],
    cc=["cc@example.com"], bcc=["hidden@example.com"], reply_to=["help@example.com"],
    headers={"X-Order": "42"},
)
message.attach_alternative("<b>Guten Tag</b>", "text/html")
message.attach("data.bin", bytes(range(256)), "application/octet-stream")
"""


def test_an_email_is_sent_by_a_worker(project: Project, server: MailServer) -> None:
    """The mail server gets the message as Django wrote it; Bcc is in the envelope and nowhere else."""
    text = project.run(
        SEND
        + """
frozen = message.message()
message.message = lambda *args, **kwargs: frozen
assert message.send() == 1
print(json.dumps(frozen.as_bytes().decode()))
"""
    )
    assert server.letters == []
    project.work()
    (letter,) = server.letters
    assert letter.sender == "shop@example.com"
    assert letter.recipients == ["ann@example.com", "cc@example.com", "hidden@example.com"]
    assert letter.text.replace(b"\r\n", b"\n").decode().rstrip() == text.rstrip()
    assert letter.text.count(b"\n") == letter.text.count(b"\r\n")
    assert b"hidden" not in letter.text
    assert b"bcc" not in letter.text.lower()


def test_each_email_is_a_job_of_text(project: Project) -> None:
    """Several messages are scheduled together, one job each, as base64 of MIME; those to nobody are left
    out.
    """
    project.run("""
from django.core import mail
mails = [mail.EmailMessage("one", "text", "a@example.com", ["b@example.com"]),
         mail.EmailMessage("nobody", "text", "a@example.com", []),
         mail.EmailMessage("two", "text", "a@example.com", ["c@example.com"])]
backend = mail.get_connection()
assert backend.send_messages(mails) == 2
assert backend.send_messages([]) == 0
""")
    client = project.engine._broker._redis
    stored = [json.loads(job) for job in client.lrange(f"{project.namespace}/spinach", 0, -1)]
    assert {job["task_name"] for job in stored} == {"spinachd:send_emails_v2"}
    decoded = [base64.b64decode(job["task_args"][0]) for job in stored]
    assert sorted(text.partition(b"Subject: ")[2].partition(b"\n")[0] for text in decoded) == [b"one", b"two"]
    assert all(job["max_retries"] > 0 for job in stored)


def test_a_message_that_cannot_be_written_is_refused_at_once(project: Project) -> None:
    """What is wrong with a message is raised where it is sent, and nothing is scheduled."""
    project.run("""
from django.core.mail import EmailMessage
try:
    EmailMessage("one\\ntwo", "text", "a@example.com", ["b@example.com"]).send()
except ValueError:
    pass
else:
    raise AssertionError("a header with a line end was accepted")
""")
    assert project.engine._broker.is_queue_empty("spinach")


def test_a_broker_that_is_away_is_an_error_unless_asked_to_be_silent(project: Project) -> None:
    """`fail_silently` covers a broker that cannot be reached, as it covers a mail server."""
    project.set(AWAY)
    project.run("""
from django.core.mail import send_mail
from spinach.exc import BrokerUnavailable
arguments = ("subject", "text", "a@example.com", ["b@example.com"])
assert send_mail(*arguments, fail_silently=True) == 0
try:
    send_mail(*arguments)
except BrokerUnavailable:
    pass
else:
    raise AssertionError("nobody was told")
""")


def test_a_background_backend_cannot_be_the_actual_one(project: Project) -> None:
    """The background backend as actual backend is refused; the e-mail is kept and retried meanwhile."""
    project.set("SPINACH_ACTUAL_EMAIL_BACKEND = EMAIL_BACKEND\n")
    told = project.run("""
from django.core.exceptions import ImproperlyConfigured
from spinach.contrib.spinachd import conf
try:
    conf.make_mailer()
except ImproperlyConfigured as error:
    print(json.dumps(str(error)))
""")
    assert "expected a backend that sends them" in told


def test_every_kind_of_message_arrives_to_the_byte(project: Project) -> None:
    """Text that a worker writes is the text that the client wrote: all encodings, parts and line lengths."""
    project.run("""
from email.mime.image import MIMEImage
from django.core.mail import EmailMessage, EmailMultiAlternatives
from spinach.contrib.spinachd.packing import PackedEmail, pack

def message(subject="s", body="b", to=("a@example.com",), **options):
    return EmailMultiAlternatives(subject, body, "from@example.com", list(to), **options)

messages = [
    message(),
    message("Ünïcode " * 40, "\\u20ac\\U0001f4a9\\n" * 300),
    message(body="x" * 5000),
    message(body="From here\\n.dot\\n..\\n\\n  trailing  \\n"),
    message(body="cr\\rlf\\r\\nboth"),
    message(to=["Jörg <j@example.com>", "x@dömäin.example"], cc=[f"n{n}@example.com" for n in range(50)]),
    message(headers={"X-Long": "word " * 200, "Message-ID": "<1@x>", "From": "Shop <other@example.com>"}),
]
html = message(); html.attach_alternative("<p>ü</p>" * 200, "text/html"); messages.append(html)
only = EmailMessage("s", "<p>", "f@example.com",
    ["a@example.com"]); only.content_subtype = "html"; messages.append(only)
files = message()
files.attach("ünï.txt", "täxt", "text/plain")
files.attach("bytes", bytes(range(256)) * 100)
files.attach("mail.eml", message().message().as_bytes(), "message/rfc822")
files.attach(MIMEImage(b"GIF89a", "gif"))
messages.append(files)

for original in messages:
    frozen = original.message()
    original.message = lambda *args, _frozen=frozen, **kwargs: _frozen
    packed = PackedEmail(*json.loads(json.dumps(pack(original))))
    assert packed.message().as_bytes() == frozen.as_bytes(), frozen.as_bytes()
    assert packed.recipients() == original.recipients()
""")


def test_a_web_service_gets_the_parts_of_a_message(project: Project) -> None:
    """Backends that read attributes instead of MIME find subject, bodies, addresses, headers and
    attachments.
    """
    parts = project.run(
        SEND
        + """
from spinach.contrib.spinachd.packing import PackedEmail, pack
packed = PackedEmail(*pack(message))
(alternative,) = packed.alternatives
(attachment,) = packed.attachments
print(json.dumps([
    packed.subject, packed.body.strip(), packed.from_email, packed.to, packed.cc, packed.bcc, packed.reply_to,
    packed.extra_headers["X-Order"], alternative[0].strip(), alternative[1], attachment[0],
    attachment[1] == bytes(range(256)), attachment[2],
]))
"""
    )
    assert parts == [
        "Grüße", "Guten Tag", "shop@example.com", ["Ann <ann@example.com>"], ["cc@example.com"],
        ["hidden@example.com"], ["help@example.com"], "42", "<b>Guten Tag</b>", "text/html", "data.bin", True,
        "application/octet-stream",
    ]  # fmt: skip


def test_mailers_of_recent_django(project: Project, server: MailServer) -> None:
    """Where Django has `MAILERS`, the actual backend may be one of them."""
    import django

    if django.VERSION < (6, 1):
        pytest.skip("MAILERS came with Django 6.1")
    project.set(f"""
del EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT
MAILERS = {{
    "default": {{"BACKEND": "spinach.contrib.spinachd.mail.BackgroundEmailBackend"}},
    "smtp": {{"OPTIONS": {{"host": "127.0.0.1", "port": {server.port}}}}},
}}
SPINACH_ACTUAL_EMAIL_BACKEND = "smtp"
""")
    project.run(SEND + "assert message.send() == 1")
    project.work()
    assert len(server.letters) == 1


# --- pickled e-mails of old clients -------------------------------------------------------------------


class Harmful:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def packed(value: Any, *, compressed: bool = False) -> str:
    raw = pickle.dumps(value)
    return base64.b64encode(zlib.compress(raw) if compressed else raw).decode()


def leave_old_job(project: Project, *arguments: Any) -> None:
    if "spinachd:send_emails" not in project.engine._tasks.names:
        project.engine.task(lambda *_: None, name="spinachd:send_emails")
    project.engine.schedule("spinachd:send_emails", *arguments)


OLD_CLIENT = """
import base64, pickle, zlib
from django.core.mail import EmailMessage, get_connection
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
message = EmailMessage(gettext_lazy("old"), mark_safe("text"), "a@example.com", ["b@example.com"])
message.attach("data.bin", b"data", "application/octet-stream")
print(json.dumps(base64.b64encode({pack}(pickle.dumps({value}))).decode()))
"""


def test_a_pickled_email_is_set_aside_unopened(project: Project) -> None:
    """By default a job that carries a pickle fails at once, with a reason that says what to do; nothing is
    opened.
    """
    leave_old_job(project, packed(Harmful()))
    project.work()
    (reason,) = failures(project)
    assert "SPINACH_ACCEPT_PICKLED_EMAILS" in reason
    assert not (project.folder / "harm").exists()


def test_only_true_opens_pickles(project: Project) -> None:
    """A setting that is not exactly True leaves them closed."""
    project.set("SPINACH_ACCEPT_PICKLED_EMAILS = 'no'\n")
    leave_old_job(project, packed([]))
    project.work()
    assert "were not opened" in failures(project)[0]


@pytest.mark.parametrize(("value", "pack"), [("message", "zlib.compress"), ("[message]", "bytes")])
def test_old_emails_are_sent_where_allowed(
    project: Project, server: MailServer, value: str, pack: str
) -> None:
    """With `SPINACH_ACCEPT_PICKLED_EMAILS = True` e-mails of old clients are sent."""
    project.set("SPINACH_ACCEPT_PICKLED_EMAILS = True\n")
    leave_old_job(project, [project.run(OLD_CLIENT.format(value=value, pack=pack))])
    project.work()
    assert failures(project) == []
    (letter,) = server.letters
    assert b"Subject: old" in letter.text


def test_what_is_no_email_is_set_aside_even_where_allowed(project: Project) -> None:
    """Allowed or not, a pickle that names anything but parts of e-mails is not opened."""
    project.set("SPINACH_ACCEPT_PICKLED_EMAILS = True\n")
    arguments = {
        packed(Harmful()): "which is not part of an e-mail",
        packed([{"message": 1}]): "holds dict",
        "no base64": "cannot be read",
        base64.b64encode(b"\x80\x04no pickle").decode(): "cannot be read",
        42: "holds int",
    }
    for argument in arguments:
        leave_old_job(project, argument)
    project.work("--threads", "1")
    reasons = reversed(failures(project))
    for reason, expected in zip(reasons, arguments.values(), strict=True):
        assert expected in reason
    assert not (project.folder / "harm").exists()


def test_a_mail_job_that_cannot_be_read_is_set_aside(project: Project) -> None:
    """A job without proper base64 fails at once instead of being retried for an hour."""
    project.run("spin.schedule('spinachd:send_emails_v2', '???', 'a@example.com', ['b@example.com'])")
    project.work()
    assert "cannot be read" in failures(project)[0]
