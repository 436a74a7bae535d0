"""Collects commands and sends them in one round trip. An error of one command does not touch the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ....stats import ReadError
from ..connection import Argument, Connection

T = TypeVar("T")
# A damaged namespace may give thousands of errors; a person reads the first.
_MAX_ERRORS: Final = 50
_MAX_MESSAGE: Final = 200


@dataclass(slots=True)
class Request:
    """A command, and its reply once the pipeline was sent."""

    command: Sequence[Argument]
    reply: Any = None


@dataclass(slots=True)
class Pipeline:
    """The commands of one snapshot, their replies and their errors.

    Attributes:
        connection: The connection.
        atomically: Whether groups are sent as transactions; cleared when the server refuses one.
        round_trips: Round trips so far.
        commands: Commands sent so far.
        errors: What could not be read.
    """

    connection: Connection
    atomically: bool = True
    round_trips: int = 0
    commands: int = 0
    errors: list[ReadError] = field(default_factory=list)
    _groups: list[tuple[bool, list[Request]]] = field(default_factory=list)

    def ask(self, *command: Argument) -> Request:
        """Collect one command."""
        request = Request(command)
        self._groups.append((False, [request]))
        return request

    def ask_atomically(self, *commands: Sequence[Argument]) -> list[Request]:
        """Collect commands whose replies must be of one instant. A few only: they hold up other clients."""
        requests = [Request(command) for command in commands]
        self._groups.append((self.atomically, requests))
        return requests

    def send(self) -> None:
        """Send what was collected, if anything.

        Raises:
            BrokerUnavailable: the connection broke, or there is none.
        """
        groups, self._groups = self._groups, []
        if not groups:
            return
        replies = iter(self._read([command for group in groups for command in _on_the_wire(*group)]))
        refused: list[Request] = []
        for is_transaction, requests in groups:
            opening = next(replies) if is_transaction else None
            direct = [next(replies) for _ in requests]
            closing = next(replies) if is_transaction else None
            if is_transaction and not isinstance(opening, Exception):
                if isinstance(closing, list) and len(closing) == len(requests):
                    direct = closing
                else:
                    refused += requests
            elif is_transaction:
                self.atomically = False
            _answer(requests, direct)
        self._ask_one_by_one(refused)

    def _ask_one_by_one(self, requests: list[Request]) -> None:
        """Repeat the commands of refused transactions alone: only one of them may be forbidden."""
        if requests:
            self.atomically = False
            _answer(requests, self._read([request.command for request in requests]))

    def _read(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        self.round_trips += 1
        self.commands += len(commands)
        return self.connection.read(*commands, operation="snapshot")

    def answer(self, request: Request | None, default: T) -> Any | T:
        """Return the reply; the default where there is none, or an error, which is noted."""
        if request is None:
            return default
        if isinstance(request.reply, Exception):
            text = str(request.reply)
            self.note(_reason(text, request.reply), " ".join(map(str, request.command[:2])), text)
            return default
        return default if request.reply is None else request.reply

    def note(self, reason: str, what: str, message: str) -> None:
        """Note that something could not be read."""
        error = ReadError(reason, what[:_MAX_MESSAGE], message[:_MAX_MESSAGE])
        if len(self.errors) < _MAX_ERRORS and error not in self.errors:
            self.errors.append(error)


def _on_the_wire(is_transaction: bool, requests: list[Request]) -> list[Sequence[Argument]]:
    commands = [request.command for request in requests]
    return [("MULTI",), *commands, ("EXEC",)] if is_transaction else commands


def _answer(requests: list[Request], replies: list[Any]) -> None:
    for request, reply in zip(requests, replies, strict=True):
        request.reply = reply


def _reason(text: str, error: Exception) -> str:
    if type(error).__name__ == "NoPermissionError" or "NOPERM" in text:
        return "permission"
    return "wrongtype" if "WRONGTYPE" in text else "refused"
