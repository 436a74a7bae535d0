"""The Lua scripts: loads them, and writes out the names that their headers declare, and limits and statuses.

No other module and no script builds or reads a list of keys or arguments by position. A header says:

- ``KEYS: brokers, running`` binds ``brokers`` and ``running`` to the first two keys. After a last
  ``queue_key...``, ``queue_key(number)`` is one of the keys that follow, and ``queue_keys`` is how many these
  are.
- ``ARGV: worker_id, jobs (number)`` does the same for arguments. After a last ``...``, ``first_record`` is
  the index of the first argument that follows.
- ``each job: text, queue`` names the fields of a record among those that follow: ``read_job(at)`` is its
  fields, ``job_size`` is how many these are. `Script.record` makes such records.
- ``include: lib`` puts the paragraphs of ``lib.lua`` before the script that it uses.

A caller gives `Session.run` the values by these names.
"""

from __future__ import annotations

import hashlib
import re
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from ...job import JobStatus
from .. import limits
from .keys import Keys

_FOLDER: Final = files(__package__) / "lua"
# A list of names goes on in the next line after a comma; other lines explain.
_FIELD: Final = re.compile(r"^-- (KEYS|ARGV|include|each \w+):((?: .*,\n--)* ?.*)$", re.MULTILINE)
_NUMBER: Final = " (number)"
_REST: Final = "..."
# The keys that a namespace has once.
NAMES_OF_KEYS: Final = {name for name, member in vars(Keys).items() if isinstance(member, property)}
_CONSTANTS: Final = {
    **{name: value for name, value in vars(limits).items() if name.isupper()},
    **{status.name: status.value for status in JobStatus},
}


@dataclass(frozen=True, slots=True)
class Script:
    """One script, ready to be sent.

    Attributes:
        name: Of its file.
        text: All that the server runs.
        sha: Digest of the text.
        keys: Names of its keys, without those that follow.
        arguments: Names of its arguments, without those that follow.
        given: The names that the caller gives a value for; the others are names of `Keys`.
        counts_by_minute: Whether it takes the key of the counters of the present minute.
        records: Names of the fields of each record.
    """

    name: str
    text: str
    sha: str
    keys: tuple[str, ...]
    arguments: tuple[str, ...]
    given: frozenset[str]
    counts_by_minute: bool
    records: dict[str, tuple[str, ...]]

    @classmethod
    def load(cls, name: str) -> Script:
        """Read a script and put before it what it uses.

        Raises:
            ValueError: its header declares a name twice.
        """
        body = _read(name)
        header = {field: text.replace("\n--", "").strip() for field, text in _FIELD.findall(body)}
        named = {field: tuple(re.split(r",\s+", text)) for field, text in header.items()}
        keys, arguments = named["KEYS"], named["ARGV"]
        records = {field[5:]: names for field, names in named.items() if field.startswith("each ")}
        text = f"{_bindings(keys, arguments)}\n{body}"
        for part in reversed(header["include"].split()):
            text = _used_of(_read(part), text) + text
        text = _expanded(text, _expansions(keys, arguments, records))
        key_names, argument_names = _fixed(keys), _fixed(arguments)
        names = {*key_names, *argument_names}
        if len(names) < len(key_names) + len(argument_names):
            raise ValueError(f"{name}.lua declares a name twice")
        return cls(
            name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
            key_names, argument_names, frozenset(names - NAMES_OF_KEYS - {"counters_of_minute"}),
            "counters_of_minute" in names, records,
        )  # fmt: skip

    def record(self, name: str) -> Any:
        """Return a class of tuples with the fields of a record; its constructor takes them by name."""
        return namedtuple(name, self.records[name])


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def _fixed(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.removesuffix(_NUMBER) for name in names if not name.endswith(_REST))


def _bindings(keys: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the lines of Lua that bind the names of fixed keys and arguments."""
    names, values = list(_fixed(keys)), [f"KEYS[{at + 1}]" for at in range(len(_fixed(keys)))]
    for at, name in enumerate(arguments, 1):
        if name != _REST:
            names.append(name.removesuffix(_NUMBER))
            values.append(f"tonumber(ARGV[{at}])" if name.endswith(_NUMBER) else f"ARGV[{at}]")
    return f"local {', '.join(names)} = {', '.join(values)}"


def _used_of(part: str, text: str) -> str:
    """Return the paragraphs of a part that a text uses, directly or not: each function costs every call."""
    used = ""
    for paragraph in reversed(part.split("\n\n")):
        names = re.findall(r"^local (?:function )?(\w+)", paragraph, re.MULTILINE)
        if any(re.search(rf"\b{name}\b", used + text) for name in names):
            used = f"{paragraph}\n\n{used}"
    return used


def _expansions(
    keys: Sequence[str], arguments: Sequence[str], records: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """Yield what is written for the other names: patterns and replacements."""
    yield r"^ *--.*\n", ""
    if keys[-1].endswith(_REST):
        name, fixed = keys[-1].removesuffix(_REST), len(keys) - 1
        yield rf"\b{name}s\b", f"(#KEYS - {fixed})"
        yield rf"\b{name}\((\w+)\)", rf"KEYS[{fixed} + \1]"
    yield r"\bfirst_record\b", str(len(arguments))
    for name, fields in records.items():
        yield rf"\b{name}_size\b", str(len(fields))
        yield rf"\bread_{name}\((\w+)\)", ", ".join(rf"ARGV[\1 + {at}]" for at in range(len(fields)))
    yield from ((rf"\b{name}\b", str(value)) for name, value in _CONSTANTS.items())


def _expanded(text: str, expansions: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in expansions:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


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
UNPARK: Final = Script.load("unpark")
