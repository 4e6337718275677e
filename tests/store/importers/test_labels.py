"""The cell table of foreign crops comes under our names, or is refused before the work."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from contrascope.errors import TableError
from contrascope.store.importers.labels import labelled, read_cell_table


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_labels_are_what_is_written(ending: str, tmp_path: Path, labels: pl.DataFrame) -> None:
    table = labels.with_columns(
        pl.format("00{}", pl.int_range(pl.len())).alias("id"),
        pl.col("guide").str.replace("g", "0").alias("sgRNA"),
        pl.col("perturbation").replace_strict({"nontargeting": "1E1", "GENE1": "10", "GENE2": "007"}),
    ).drop("cell_id", "guide")
    path = tmp_path / f"cells.{ending}"
    table.write_csv(path, separator="\t" if ending == "tsv" else ",")
    read = read_cell_table(path, {"cell_id": "id", "guide": "sgRNA"})
    assert read is not None
    cells = labelled(read, "1E1")
    assert cells["cell_id"].to_list() == table["id"].to_list()
    assert cells["guide"].to_list() == table["sgRNA"].to_list()
    assert cells["perturbation"].to_list() == table["perturbation"].to_list()


def test_a_guide_of_two_perturbations_is_refused(labels: pl.DataFrame) -> None:
    with pytest.raises(TableError, match="1 guides of the cell table have more than one perturbation: g0"):
        labelled(labels.with_columns(pl.lit("g0").alias("guide")), "nontargeting")


@pytest.mark.parametrize("place", ["plate", "well", "tile", "cell_id", "batch"])
def test_every_cell_is_of_a_batch_and_a_place(place: str, labels: pl.DataFrame) -> None:
    some = pl.when(pl.int_range(pl.len()) > 2).then(pl.lit("A"))
    with pytest.raises(TableError, match=f"3 cells of the table have no {place}. Fill the column"):
        labelled(labels.with_columns(some.alias(place)), "nontargeting")


def test_blanks_around_labels_say_nothing(labels: pl.DataFrame) -> None:
    blank = pl.col("perturbation").replace({"GENE1": " GENE1 ", "GENE2": " "})
    cells = labelled(labels.with_columns(blank.alias("perturbation")), "nontargeting")
    assert cells["perturbation"].to_list() == labels["perturbation"].replace({"GENE2": None}).to_list()


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_column_may_change_its_looks_after_many_rows(ending: str, tmp_path: Path) -> None:
    numbers = ["5"] * 11_000 + ["5.5", "6"]
    path = tmp_path / f"cells.{ending}"
    pl.DataFrame({"area": numbers, "guide": numbers}).write_csv(path, separator="\t" if ending == "tsv" else ",")
    read = read_cell_table(path, {})
    assert read is not None
    assert read["area"].dtype == pl.Float64
    assert read["guide"].to_list() == numbers
