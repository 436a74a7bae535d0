"""The Lua scripts: loads them, and calls them by name.

Each file has a header that says what it touches, takes, returns, and whether it may be retried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from redis.exceptions import NoScriptError

from .connection import Argument, Connection

_FOLDER: Final = files(__package__) / "lua"
_INCLUDE: Final = "-- include:"


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to be sent."""

    name: str
    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> Script:
        """Read a script and put what it includes before it."""
        body = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
        parts = [(_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in _included(body)]
        text = "\n".join([*parts, body])
        return cls(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _included(body: str) -> list[str]:
    for line in body.splitlines():
        if line.startswith(_INCLUDE):
            return line[len(_INCLUDE) :].split()
    return []


ENQUEUE: Final = Script.load("enqueue")
EXCHANGE: Final = Script.load("exchange")
SETTLE: Final = Script.load("settle")
SET_ASIDE: Final = Script.load("set_aside")
PROMOTE: Final = Script.load("promote")
RUN_PERIODIC: Final = Script.load("run_periodic")
REGISTER: Final = Script.load("register")
JOIN: Final = Script.load("join")
BEAT: Final = Script.load("beat")
LEAVE: Final = Script.load("leave")
REVOKE: Final = Script.load("revoke")
COUNT_SLOTS: Final = Script.load("count_slots")


def run(connection: Connection, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
    """Run a script by its digest, sending its text where the server does not know it."""
    try:
        return connection.call("EVALSHA", script.sha, len(keys), *keys, *arguments, operation=script.name)
    except NoScriptError:
        # Not run, so sending it now runs it once.
        return connection.call("EVAL", script.text, len(keys), *keys, *arguments, operation=script.name)
