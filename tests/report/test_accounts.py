"""What became of the cells of a screen."""

from __future__ import annotations

from types import SimpleNamespace

import polars as pl
import pytest

from contrascope.report.accounts import counts, dropped


def test_every_cell_is_stored_or_dropped_for_a_reason() -> None:
    table = dropped(SimpleNamespace(rows=10, stored=7, dropped={"near the edge": 2, "no guide": 1}))
    assert table["cells"].sum() == 10
    assert table["share"].sum() == pytest.approx(1)
    assert table["what became of them"].tolist() == ["stored", "dropped: near the edge", "dropped: no guide"]


def test_of_many_perturbations_the_most_frequent_and_the_rarest_are_counted() -> None:
    names = [f"G{k:02d}" for k in range(20) for _ in range(k + 1)]
    cells = pl.DataFrame({"perturbation": names, "guide": [f"{n}_{i % 2}" for i, n in enumerate(names)]})
    table = counts(cells.with_columns(control=pl.col("perturbation") == "G03"), ends=2)
    assert table["perturbation"].tolist() == ["G19", "G18", "G01", "G00"]
    assert table["cells"].tolist() == [20, 19, 2, 1]
    assert table["guides"].tolist() == [2, 2, 2, 1]
    assert len(counts(cells.with_columns(control=False), ends=9)) == 20
