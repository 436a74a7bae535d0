"""What ARCHITECTURE.md promises about the code, checked."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import spinach
from spinach import _installation
from spinach.brokers import limits
from spinach.brokers.redis import scripts as scripts_module
from tests.old_package import old_python

__all__ = ["old_python"]

REPOSITORY = Path(__file__).resolve().parents[1]
MAX_LINES = 400
LUA = REPOSITORY / "spinach/brokers/redis/lua"
# Put before other scripts, never called.
PARTS = {"lib.lua", "job_text.lua", "slots.lua", "parked.lua", "counters.lua", "failures.lua"}


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def fresh(code: str, *, expect: int = 0, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter that finds this package."""
    search = os.pathsep.join([str(REPOSITORY), path]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": search},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stderr
    return done


def test_public_names_are_sorted_and_complete() -> None:
    """`spinach.__all__` is sorted, each name exists, and no public object is missing from it."""
    assert list(spinach.__all__) == sorted(spinach.__all__)
    documented = {
        "AbortException", "AsyncioWorkers", "Batch", "Engine", "MemoryBroker", "RedisBroker",
        "RetryException", "Tasks", "ThreadWorkers", "__version__",
    }  # fmt: skip
    assert set(spinach.__all__) == documented
    for name in spinach.__all__:
        assert getattr(spinach, name) is not None
    classes = {
        name
        for name, value in vars(spinach).items()
        if isinstance(value, type) and value.__module__.startswith("spinach")
    }
    assert classes <= documented


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist says so, lazy loading or not."""
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = spinach.NoSuchThing  # type: ignore[attr-defined]


PUBLIC_MODULES = [
    "spinach.task", "spinach.job", "spinach.exc", "spinach.signals", "spinach.engine", "spinach.worker",
    "spinach.testing",
    "spinach.brokers.base", "spinach.brokers.memory", "spinach.brokers.redis",
]  # fmt: skip


def test_public_modules_can_be_imported_first() -> None:
    """Each public module can be the first one an application imports."""
    for module in PUBLIC_MODULES:
        fresh(f"import {module}")


@pytest.mark.parametrize("path", modules("spinach", "spinach_ops", "examples", "dashboards"), ids=relative)
def test_module_is_short_and_says_what_it_owns(path: Path) -> None:
    """A module has at most 400 lines and opens with a docstring."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))


def scripts() -> list[Path]:
    return sorted(path for path in LUA.glob("*.lua") if path.name not in PARTS)


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.name)
def test_script_states_its_contract(path: Path) -> None:
    """A script's header says which keys it touches, what it takes and returns, and whether it may be
    repeated.
    """
    header = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("--"):
            break
        header.append(line)
    assert not header[0].startswith("-- KEYS")  # first what it is for
    for field in ("KEYS", "ARGV", "Returns", "Retry", "include"):
        assert any(line.startswith(f"-- {field}:") for line in header), f"{path.name} does not state {field}"


