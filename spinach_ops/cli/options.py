"""Options that every command has: which server, which namespace, which form of output."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO
from urllib.parse import parse_qsl, urlsplit

from spinach.const import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from spinach.brokers.base import Broker

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
URL_VARIABLES: Final = ("SPINACH_REDIS_URL", "REDIS_URL")
NAMESPACE_VARIABLE: Final = "SPINACH_NAMESPACE"

OK: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
NOT_PERMITTED: Final = 4
INTERRUPTED: Final = 130


class UsageError(Exception):
    """The command line or what it names is wrong; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the common options said.

    Attributes:
        url: Of the server, credentials included: never to be shown, see `masked`.
        namespace: Whose jobs.
        json: Whether output is for a program.
        color: Whether output may be coloured.
    """

    url: str
    namespace: str
    json: bool
    color: bool

    def connect(self) -> Broker:
        """Return a broker that reads the namespace; nothing is sent yet.

        Raises:
            UsageError: URL or namespace are none.
        """
        from spinach.brokers.redis.from_url import connect  # the client takes longer to load than all else

        try:
            return connect(self.url, self.namespace)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def server(self) -> str:
        """The URL without credentials, for a person."""
        return masked(self.url)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the common options to a command."""
    add_server(parser).add_argument(
        "-n", "--namespace", metavar="NS",
        help=f"namespace to look at (default: ${NAMESPACE_VARIABLE}, then {DEFAULT_NAMESPACE})",
    )  # fmt: skip
    add_output(parser)


def add_server(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that name the server; return their group."""
    group = parser.add_argument_group("server and namespace")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--redis", metavar="URL",
        help=f"redis://, rediss:// or unix:// (default: ${URL_VARIABLES[0]}, then ${URL_VARIABLES[1]}, "
        "then the server on this machine)",
    )  # fmt: skip
    where.add_argument("--redis-file", metavar="F", type=Path, help="a file that holds the URL, for secrets")
    return group


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what output looks like."""
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object, for programs")
    output.add_argument(
        "--no-color", action="store_true", help="no colours; also when NO_COLOR is set, or without a terminal"
    )


def read_common(
    given: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    output: TextIO | None = None,
    warnings: TextIO | None = None,
) -> Options:
    """Return what the common options, or the environment for them, say.

    Raises:
        UsageError: the file of the URL cannot be read, or is empty.
    """
    output = output or sys.stdout
    return Options(
        url=read_url(given, environment, warnings or sys.stderr),
        namespace=given.namespace if given.namespace is not None else default_namespace(environment),
        json=given.json,
        color=not given.no_color and not environment.get("NO_COLOR") and output.isatty(),
    )


def default_namespace(environment: Mapping[str, str]) -> str:
    """Return the namespace that is meant when none is given."""
    return environment.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE


def read_url(given: argparse.Namespace, environment: Mapping[str, str], warnings: TextIO) -> str:
    """Return the URL that the options of `add_server`, or the environment for them, say.

    Raises:
        UsageError: the file of the URL cannot be read, or is empty.
    """
    if given.redis:
        if _has_password(given.redis):
            print(
                "warning: others on this machine can see a password on the command line; "
                f"use --redis-file or {URL_VARIABLES[0]}",
                file=warnings,
            )
        return str(given.redis)
    if given.redis_file is not None:
        try:
            url = given.redis_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--redis-file {given.redis_file} cannot be read: {error}") from None
        if not url:
            raise UsageError(f"--redis-file {given.redis_file} is empty: expected one line, the URL")
        return str(url)
    return next((environment[name] for name in URL_VARIABLES if environment.get(name)), DEFAULT_URL)


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@" in url
    return parts.password is not None or "password" in dict(parse_qsl(parts.query))


def masked(url: str) -> str:
    """Return a URL that may be shown: without user name, password and options."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        host = parts.hostname or "localhost"
        host = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{host}:{parts.port or 6379}{parts.path}"
    except ValueError:
        return "(a URL that cannot be read)"
