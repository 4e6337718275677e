"""A folder that somebody looked at is still an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrascope.line.stages import Stages
from contrascope.litter import is_bare, is_litter
from contrascope.screen.simulation.write import prepare_folder


@pytest.mark.parametrize(
    "name", [".DS_Store", "._Cells.csv", "Thumbs.db", "desktop.ini", ".unfinished.json.0f.writing"]
)
def test_what_desktops_and_killed_processes_leave_is_nobodys(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert is_litter(tmp_path / name)
    assert is_bare(tmp_path)
    prepare_folder(tmp_path)
    (tmp_path / "tiles").rmdir()
    Stages(tmp_path, inputs="x", name="screen")


@pytest.mark.parametrize("name", [".hidden", "Cells.csv", "_notes.txt"])
def test_anything_else_is_somebodys(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert not is_litter(tmp_path / name)
    assert not is_bare(tmp_path)
    assert not is_bare(tmp_path / name), "a file is no folder"
