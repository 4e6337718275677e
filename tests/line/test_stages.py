"""A folder knows what it was made from: what is done is done once, and nothing else's folder is written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrascope.errors import StoreError
from contrascope.line.stages import Stages, key


def _stages(folder: Path, inputs: str = "tiles") -> Stages:
    return Stages(folder, inputs=inputs, name="my screen")


def test_a_stage_is_done_when_it_was_made_from_the_same_and_its_outcomes_are_there(tmp_path: Path) -> None:
    stages, outcome = _stages(tmp_path / "out"), tmp_path / "out" / "table.csv"
    stages.set("figures", key("figures", 1))
    assert not stages.is_done("figures", key("figures", 1), outcome)
    outcome.touch()
    assert stages.is_done("figures", key("figures", 1), outcome)
    assert not stages.is_done("figures", key("figures", 2), outcome)


def test_stages_of_a_kind_that_are_not_wanted_any_more_are_forgotten(tmp_path: Path) -> None:
    stages = _stages(tmp_path / "out")
    for stage in ("store", "benchmark hits", "benchmark mitosis"):
        stages.set(stage, "abc")
    stages.keep("benchmark ", ["hits"])
    assert stages.others("inputs") == {"store": "abc", "benchmark hits": "abc"}


def test_what_is_made_is_known_to_who_opens_the_folder_next(tmp_path: Path) -> None:
    _stages(tmp_path / "out").set("store", "abc")
    again = _stages(tmp_path / "out")
    assert "store" in again and again["store"] == "abc" and "report" not in again
    assert again.others("inputs") == {"store": "abc"}


def test_a_stage_that_is_forgotten_is_done_again(tmp_path: Path) -> None:
    stages = _stages(tmp_path / "out")
    stages.set("report", "abc")
    stages.forget("report")
    assert not stages.is_done("report", "abc")


def test_equal_records_are_not_written_again(tmp_path: Path) -> None:
    _stages(tmp_path / "out").set("store", "abc")
    before = (tmp_path / "out" / "stages.json").stat().st_mtime_ns
    _stages(tmp_path / "out").set("store", "abc")
    assert (tmp_path / "out" / "stages.json").stat().st_mtime_ns == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError, match="not ours"):
        _stages(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_of_other_inputs_is_refused_by_the_name_of_the_screen(tmp_path: Path) -> None:
    _stages(tmp_path / "out").set("store", "abc")
    with pytest.raises(StoreError, match="other tiles, than those of 'my screen'"):
        _stages(tmp_path / "out", inputs="other tiles")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        _stages(tmp_path / "file" / "out")
