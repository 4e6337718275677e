"""Files of a simulated screen, read back by programs that others wrote."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from contrascope.config import load_screen_settings
from contrascope.screen.simulation import write
from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import PHENOTYPES, PRESETS, Design

Crowd = tuple[Design, Cells, np.ndarray]


def test_a_tile_is_read_back_to_the_last_bit_and_equal_ones_are_equal_bytes(tmp_path: Path) -> None:
    tile = np.random.default_rng(0).integers(0, 65536, (4, 31, 33), np.uint16)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write.write_tile(tmp_path / folder / "P1_A1_0.ome.tif", tile)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a" / "P1_A1_0.ome.tif"), tile)
    assert (tmp_path / "a" / "P1_A1_0.ome.tif").read_bytes() == (tmp_path / "b" / "P1_A1_0.ome.tif").read_bytes()


def test_a_row_says_where_the_cell_is_and_what_it_was_given(crowd: Crowd) -> None:
    design, cells, complexes = crowd
    some, places = cells.take(np.arange(30)), np.random.default_rng(0).uniform(0, 319, (30, 2))
    table = write.cell_table(some, places, design, plate="P1", well="B2", tile=5)
    assert table["UID"].is_unique().all()
    for i, row in enumerate(table.iter_rows(named=True)):
        assert (row["cell_i"], row["cell_j"]) == tuple(places[i])
        assert 3 * row["tile_row"] + row["tile_column"] == row["tile"] == 5
        assert row["gene_symbol_0"].startswith(complexes[i].upper()), "genes are named after their complex"
        assert row["sgRNA_0"].startswith(row["gene_symbol_0"] + "_sg")
        assert (row["stage"] == "mitotic") == cells.mitotic[i]


def test_an_empty_tile_has_a_table_of_the_same_columns(crowd: Crowd) -> None:
    design, cells, _ = crowd
    none = write.cell_table(cells.take(np.array([], int)), np.zeros((0, 2)), design, plate="P1", well="A1", tile=0)
    some = write.cell_table(cells.take(np.arange(2)), np.zeros((2, 2)), design, plate="P1", well="A1", tile=0)
    assert none.height == 0
    assert {name: none.schema[name] for name in ("plate", "well", "tile")} == {
        name: some.schema[name] for name in ("plate", "well", "tile")
    }


def test_annotations_name_the_genes_that_were_planted(crowd: Crowd, tmp_path: Path) -> None:
    design = crowd[0]
    write.write_annotations(tmp_path, design)
    planted = {name: {g.name for g in design.genes if g.complex == name} for name in PHENOTYPES}
    for file in ("complexes.gmt", "planted.gmt"):
        lines = [line.split("\t") for line in (tmp_path / file).read_text(encoding="utf-8").splitlines()]
        assert {name.split(" ")[0]: set(genes) for name, _, *genes in lines} == planted
    with (tmp_path / "gene_functions.csv").open(encoding="utf-8", newline="") as file_:
        functions = {row["gene"]: row["function"] for row in csv.DictReader(file_)}
    assert set(functions) == {gene.name for gene in design.genes}
    assert functions["DELTA2"] == "actin"


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_screen_file_of_every_preset_is_one_that_we_read(preset: str, tmp_path: Path) -> None:
    for name in ("cells.parquet", "complexes.gmt", "planted.gmt"):
        (tmp_path / name).touch()
    path = write.write_screen_file(tmp_path, preset, 3)
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"].endswith("seed 3")
    asked = load_screen_settings(path)
    assert asked.crop.size == 64
    assert (asked.features is None) == (preset == "tiny")
