"""The Lua scripts: loads them, and gives their KEYS and ARGV the names that their headers declare.

A header declares, in this order, ``KEYS:``, ``ARGV:`` and ``each NAME:``; the text that is sent consists of the limits
and statuses that the script uses, the files that it includes, the declared names, and the file itself. No other module
builds a list of keys or arguments by position.

- ``KEYS: brokers, running`` gives ``local brokers, running = KEYS[1], KEYS[2]``. A last ``queue_key...`` gives the
  function ``queue_key(number)`` and the number ``queue_keys`` of the keys that follow.
- ``ARGV: worker_id, jobs (number)`` gives the same for arguments. A last ``...`` gives ``first_record``, the index of
  the first argument after them.
- ``each job: text, queue`` describes a record among the arguments that follow. It gives the function ``read_job(at)``
  and the number ``job_size`` of its fields; in Python, `Script.record` returns a tuple with these names.
"""

from __future__ import annotations

import hashlib
import re
from collections import namedtuple
from collections.abc import Iterator, Sequence
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
_NAMES_OF_KEYS: Final = {name for name, member in vars(Keys).items() if isinstance(member, property)}
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
        bindings = "\n".join(_bindings(keys, arguments, records))
        text = "\n".join([*map(_read, header["include"].split()), bindings, body])
        text = _constants_in(text) + text
        key_names, argument_names = _fixed(keys), _fixed(arguments)
        names = {*key_names, *argument_names}
        if len(names) < len(key_names) + len(argument_names):
            raise ValueError(f"{name}.lua declares a name twice")
        return cls(
            name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
            key_names, argument_names, frozenset(names - _NAMES_OF_KEYS), "counters_of_minute" in names, records,
        )  # fmt: skip

    def record(self, name: str) -> Any:
        """Return a class of tuples with the fields of a record; its constructor takes them by name."""
        return namedtuple(name, self.records[name])


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


def _fixed(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.removesuffix(_NUMBER) for name in names if not name.endswith(_REST))


def _bindings(
    keys: Sequence[str], arguments: Sequence[str], records: dict[str, tuple[str, ...]]
) -> Iterator[str]:
    """Yield the lines of Lua that bind the declared names."""
    fixed = _fixed(keys)
    yield f"local {', '.join(fixed)} = {', '.join(f'KEYS[{at}]' for at in range(1, len(fixed) + 1))}"
    if keys[-1].endswith(_REST):
        name = keys[-1].removesuffix(_REST)
        yield f"local {name}s = #KEYS - {len(fixed)}"
        yield f"local function {name}(number) return KEYS[{len(fixed)} + number] end"
    for at, name in enumerate(arguments, 1):
        if name == _REST:
            yield f"local first_record = {at}"
        elif name.endswith(_NUMBER):
            yield f"local {name.removesuffix(_NUMBER)} = tonumber(ARGV[{at}])"
        else:
            yield f"local {name} = ARGV[{at}]"
    for name, fields in records.items():
        values = ", ".join(f"ARGV[at + {offset}]" for offset in range(len(fields)))
        yield f"local {name}_size = {len(fields)}"
        yield f"local function read_{name}(at) return {values} end"


def _constants_in(text: str) -> str:
    """Return the lines of Lua that define the limits and statuses that a text uses."""
    used = set(re.findall(r"\b[A-Z_]+\b", text)) & _CONSTANTS.keys()
    return "".join(f"local {name} = {_CONSTANTS[name]}\n" for name in sorted(used))


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
