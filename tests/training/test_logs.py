"""metrics.csv holds what was logged, each line once, whatever came between."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.training.logs import TidyMetrics

NAMES = st.sampled_from(["train/loss", 'latent/KL, of "units"', "größe", "a\nb"])


@given(logged=st.lists(st.dictionaries(NAMES, st.floats(allow_nan=False), min_size=1, max_size=3), max_size=6))
def test_what_is_logged_is_read_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, logged: list[dict[str, float]]
) -> None:
    path = tmp_path_factory.mktemp("logs") / "metrics.csv"
    metrics = TidyMetrics(path, start=0)
    for step, values in enumerate(logged):
        metrics.log_metrics(values | {"epoch": 0.0}, step)
    expected = [(step, name, value) for step, values in enumerate(logged) for name, value in values.items()]
    if expected:
        types = {"step": pl.Int64, "name": pl.String, "value": pl.Float64}
        assert pl.read_csv(path, schema_overrides=types).rows() == expected
    else:
        assert not path.exists()


def written(path: Path, steps: range, *, start: int = 0) -> list[str]:
    metrics = TidyMetrics(path, start=start)
    for step in steps:
        metrics.log_metrics({"loss": step / 3}, step)
    return path.read_text().splitlines()


def test_a_training_that_goes_on_writes_the_file_of_one_that_never_stopped(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.csv", range(20))
    written(tmp_path / "killed.csv", range(13))
    assert written(tmp_path / "killed.csv", range(9, 20), start=9) == whole


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_that_a_crash_cut_short_comes_again(cut: int, tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.csv", range(20))
    content = "\n".join(whole[:13]) + "\n"
    # Lines of steps that were saved are whole; those after them may end anywhere.
    saved = len("\n".join(whole[:10])) + 1
    (tmp_path / "killed.csv").write_text(content[: min(saved + cut, len(content))])
    assert written(tmp_path / "killed.csv", range(9, 20), start=9) == whole


def test_a_training_from_the_first_step_starts_a_new_file(tmp_path: Path) -> None:
    written(tmp_path / "metrics.csv", range(5))
    assert written(tmp_path / "metrics.csv", range(2)) == ["step,name,value", "0,loss,0.0", f"1,loss,{1 / 3}"]


def test_until_something_is_logged_the_former_file_stays(tmp_path: Path) -> None:
    before = written(tmp_path / "metrics.csv", range(5))
    TidyMetrics(tmp_path / "metrics.csv", start=3)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == before
