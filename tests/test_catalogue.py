"""What the demo computes, without jobs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from examples.catalogue import catalogue
from examples.catalogue.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "a.py": "import os, json.decoder\n",
        "pkg/b.py": "from json import loads\nfrom . import c\n",
        "pkg/c.py": "x = 1\n",
        "pkg/notes.txt": "not Python",
        "pkg/tests/test_c.py": "assert True\n",
        "broken.py": "def (:\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return tmp_path


def test_sources_leave_tests_out(root: Path) -> None:
    """Only `.py` files outside folders of tests are catalogued, in order."""
    assert catalogue.find_sources(root) == ["a.py", "broken.py", "pkg/b.py", "pkg/c.py"]


def test_limit_spreads_over_all_sources(root: Path) -> None:
    """A limit takes that many files from all over the tree."""
    assert catalogue.find_sources(root, 2) == ["a.py", "pkg/b.py"]


def test_facts_of_a_file(root: Path) -> None:
    """A file's facts are its size, digest, tokens, nodes and the modules it imports from elsewhere."""
    content = (root / "pkg/b.py").read_bytes()
    facts = catalogue.analyse(root, "pkg/b.py")
    assert facts.size == len(content)
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    assert facts.imports == ("json",)
    assert facts.tokens > 8
    assert facts.nodes > 3
    assert facts.problem == ""


def test_broken_file_is_catalogued_with_its_problem(root: Path) -> None:
    """A file that is not Python counts as a file, without tokens and nodes."""
    facts = catalogue.analyse(root, "broken.py")
    assert (facts.tokens, facts.nodes, facts.imports) == (0, 0, ())
    assert "Error" in facts.problem


def test_packages_are_the_first_folders() -> None:
    """Files belong to the folder their path begins with; those without one belong together."""
    packages = catalogue.packages_of(["a.py", "pkg/b.py", "pkg/deep/c.py"])
    assert packages == {catalogue.TOP_LEVEL: ["a.py"], "pkg": ["pkg/b.py", "pkg/deep/c.py"]}


@pytest.mark.parametrize(
    ("spans", "highest"),
    [([], 0), ([(0, 2), (1, 3)], 2), ([(0, 1), (1, 2)], 1), ([(0, 9), (1, 2), (3, 4), (3.5, 5)], 3)],
)
def test_highest_overlap(spans: list[tuple[float, float]], highest: int) -> None:
    """Spans that only touch do not overlap."""
    assert catalogue.highest_overlap(spans) == highest


def test_store_agrees_with_a_direct_computation_when_jobs_are_repeated(root: Path, tmp_path: Path) -> None:
    """A file that was catalogued twice counts once, and the totals equal those of a direct computation."""
    store = Store(tmp_path / "catalogue.sqlite")
    paths = catalogue.find_sources(root)
    for path in [*paths, paths[0]]:
        attempt, _ = store.begin_attempt("file", path)
        store.put_file(attempt, catalogue.analyse(root, path))
    expected = catalogue.totals_of([catalogue.analyse(root, path) for path in paths], [])
    assert store.totals() == expected


def test_attempts_tell_which_is_the_first(tmp_path: Path) -> None:
    """An attempt knows how many came before it, those that failed or were killed included."""
    store = Store(tmp_path / "catalogue.sqlite")
    assert [store.begin_attempt("file", "a.py")[1] for _ in range(3)] == [0, 1, 2]
    assert store.begin_attempt("file", "b.py")[1] == 0
