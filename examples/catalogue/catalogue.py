"""What the demo computes about source files. Pure: no jobs, no database, no clock.

The workers and the check at the end call the same functions, so the check compares the work of the jobs.
"""

from __future__ import annotations

import ast
import bz2
import hashlib
import io
import os
import tokenize
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Tests double the number of files, and some of them are broken on purpose.
_SKIPPED_FOLDERS: Final = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)
TOP_LEVEL: Final = "(top level)"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts about one file.

    Attributes:
        path: Relative to the root of the catalogue.
        size: Bytes.
        sha256: Digest of the bytes, in hex.
        compressed: Bytes after zlib.
        tokens: Python tokens; 0 when it cannot be tokenized.
        nodes: Nodes of its syntax tree; 0 when it cannot be parsed.
        imports: Top-level modules it imports, sorted.
        problem: Why it could not be read as Python, empty when it could.
    """

    path: str
    size: int
    sha256: str
    compressed: int
    tokens: int
    nodes: int
    imports: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all files and packages; equal only when every file was catalogued correctly."""

    files: int
    bytes: int
    compressed_bytes: int
    tokens: int
    syntax_nodes: int
    distinct_imports: int
    packages: int
    archive_bytes: int
    digest: str


def find_sources(root: Path, limit: int | None = None) -> list[str]:
    """Return the `.py` files under a folder, tests left out, relative and sorted.

    Args:
        root: Folder to look in.
        limit: Take at most this many, spread evenly over all files.
    """
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        found += (os.path.relpath(os.path.join(folder, name), root) for name in names if name.endswith(".py"))
    found = sorted(path for path in found if (root / path).is_file())
    if limit is None or limit >= len(found):
        return found
    return [found[index * len(found) // limit] for index in range(limit)]


def packages_of(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the files by the first folder of their path."""
    packages: dict[str, list[str]] = {}
    for path in paths:
        first, separator, _ = path.partition("/")
        packages.setdefault(first if separator else TOP_LEVEL, []).append(path)
    return packages


def analyse(root: Path, path: str) -> FileFacts:
    """Read one file and return its facts."""
    content = (root / path).read_bytes()
    tokens = nodes = 0
    imports: tuple[str, ...] = ()
    problem = ""
    try:
        tokens = sum(1 for _ in tokenize.tokenize(io.BytesIO(content).readline))
        tree = list(ast.walk(ast.parse(content)))
        nodes, imports = len(tree), _imports_in(tree)
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        tokens = nodes = 0
        problem = f"{type(error).__name__}: {error}"
    return FileFacts(
        path=path,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        compressed=len(zlib.compress(content)),
        tokens=tokens,
        nodes=nodes,
        imports=imports,
        problem=problem,
    )


def archive_size(root: Path, paths: Iterable[str]) -> int:
    """Return how many bytes the files take when they are compressed as one."""
    return len(bz2.compress(b"".join((root / path).read_bytes() for path in paths)))


def digest_of(sha256_by_path: Iterable[tuple[str, str]]) -> str:
    """Return one digest over the digests of all files."""
    lines = "".join(f"{path} {sha256}\n" for path, sha256 in sorted(sha256_by_path))
    return hashlib.sha256(lines.encode()).hexdigest()


def totals_of(files: Iterable[FileFacts], archives: Iterable[int]) -> Totals:
    """Add up the facts, without a database."""
    files, archives = list(files), list(archives)
    return Totals(
        files=len(files),
        bytes=sum(facts.size for facts in files),
        compressed_bytes=sum(facts.compressed for facts in files),
        tokens=sum(facts.tokens for facts in files),
        syntax_nodes=sum(facts.nodes for facts in files),
        distinct_imports=len({module for facts in files for module in facts.imports}),
        packages=len(archives),
        archive_bytes=sum(archives),
        digest=digest_of((facts.path, facts.sha256) for facts in files),
    )


def highest_overlap(spans: Iterable[tuple[float, float]]) -> int:
    """Return the highest number of spans (start, end) that cover one moment."""
    steps = sorted(step for start, end in spans for step in ((start, 1), (end, -1)))
    now = highest = 0
    for _, change in steps:  # at one moment ends sort before starts
        now += change
        highest = max(highest, now)
    return highest


def _imports_in(nodes: Iterable[ast.AST]) -> tuple[str, ...]:
    modules: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            modules.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.partition(".")[0])
    return tuple(sorted(modules))
