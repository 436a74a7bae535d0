"""Gathers commands, sends them in one go, and keeps what went wrong with each apart from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ....stats import ReadError
from ..connection import Argument, Connection

T = TypeVar("T")
# One error tells as much as a hundred of its kind.
_MAX_ERRORS: Final = 50
_MAX_MESSAGE: Final = 200


@dataclass(slots=True)
class Question:
    """A command, and its reply once it was sent."""

    command: Sequence[Argument]
    reply: Any = None


@dataclass(slots=True)
class Reader:
    """One reader's conversation with the server.

    Attributes:
        connection: The connection.
        together: Whether to ask for groups in a transaction; cleared when the server refuses that.
        errors: What could not be read.
    """

    connection: Connection
    together: bool = True
    round_trips: int = 0
    commands: int = 0
    errors: list[ReadError] = field(default_factory=list)
    _groups: list[tuple[bool, list[Question]]] = field(default_factory=list)

    def ask(self, *command: Argument) -> Question:
        """Gather one command."""
        question = Question(command)
        self._groups.append((False, [question]))
        return question

    def ask_together(self, *commands: Sequence[Argument]) -> list[Question]:
        """Gather commands whose replies are to be of one instant; a few, for they hold up everybody else."""
        questions = [Question(command) for command in commands]
        self._groups.append((self.together, questions))
        return questions

    def send(self) -> None:
        """Send what was gathered, if anything.

        Raises:
            BrokerUnavailable: the connection broke, or there is none.
        """
        groups, self._groups = self._groups, []
        if not groups:
            return
        replies = iter(self._read([command for group in groups for command in _on_the_wire(*group)]))
        refused: list[Question] = []
        for together, questions in groups:
            opening = next(replies) if together else None
            direct = [next(replies) for _ in questions]
            closing = next(replies) if together else None
            if together and not isinstance(opening, Exception):
                if isinstance(closing, list) and len(closing) == len(questions):
                    direct = closing
                else:
                    refused += questions
            elif together:
                self.together = False
            _answer(questions, direct)
        self._ask_one_by_one(refused)

    def _ask_one_by_one(self, questions: list[Question]) -> None:
        """Ask again what a transaction was refused for: one forbidden command must not cost the others."""
        if questions:
            self.together = False
            _answer(questions, self._read([question.command for question in questions]))

    def _read(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        self.round_trips += 1
        self.commands += len(commands)
        return self.connection.read(*commands, operation="snapshot")

    def answer(self, question: Question | None, default: T) -> Any | T:
        """Return the reply, or the default for none; an error is noted."""
        if question is None:
            return default
        if isinstance(question.reply, Exception):
            text = str(question.reply)
            self.note(_reason(text, question.reply), " ".join(map(str, question.command[:2])), text)
            return default
        return default if question.reply is None else question.reply

    def note(self, reason: str, what: str, message: str) -> None:
        """Note that something could not be read."""
        error = ReadError(reason, what[:_MAX_MESSAGE], message[:_MAX_MESSAGE])
        if len(self.errors) < _MAX_ERRORS and error not in self.errors:
            self.errors.append(error)


def _on_the_wire(together: bool, questions: list[Question]) -> list[Sequence[Argument]]:
    commands = [question.command for question in questions]
    return [("MULTI",), *commands, ("EXEC",)] if together else commands


def _answer(questions: list[Question], replies: list[Any]) -> None:
    for question, reply in zip(questions, replies, strict=True):
        question.reply = reply


def _reason(text: str, error: Exception) -> str:
    if type(error).__name__ == "NoPermissionError" or "NOPERM" in text:
        return "permission"
    return "wrongtype" if "WRONGTYPE" in text else "refused"