def test_scripts_include_parts_that_exist() -> None:
    """What a script includes is there."""
    for path in scripts():
        included = re.findall(r"^-- include:(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for part in " ".join(included).split():
            assert (LUA / f"{part}.lua").exists()


def loaded_scripts() -> dict[str, scripts_module.Script]:
    return {
        name: value
        for name, value in vars(scripts_module).items()
        if isinstance(value, scripts_module.Script)
    }


def test_every_script_is_loaded() -> None:
    """Each file of the folder is a script that is loaded once, or a part."""
    assert sorted(script.name for script in loaded_scripts().values()) == [path.stem for path in scripts()]


# Words that the glossary in ARCHITECTURE.md replaces by words such as worker, hook, poll, snapshot.
RETIRED_WORDS = frozenset(
    (
        "crew", "seam", "ratchet", "desk", "scene", "sight", "feed", "look", "upkeep", "pacing", "pace",
        "whereabouts", "ledger", "news", "obituary", "bury", "told", "situation", "stage", "anew", "lane",
    )
)  # fmt: skip


@pytest.mark.parametrize("package", ["spinach", "spinach_ops", "dashboards"])
def test_names_keep_to_the_glossary(package: str) -> None:
    """No file, class, function or attribute has a word in its name that the glossary has replaced."""
    found = set()
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        for name in {path.stem, *_defined_names(ast.parse(path.read_text(encoding="utf-8")))}:
            words = re.findall(r"[A-Z]?[a-z]+", name)
            found |= {(path.name, name) for word in words if _singular(word) in RETIRED_WORDS}
    assert found == set()


def _singular(word: str) -> str:
    return word.lower() if word == "news" else word.lower().removesuffix("s")


def _defined_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


@pytest.mark.parametrize("path", sorted(LUA.glob("*.lua")), ids=lambda path: path.name)
def test_scripts_call_keys_and_arguments_by_name(path: Path) -> None:
    """No script reads a key or an argument by its position, but the second of a pair: the header names
    them.
    """
    code = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
    assert re.findall(r"KEYS\[|ARGV\[\d|ARGV\[\w+ \+ (?!1\])", code) == []


def test_callers_name_what_a_script_declares() -> None:
    """Each call of a script names exactly the keys and arguments of its header, and each record its
    fields.
    """
    loaded, checked = loaded_scripts(), set()
    for path in (REPOSITORY / "spinach/brokers/redis").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != "run":
                continue
            script = loaded[ast.unparse(node.args[0]).removeprefix("scripts.")]
            checked.add(script.name)
            names = {keyword.arg for keyword in node.keywords} - {"more_keys", "records", None}
            expected = script.given
            assert names == expected or (names < expected and any(k.arg is None for k in node.keywords))
    assert checked == {script.name for script in loaded.values()}


def test_limits_are_written_once() -> None:
    """A limit that Lua and Python share stands in `limits.py` alone, not as a number in a script or a key's
    bound.
    """
    numbers = {value for name, value in vars(limits).items() if name.isupper() and value >= 500}
    for path in (*LUA.glob("*.lua"), REPOSITORY / "spinach/brokers/redis/keys.py"):
        code = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        assert (
            numbers & {int(number.replace("_", "")) for number in re.findall(r"\b\d[\d_]*\b", code)} == set()
        )


def test_documents_state_the_limits() -> None:
    """Where the documents say how much is kept, the number is that of the code."""
    runbooks = re.sub(r"\s+", " ", (REPOSITORY / "docs/runbooks.md").read_text(encoding="utf-8"))
    days = limits.MAX_DEAD_LETTER_AGE_SECONDS // 86_400
    assert (
        f"after {days} days, and the oldest when there are more than {limits.MAX_DEAD_LETTERS:,}" in runbooks
    )


def imported_by(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_only_the_redis_broker_imports_redis() -> None:
    """Nothing but `spinach/brokers/redis` imports the client, lazily or not."""
    importers = [path for path in modules("spinach", "spinach_ops") if "redis" in imported_by(path)]
    assert importers
    assert [path for path in map(relative, importers) if not path.startswith("spinach/brokers/redis/")] == []


def test_import_is_light() -> None:
    """`import spinach` loads neither the Redis client nor asyncio nor anything that belongs to the tools."""
    heavy = ["redis", "asyncio", "prometheus_client", "opentelemetry", "textual", "spinach_ops"]
    code = f"import sys, spinach; print([name for name in {heavy} if name in sys.modules])"
    assert fresh(code).stdout.strip() == "[]"


def test_redis_broker_is_loaded_when_it_is_asked_for() -> None:
    """The first use of `spinach.RedisBroker` loads the client, and gives the one class there is."""
    fresh(
        "import sys, spinach\n"
        "assert 'redis' not in sys.modules\n"
        "broker = spinach.RedisBroker\n"
        "assert 'redis' in sys.modules\n"
        "from spinach.brokers.redis import RedisBroker\n"
        "assert broker is RedisBroker"
    )


def test_command_line_help_is_light() -> None:
    """`spinach worker --help` loads no client: it answers at once."""
    fresh(
        "import sys\n"
        "from spinach_ops.worker import cli\n"
        "try: cli.main(['worker', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'redis' not in sys.modules"
    )


def test_second_distribution_is_refused(tmp_path: Path) -> None:
    """Beside another distribution that owns `spinach`, the import fails and says what to uninstall."""
    (tmp_path / "spinach-0.0.25.dist-info").mkdir()
    done = fresh("import spinach", expect=1, path=str(tmp_path))
    assert "ImportError" in done.stderr
    assert "spinach-0.0.25" in done.stderr
    assert "pip uninstall -y spinach spinach-ops" in done.stderr


def test_a_package_installed_over_ours_is_refused(tmp_path: Path, old_python: Path) -> None:
    """Where the published package came second and its files replaced ours, the import says what to uninstall,
    too.
    """
    shutil.copytree(REPOSITORY / "spinach", tmp_path / "spinach")
    code = "import spinach, pathlib; print(pathlib.Path(spinach.__file__).parent)"
    found = subprocess.run(
        [str(old_python), "-c", code],
        cwd=old_python.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    shutil.copytree(found.stdout.strip(), tmp_path / "spinach", dirs_exist_ok=True)
    (tmp_path / "spinach-0.0.25.dist-info").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", "import spinach"], env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip uninstall -y spinach spinach-ops" in done.stderr


def test_own_distribution_is_accepted(tmp_path: Path) -> None:
    """Our own distribution's folder is no second one, and neither is a folder that cannot be read."""
    (tmp_path / "spinach_ops-0.1.0.dist-info").mkdir()
    _installation.refuse_mixture([str(tmp_path), str(tmp_path / "missing")])


def test_documents_name_files_that_exist() -> None:
    """ARCHITECTURE.md, README.md and CONTRIBUTING.md name no file that is not there."""
    folders = "tests|spinach|spinach_ops|dashboards|examples|benchmarks|docs"
    missing = [
        f"{document}: {name}"
        for document in ("ARCHITECTURE.md", "README.md", "CONTRIBUTING.md")
        for name in re.findall(
            rf"`((?:{folders})/[\w/.]*)`", (REPOSITORY / document).read_text(encoding="utf-8")
        )
        if not (REPOSITORY / name).exists()
    ]
    assert missing == []
