"""Options that commands share: server, namespace, form of output. Contacts no server."""

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

from .errors import UsageError

if TYPE_CHECKING:
    from spinach.brokers.base import Broker

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"
URL_VARIABLES: Final = ("SPINACH_REDIS_URL", "REDIS_URL")
NAMESPACE_VARIABLE: Final = "SPINACH_NAMESPACE"


@dataclass(frozen=True, slots=True)
class Options:
    """The values of the common options.

    Attributes:
        url: URL of the server with its credentials: show `server` instead.
        namespace: Name of the namespace.
        json: Whether to print JSON for programs instead of text.
        color: Whether text may be coloured.
    """

    url: str
    namespace: str
    json: bool
    color: bool

    def connect(self) -> Broker:
        """Return a broker for the namespace; it connects with its first command.

        Raises:
            UsageError: The URL or the namespace is not valid.
        """
        from spinach.brokers.redis.from_url import connect  # loads the client, which --help does without

        try:
            return connect(self.url, self.namespace)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def server(self) -> str:
        """The URL without credentials."""
        return masked(self.url)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the common options to a command."""
    add_server(parser).add_argument(
        "-n", "--namespace", metavar="NS",
        help=f"namespace to read (default: ${NAMESPACE_VARIABLE}, then {DEFAULT_NAMESPACE!r})",
    )  # fmt: skip
    add_output(parser)


def add_server(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that name the server; return their group."""
    group = parser.add_argument_group("server and namespace")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--redis", metavar="URL",
        help=f"redis://, rediss:// or unix:// URL (default: ${URL_VARIABLES[0]}, then ${URL_VARIABLES[1]}, "
        f"then {DEFAULT_URL})",
    )  # fmt: skip
    where.add_argument(
        "--redis-file", metavar="F", type=Path, help="read the URL from this file: keeps a password secret"
    )
    return group


def add_queues(parser: argparse.ArgumentParser) -> None:
    """Add the option that names queues which the namespace may not list."""
    parser.add_argument(
        "--queue", metavar="Q", action="append", default=[],
        help="read this queue too, even if no worker or task names it; may be repeated",
    )  # fmt: skip


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options for the form of the output."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_no_color(group)


def add_no_color(parser: argparse._ActionsContainer) -> None:
    """Add the option that turns colours off."""
    parser.add_argument(
        "--no-color", action="store_true",
        help="print without colours; the default when NO_COLOR is set or the output is not a terminal",
    )  # fmt: skip


def may_color(given: argparse.Namespace, output: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether output may be coloured: unless --no-color, NO_COLOR, or a missing terminal forbid it."""
    return not given.no_color and not environment.get("NO_COLOR") and output.isatty()


def read_common(
    given: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    output: TextIO | None = None,
    warnings: TextIO | None = None,
) -> Options:
    """Return the values of the common options; the environment fills in what is not given.

    Args:
        given: Arguments of a parser with the options of `add_common`.
        environment: Environment variables.
        output: Where the command prints; standard output by default.
        warnings: Where to warn about a password on the command line; standard error by default.

    Raises:
        UsageError: The file of --redis-file cannot be read, or is empty.
    """
    return Options(
        url=read_url(given, environment, warnings or sys.stderr),
        namespace=given.namespace if given.namespace is not None else default_namespace(environment),
        json=given.json,
        color=may_color(given, output or sys.stdout, environment),
    )


def default_namespace(environment: Mapping[str, str]) -> str:
    """Return the namespace to use when no option names one."""
    return environment.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE


def read_url(given: argparse.Namespace, environment: Mapping[str, str], warnings: TextIO) -> str:
    """Return the URL from the options of `add_server`, else from the environment, else the default.

    Raises:
        UsageError: The file of --redis-file cannot be read, or is empty.
    """
    if given.redis:
        if _has_password(given.redis):
            print(
                "warning: every user of this machine can see the password on the command line; "
                f"use --redis-file or ${URL_VARIABLES[0]} instead",
                file=warnings,
            )
        return str(given.redis)
    if given.redis_file is not None:
        try:
            url = given.redis_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--redis-file {given.redis_file} cannot be read: {error}") from None
        if not url:
            raise UsageError(
                f"--redis-file {given.redis_file} is empty: write the URL into it, such as {DEFAULT_URL}"
            )
        return str(url)
    return next((environment[name] for name in URL_VARIABLES if environment.get(name)), DEFAULT_URL)


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@" in url
    return parts.password is not None or "password" in dict(parse_qsl(parts.query))


def masked(url: str) -> str:
    """Return a URL without user name, password and options, safe to show."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        host = parts.hostname or "localhost"
        host = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{host}:{parts.port or 6379}{parts.path}"
    except ValueError:
        return "(a URL that cannot be read)"
