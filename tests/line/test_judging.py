"""Which questions a screen is put to, and what is kept of their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.config import load_screen_settings
from contrascope.errors import SettingsError
from contrascope.line import judging

GENES = [f"G{i}" for i in range(6)]


def profiles(genes: list[str] = GENES) -> AnnData:
    random = np.random.default_rng(0)
    obs = pd.DataFrame({"perturbation": genes}, index=genes)
    return AnnData(obs=obs, obsm={"salient": random.normal(size=(len(genes), 3))})


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    file = tmp_path / "sets.gmt"
    file.write_text("one\t\tG0\tG1\tG2\ntwo\t\tG3\tG4\tG5\n")
    return file


def test_a_question_that_the_screen_file_names_is_named_with_or_without_options(tiny_screen: Path) -> None:
    settings = load_screen_settings(tiny_screen, {"benchmarks": {"stages": {}}})
    assert judging.is_named("stages", settings)
    assert judging.is_named("complexes", settings)  # by its annotations
    assert not judging.is_named("artifacts", settings)
    assert "artifacts" in judging.questions(settings)


def test_options_are_told_apart_by_what_their_files_hold_and_not_by_where_they_lie(sets: Path) -> None:
    elsewhere = sets.parent / "moved" / "complexes.gmt"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(sets.read_bytes())
    here = judging.told_apart({"annotations": str(sets), "groups": {"one": "novel"}, "seed": 1})
    assert here == judging.told_apart({"annotations": str(elsewhere), "groups": {"one": "novel"}, "seed": 1})
    elsewhere.write_text("one\t\tG0\tG1\n")
    assert here != judging.told_apart({"annotations": str(elsewhere), "groups": {"one": "novel"}, "seed": 1})


def test_an_answer_is_read_as_it_was_given(tmp_path: Path, sets: Path) -> None:
    options = {"annotations": str(sets)}
    given = judging.answer("complexes", profiles(), options, tmp_path / "out")
    read = judging.answered("complexes", tmp_path / "out")
    assert given is not None
    assert read is not None
    assert read.notes == given.notes != ()
    pd.testing.assert_frame_equal(read.table, given.table, check_dtype=False)


def test_of_a_question_that_the_data_no_longer_allow_nothing_but_the_reason_is_left(tmp_path: Path, sets: Path) -> None:
    options = {"annotations": str(sets)}
    judging.answer("complexes", profiles(), options, tmp_path / "out")
    strangers = profiles(["A", "B", "C"])
    assert judging.answer("complexes", strangers, options, tmp_path / "out") is None
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["complexes_notes.json"]
    assert judging.answered("complexes", tmp_path / "out") is None
    assert "A, B, C" in judging.why_not("complexes", tmp_path / "out")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"benchmarks": {"hitz": {}}}, "has no 'hitz'"),
        ({"benchmarks": {"hits": {"permutation": 99}}}, "has no option permutation"),
        ({"benchmarks": {"artifacts": {"among": "control"}}}, "among"),
        ({"benchmarks": {"dose": {}}}, "needs the option"),
        ({"annotations.complexes": "nofile.gmt"}, r"no file .*nofile.gmt"),
        ({"annotations.complexes": "nofile"}, r"no file .*nofile\."),
        ({"benchmarks": {"mitosis": {"genes": "nofile.txt"}}}, r"no file nofile.txt"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_the_work(wrong: dict[str, Any], words: str, tiny_screen: Path) -> None:
    judging.refuse_misput(load_screen_settings(tiny_screen))
    with pytest.raises(SettingsError, match=words):
        judging.refuse_misput(load_screen_settings(tiny_screen, wrong))
