"""Results, and the options of a benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.benchmarks import Result, benchmark
from contrascope.benchmarks.result import read_result, tidy
from contrascope.errors import SettingsError


def data(*spaces: str) -> AnnData:
    random = np.random.default_rng(0)
    obs = pd.DataFrame({"perturbation": list("ABCDEF")}, index=list("ABCDEF"))
    return AnnData(obs=obs, obsm={space: random.normal(size=(6, 3)) for space in spaces})


SETS = {"one": ["A", "B"], "two": ["C", "D", "E"]}


def test_saving_writes_the_same_five_files_each_time(tmp_path: Path) -> None:
    result = benchmark(data("background", "salient"), "complexes", annotations=SETS)
    first = result.save(tmp_path / "first")
    names = [
        "complexes.csv", "complexes_headline.csv", "complexes_notes.json", "complexes.png", "complexes.svg"
    ]  # fmt: skip
    assert [path.name for path in first] == names
    for one, two in zip(first, result.save(tmp_path / "second"), strict=True):
        assert one.read_bytes() == two.read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(first[1]), result.headline)


def test_a_result_without_a_figure_saves_its_tables(tmp_path: Path) -> None:
    table = tidy([{"space": "mine", "metric": "score", "value": 1.0, "chance": 0.5, "n": 3}])
    result = Result("outside", table, table)
    files = ["outside.csv", "outside_headline.csv", "outside_notes.json"]
    assert [path.name for path in result.save(tmp_path)] == files
    with pytest.raises(SettingsError, match="figures has no 'outside'"):
        result.plot()


def test_a_result_that_was_saved_is_read_with_its_notes(tmp_path: Path) -> None:
    table = tidy([{"space": "mine", "metric": "score", "value": 1.0, "chance": 0.5, "n": 3}])
    for notes in (("Genes β1 and β2 were left out.", "Few cells."), ()):
        Result("outside", table, table, notes).save(tmp_path)
        assert read_result(tmp_path / "outside.csv").notes == notes


def test_a_result_shows_its_headline_and_notes() -> None:
    text = repr(benchmark(data("salient"), "complexes", annotations=SETS))
    assert "average precision" in text
    assert "chance" in text
    assert "note: Judged 5 genes of 2 complexes" in text


def test_unknown_and_missing_options_are_named() -> None:
    with pytest.raises(SettingsError, match="has no option annotation"):
        benchmark(data("salient"), "complexes", annotation=SETS)
    with pytest.raises(SettingsError, match="needs the option annotations"):
        benchmark(data("salient"), "complexes")
    with pytest.raises(SettingsError, match="benchmarks has no 'complex'"):
        benchmark(data("salient"), "complex")
