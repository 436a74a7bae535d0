"""`spinach-ops dashboards` and what the wheel carries."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spinach_ops.commands.main import main
from tests.dashboards.helpers import FILES, FOLDER


def test_dashboards_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments the command lists the dashboards, with a name, short or whole, it prints that one,
    byte for byte.
    """
    assert main(["dashboards"]) == 0
    assert capsys.readouterr().out.split() == [file.stem for file in FILES]
    for name in ("spinach-overview", "overview"):
        assert main(["dashboards", name]) == 0
        assert capsys.readouterr().out == (FOLDER / "spinach-overview.json").read_text(encoding="utf-8")


def test_dashboards_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a folder the command writes all files there, makes the folder, and names them."""
    folder = tmp_path / "new" / "folder"
    assert main(["dashboards", "--out", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [str(folder / file.name) for file in FILES]
    assert {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()} == {
        file.name: file.read_text(encoding="utf-8") for file in FILES
    }


def test_rules_are_handed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The alerts are printed, or written with the recording rules; a URL replaces where the runbooks are."""
    assert main(["alerts"]) == 0
    assert capsys.readouterr().out == (FOLDER / "rules" / "alerts.yml").read_text(encoding="utf-8")
    assert main(["alerts", "--out", str(tmp_path), "--runbooks", "https://wiki.example/it's"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alerts.yml", "recording.yml"]
    text = (tmp_path / "alerts.yml").read_text(encoding="utf-8")
    assert 'runbook_url: "https://wiki.example/it\'s#spinachqueuestuck"' in text
    assert "docs/runbooks.md" not in text


@pytest.mark.parametrize("arguments", [["no-such"], ["--out", "/dev/null/folder"]])
def test_wrong_name_or_folder_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A name that does not exist or a folder that cannot be made is an error of the command line."""
    assert main(["dashboards", *arguments]) == 2
    assert arguments[-1] in capsys.readouterr().err


def test_wheel_carries_the_dashboards(tmp_path: Path) -> None:
    """A wheel holds the dashboards where the command looks for them, and not their generator."""
    pytest.importorskip("hatchling.build", reason="hatchling, which builds the wheel, is not installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=FOLDER.parent, check=True, capture_output=True,
    )  # fmt: skip
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {f"spinach_ops/_dashboards/{file.name}" for file in FILES} <= names
    assert {f"spinach_ops/_dashboards/rules/{name}.yml" for name in ("alerts", "recording")} <= names
    assert not [name for name in names if name.startswith("dashboards/") or "generate" in name]
