"""The documents: their links resolve, examples run, names and options exist, and lines fit a window."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from spinach_ops.commands import main as ops
from spinach_ops.top import cli as top
from spinach_ops.worker import cli as worker

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
MAX_COLUMNS = 100
# Put before a Python block that this test runs; a block of text right after it is what the block prints.
RUN_MARK = "<!-- run by tests/test_docs.py -->"
# Written by another change; this line goes when the page is there.
WRITTEN_LATER: set[str] = set()
# Options of programs that are not this project's.
FOREIGN_OPTIONS = {"--app", "--enable-feature", "--stop-when-queue-empty"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, text and first line number, and whether it is marked to be run."""

    language: str
    text: str
    line: int
    is_run: bool


def relative(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def split(page: Path) -> tuple[list[Block], list[tuple[int, str]]]:
    """Return the fenced blocks of a page, and its other lines with their numbers."""
    blocks: list[Block] = []
    prose: list[tuple[int, str]] = []
    inside: list[str] | None = None
    language, opened, before = "", 0, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = line.lstrip()
        if inside is not None:
            if fence == "```":
                blocks.append(Block(language, "\n".join(inside) + "\n", opened, before == RUN_MARK))
                inside = None
            else:
                inside.append(line)
        elif fence.startswith("```"):
            language, opened, inside = fence.removeprefix("```"), number, []
            before = next((text for _, text in reversed(prose) if text.strip()), "")
        else:
            prose.append((number, line))
    assert inside is None, f"{relative(page)}:{opened}: a block that does not end"
    return blocks, prose


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = (line.lstrip("#").strip() for _, line in split(page)[1] if re.match(r"#+ ", line))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_resolve(page: Path) -> None:
    """Every relative link names a file that exists, and every anchor a heading of it."""
    text = "\n".join(line for _, line in split(page)[1])
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        if not linked.exists() and relative(linked) in WRITTEN_LATER:
            continue
        assert linked.exists(), f"{relative(page)} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{relative(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_prose_fits_a_window(page: Path) -> None:
    """Prose has at most 100 columns; tables, blocks and the targets of links may be wider."""
    long = [
        f"{relative(page)}:{number}"
        for number, line in split(page)[1]
        if not line.startswith("|") and len(re.sub(r"\]\([^)]*\)", "]", line)) > MAX_COLUMNS
    ]
    assert long == []


def test_the_index_lists_every_page() -> None:
    """docs/README.md links to every other page of the folder, and README.md to every page."""
    for index in ("docs/README.md", "README.md"):
        text = (REPOSITORY / index).read_text(encoding="utf-8")
        missing = [
            page.name for page in PAGES[4:] if page.name != "README.md" and f"{page.name})" not in text
        ]
        assert missing == [], index


def python_blocks() -> list[tuple[Path, Block]]:
    return [(page, block) for page in PAGES for block in split(page)[0] if block.language == "python"]


@pytest.mark.parametrize(
    ("page", "block"), python_blocks(), ids=lambda it: f"line {it.line}" if isinstance(it, Block) else it.name
)
def test_python_names_what_exists(page: Path, block: Block) -> None:
    """A Python block is valid, and what it imports of this project can be imported."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0].startswith("spinach"):
            if node.module == "spinach.contrib.spinachd":  # needs a configured Django project
                continue
            module = importlib.import_module(node.module or "")
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert missing == [], f"{relative(page)}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_marked_examples_run(page: Path, tmp_path: Path) -> None:
    """A marked Python block runs by itself and prints the block of text that follows it, if there is one."""
    blocks = split(page)[0]
    for number, block in enumerate(blocks):
        if not block.is_run:
            continue
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", block.text],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{relative(page)}:{block.line}\n{done.stderr}"
        for following in blocks[number + 1 : number + 2]:
            if following.language == "text":
                assert done.stdout == following.text, f"{relative(page)}:{block.line}"


def help_of(
    run: Callable[[list[str]], object], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> str:
    with pytest.raises(SystemExit):
        run([*arguments, "--help"])
    return capsys.readouterr().out


def test_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option that a page names is one of the commands."""
    known = help_of(worker.main, ["worker"], capsys) + help_of(top.main, [], capsys)
    known += "".join(help_of(ops.main, [name], capsys) for name in ops.COMMANDS)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", known)) | FOREIGN_OPTIONS
    for page in PAGES:
        named = set(re.findall(r"(?<![\w<-])--[a-z][a-z-]+", page.read_text(encoding="utf-8")))
        assert named <= options, relative(page)
