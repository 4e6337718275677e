"""Blanks around a label say nothing; labels that look alike are told, and stay two."""

from __future__ import annotations

import polars as pl
import pytest

from contrascope.screen.labels import notes_on_labels, stripped, without_blanks


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_blanks_at_the_ends_go_and_what_is_nothing_else_is_missing(dtype: pl.DataType) -> None:
    labels = pl.Series("guide", ["drugX ", "drugX", " drug X\t", "  ", "", None, "NA", "None", "NaN"], dtype=dtype)
    found = stripped(labels)
    assert found.dtype == dtype
    assert found.to_list() == ["drugX", "drugX", "drug X", None, None, None, "NA", "None", "NaN"]
    assert without_blanks(pl.DataFrame(labels), ["guide", "stage"])["guide"].equals(found)


def test_labels_without_blanks_are_not_touched() -> None:
    for values in (["a", None, "b"], [None, None], []):
        labels = pl.Series("guide", values, dtype=pl.String)
        assert stripped(labels) is labels


def cells(**controls: bool) -> pl.DataFrame:
    names = [name.replace("_", " ") for name in controls]
    return pl.DataFrame({"perturbation": [*names, names[0], None], "control": [*controls.values(), False, False]})


def test_of_labels_that_look_alike_controls_are_told_first() -> None:
    first, second = notes_on_labels(cells(drugX=False, drug_x=False, GENE1=False, DMSO=True, dmso=False))
    assert "'DMSO' (1 cells, control) and 'dmso' (1 cells)" in first
    assert "'drug x' (1 cells) and 'drugX' (2 cells)" in second
    assert "GENE1" not in first + second


def test_labels_that_are_all_controls_or_unlike_are_no_news() -> None:
    assert notes_on_labels(cells(GENE1=False, GENE2=False, DMSO=True)) == []
    assert len(notes_on_labels(cells(GENE1=False, DMSO=True, dmso=True))) == 1
