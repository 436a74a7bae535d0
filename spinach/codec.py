"""The text of a job as Redis stores it: written, checked and read. Pure; does not know `Job`.

A job is one JSON object of two parts. The *envelope* (dates, id, queue, counters) is written again whenever
the job moves. The *payload* (`task_args`, `task_kwargs`) is never decoded and encoded again, so that a job
keeps the very bytes that its client sent.

The envelope comes first and in one fixed spelling, so that a Lua script finds and patches the status without
parsing what a user wrote. `task_name` comes last for the same reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring as quote  # keeps text that is not ASCII readable and short
from typing import Any, Final

from .exc import InvalidJobArguments, MalformedJob

__all__ = ["assemble", "check_arrives_equal", "dump_payload", "envelope", "parse", "payload_of", "quote"]

_encode_payload = json.JSONEncoder(allow_nan=False).encode
_decoder: Final = json.JSONDecoder()
_whitespace: Final = re.compile(r"[ \t\n\r]*")

# An id is a field of a hash and what operators search for: nothing but a UUID is accepted.
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Dates beyond year 9999 cannot be shown or compared.
_MAX_EPOCH_SECONDS: Final = 253_402_300_799
_MAX_COUNT: Final = 2**53
# What is accepted must be readable on every worker: json recurses once per level, up to 1,000 frames in all.
MAX_NESTING: Final = 500

_INTEGERS: Final = (
    ("at", -62_135_596_800, _MAX_EPOCH_SECONDS),
    ("at_us", 0, 999_999),
    ("max_retries", 0, _MAX_COUNT),
    ("retries", 0, _MAX_COUNT),
)


def dump_payload(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, str]:
    """Return the JSON texts of a job's positional and keyword arguments.

    Args:
        args: The positional arguments.
        kwargs: The keyword arguments.

    Raises:
        InvalidJobArguments: A value is not strict JSON, such as NaN or an infinity.
    """
    try:
        texts = _encode_payload(args), _encode_payload(kwargs) if kwargs else "{}"
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidJobArguments(
            f"job arguments must be JSON-serializable: {error or type(error).__name__}; "
            "pass strings, finite numbers, booleans, None, lists and dicts of these"
        ) from error
    # Most arguments are flat: only what nests is looked at.
    for text, value in ((texts[0], args), (texts[1], kwargs)):
        if text.find("[", 1) > 0 or text.find("{", 1) > 0:
            _check_nested(value)
    return texts


def check_arrives_equal(value: object) -> None:
    """Check that a value is the same once it was written as JSON and read again.

    Args:
        value: Arguments of a job.

    Raises:
        InvalidJobArguments: It holds a tuple, a dict with a key that is not a string, an enum, or an instance
            of a subclass of a JSON type: JSON would change it without an error.
    """
    level = [value]
    while level:
        inner: list[object] = []
        for item in level:
            if type(item) is dict:
                inner += [*item, *item.values()]
                odd = next((key for key in item if type(key) is not str), None)
                if odd is not None:
                    raise InvalidJobArguments(f"the key {odd!r} of a dict would become a string in JSON")
            elif type(item) is list:
                inner += item
            elif item is not None and type(item) not in (str, int, float, bool):
                raise InvalidJobArguments(
                    f"{item!r} of type {type(item).__qualname__} would be changed by JSON"
                )
        level = inner


def _check_nested(value: object) -> None:
    """Check what JSON would accept and change: keys that fall together, and nesting that cannot be read back.

    Raises:
        InvalidJobArguments: There is such a thing in it.
    """
    level = [value]
    for _ in range(MAX_NESTING + 1):
        inner: list[object] = []
        for container in level:
            if isinstance(container, dict):
                _check_keys(container)
                inner += [child for child in container.values() if isinstance(child, (dict, list, tuple))]
            elif isinstance(container, (list, tuple)):
                inner += [child for child in container if isinstance(child, (dict, list, tuple))]
        if not inner:
            return
        level = inner
    raise InvalidJobArguments(f"job arguments are nested more than {MAX_NESTING} levels deep")


def _check_keys(container: dict[Any, Any]) -> None:
    if all(type(key) is str for key in container):
        return
    spelled = [key if isinstance(key, str) else _encode_payload({key: 0})[2:-5] for key in container]
    if len(set(spelled)) < len(spelled):
        twice = next(name for name in spelled if spelled.count(name) > 1)
        raise InvalidJobArguments(
            f"job arguments hold a dict with two keys that become {twice!r} in JSON, whose keys are strings: "
            "one entry would be lost"
        )


def envelope(
    *,
    at: int,
    at_us: int,
    enqueued_at: float,
    job_id: str,
    max_retries: int,
    queue: str,
    retries: int,
    status: int,
    further: Mapping[str, Any] | None = None,
) -> str:
    """Return the head of a job's text, up to and including the comma before its payload.

    Args:
        at: Whole epoch seconds of the job's date.
        at_us: Microseconds of the job's date.
        enqueued_at: Epoch seconds of the push, by the server's clock.
        job_id: Id of the job.
        max_retries: How often the job may be repeated.
        queue: Name of the queue.
        retries: How often the job has been repeated.
        status: Number of the `JobStatus`.
        further: Further members, such as headers.
    """
    head = (
        f'{{"at": {at}, "at_us": {at_us}, "enqueued_at": {enqueued_at:.6f}, "id": "{job_id}", '
        f'"max_retries": {max_retries}, "queue": {quote(queue)}, "retries": {retries}, "status": {status}, '
    )
    if further:
        head += json.dumps(further, allow_nan=False)[1:-1] + ", "
    return head


def assemble(head: str, payload: tuple[str, str], task_name: str) -> str:
    """Return the text of a job: its envelope, its payload (two JSON texts), and the name of its task."""
    return f'{head}"task_args": {payload[0]}, "task_kwargs": {payload[1]}, "task_name": {quote(task_name)}}}'


def parse(raw: bytes | str) -> dict[str, Any]:
    """Return the checked fields of a stored job; keys may come in any order and spacing.

    Args:
        raw: The text, as any release wrote it.

    Raises:
        MalformedJob: The text is not that of a job; the message says why.
    """
    try:
        # Only UTF-8: `json.loads` would also read UTF-16 and encoded surrogates, which `payload_of` cannot.
        text = raw.decode() if isinstance(raw, bytes) else raw
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedJob(f"not readable as JSON: {error}"[:300]) from None
    if type(fields) is not dict:
        raise MalformedJob(f"a job is a JSON object, this is a {type(fields).__name__}")
    _check_integers(fields)
    _check_texts(fields)
    _check_payload(fields)
    return fields


def _check_integers(fields: dict[str, Any]) -> None:
    for name, low, high in _INTEGERS:
        value = fields.get(name)
        if type(value) is not int or not low <= value <= high:
            raise MalformedJob(f"{name} is {_shown(value)}, not an integer in [{low}, {high}]")


def _check_texts(fields: dict[str, Any]) -> None:
    for name in ("id", "queue", "task_name"):
        value = fields.get(name)
        if type(value) is not str or not value:
            raise MalformedJob(f"{name} is {_shown(value)}, not a text")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise MalformedJob(f"{name} is {_shown(value)}, which cannot be written as UTF-8")
    if not _UUID.fullmatch(fields["id"]):
        raise MalformedJob(f"id is {_shown(fields['id'])}, not a UUID")


def _check_payload(fields: dict[str, Any]) -> None:
    # The Lua of old workers writes an empty array as an empty object.
    if fields.get("task_args") == {}:
        fields["task_args"] = []
    if type(fields.get("task_args")) is not list:
        raise MalformedJob(f"task_args is {_shown(fields.get('task_args'))}, not a list")
    if fields.get("task_kwargs") == []:
        fields["task_kwargs"] = {}
    if type(fields.get("task_kwargs")) is not dict:
        raise MalformedJob(f"task_kwargs is {_shown(fields.get('task_kwargs'))}, not an object")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def payload_of(raw: bytes | str) -> tuple[str, str]:
    """Return the texts of `task_args` and `task_kwargs`, byte for byte as they are in a job's text.

    Args:
        raw: A text that `parse` accepts; its keys may come in any order.
    """
    text = raw.decode() if isinstance(raw, bytes) else raw
    spans = _member_spans(text)
    args, kwargs = spans["task_args"], spans["task_kwargs"]
    # Old workers write empty arguments like this.
    return "[]" if args == "{}" else args, "{}" if kwargs == "[]" else kwargs


def _member_spans(text: str) -> dict[str, str]:
    """Return the raw text of every member of a top-level JSON object."""
    spans: dict[str, str] = {}
    position = _skip(text, text.index("{") + 1)
    while text[position] != "}":
        name, position = _decoder.raw_decode(text, position)
        start = _skip(text, _skip(text, position) + 1)  # over the colon
        _, end = _decoder.raw_decode(text, start)
        spans[name] = text[start:end]
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return spans


def _skip(text: str, position: int) -> int:
    match = _whitespace.match(text, position)
    return match.end() if match else position
