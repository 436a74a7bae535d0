"""A real collector, which receives spans by OTLP over HTTP and writes down what it got."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port
from tests.waiting import wait_until

START_SECONDS = 20.0


@dataclass
class Received:
    """A span as the collector wrote it down."""

    resource: dict[str, str]
    scope: str = ""
    trace: str = ""
    parent: str = ""
    id: str = ""
    name: str = ""
    kind: str = ""
    status: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


class Collector:
    """The collector's process."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "collector.log"
        os.chmod(binary, 0o755)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(binary), "start", "--otlp-http-endpoint", f"127.0.0.1:{self.port}",
                    "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}", "--exporter", "blackhole",
                    "--debug-log", "traces", "--debug-log-verbosity", "detailed",
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._wait_until_it_listens()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _wait_until_it_listens(self) -> None:
        def listens() -> bool:
            assert self._process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False

        wait_until(listens, "the collector listens", START_SECONDS)

    def spans(self) -> list[Received]:
        """Return what was received so far."""
        return parse(self.log.read_text(errors="replace"))

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def parse(text: str) -> list[Received]:
    """Read the collector's detailed log: a tree in which each kind of line begins in its own way."""
    spans: list[Received] = []
    resource: dict[str, str] = {}
    scope, part = "", ""
    for line in text.splitlines():
        if line.startswith("ResourceSpans #"):
            resource, part = {}, "resource"
        elif line.startswith("InstrumentationScope "):
            scope = line.removeprefix("InstrumentationScope ").strip()
        elif re.match(r"Span #\d+", line):
            spans.append(Received(resource, scope))
            part = "span"
        elif line in ("Attributes:", "Events:", "Links:"):
            part = line[:-1].lower()
        else:
            _parse_detail(line, part, resource, spans)
    return spans


_FIELDS = {"Trace ID": "trace", "Parent ID": "parent", "ID": "id", "Name": "name", "Kind": "kind",
    "Status code": "status"}  # fmt: skip


def _parse_detail(line: str, part: str, resource: dict[str, str], spans: list[Received]) -> None:
    if part == "span" and (match := re.match(r"    ([A-Z][A-Za-z ]+?) *: (.*)", line)):
        name = _FIELDS.get(match[1])
        if name:
            setattr(spans[-1], name, match[2].strip())
    elif match := re.match(r" +-> ([^:]+): (.*)", line):
        _take_pair(part, match[1], _plain(match[2]), resource, spans)
    elif part == "events" and (match := re.search(r"Name: (.*)", line)):
        spans[-1].events.append(match[1])


def _take_pair(part: str, name: str, value: str, resource: dict[str, str], spans: list[Received]) -> None:
    if part == "resource":
        resource[name] = value
    elif part == "attributes":
        spans[-1].attributes[name] = value
    elif part == "events" and name == "Name":
        spans[-1].events.append(value)
    elif part == "links":
        links = spans[-1].links
        if name == "Trace ID":
            links.append((value, "", ""))
        elif name == "ID":
            links[-1] = (links[-1][0], value, "")
        elif name == "spinach.link":
            links[-1] = (*links[-1][:2], value)


def _plain(value: str) -> str:
    match = re.fullmatch(r"(?:Str|Int|Double|Bool)\((.*)\)", value)
    return match[1] if match else value


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    spec: Any = importlib.util.find_spec("rotel")
    binary = Path(spec.origin).parent / "rotel-agent" if spec else None
    if binary is None or not binary.exists():
        pytest.skip("no collector on this machine (pip install 'rotel>=0.0.1a15', Linux on x86-64)")
    made = Collector(binary, tmp_path)
    yield made
    made.stop()
