"""A mail server that keeps what it is given."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Letter:
    """An e-mail as a server sees it: the envelope, and the text with CRLF."""

    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    text: bytes = b""


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.letters: list[Letter] = []
        self.port: int = self.server_address[1]


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 ready")
        letter = Letter()
        while line := self.rfile.readline():
            verb = line.decode().strip().partition(" ")[0].upper()
            address = line.decode().partition(":")[2].partition(">")[0].strip(" <\r\n")
            if verb == "MAIL":
                letter = Letter(sender=address)
            elif verb == "RCPT":
                letter.recipients.append(address)
            elif verb == "DATA":
                self._say("354 go on")
                letter.text = self._read_text()
                self.server.letters.append(letter)
            self._say("221 bye" if verb == "QUIT" else "250 ok")

    def _read_text(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@contextlib.contextmanager
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
