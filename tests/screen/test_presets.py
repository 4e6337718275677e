"""A table of each known pipeline is read by the name of the pipeline; what could be meant twice is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contrascope import vocabulary as v
from contrascope.config import CellTableSettings
from contrascope.errors import ContrascopeError, SettingsError, TableError
from contrascope.screen.cells import read_cells
from contrascope.screen.presets import PRESETS

PLACE = {"plate": "plate", "well": "well", "tile": "tile"}
NUMBER = pl.int_range(pl.len()).over("plate", "well", "tile")
BRIEFLOW = PLACE | {"y": "i_0", "x": "j_0", "guide": "sgRNA_0", "perturbation": "gene_symbol_0"}
SCALLOPS = PLACE | {"y": "Nuclei_Center_Y", "x": "Nuclei_Center_X", "guide": "sgRNA", "perturbation": "gene_symbol"}
CYTOMINING = {
    "plate": "Metadata_Plate",
    "well": "Metadata_Well",
    "tile": "Metadata_Site",
    "y": "Location_Center_Y",
    "x": "Location_Center_X",
    "guide": "Metadata_barcode",
    "perturbation": "Metadata_gene",
}
FUNK = PLACE | {"y": "cell_i", "x": "cell_j", "guide": "sgRNA_0", "perturbation": "gene_symbol_0", "cell_id": "UID"}
OPS = {"plate": "plate", "tile": "tile", "y": "y", "x": "x", "guide": "barcode", "perturbation": "gene_symbol"}


@pytest.fixture
def cells(toy_cells: pl.DataFrame) -> pl.DataFrame:
    label = pl.col("perturbation").replace("control", "nontargeting")
    return toy_cells.with_columns(label, NUMBER.alias("number"))


def renamed(cells: pl.DataFrame, names: dict[str, str], **more: pl.Expr | str) -> pl.DataFrame:
    extra = [(pl.col(e) if isinstance(e, str) else e).alias(name) for name, e in more.items()]
    return cells.select(*[pl.col(ours).alias(theirs) for ours, theirs in names.items()], *extra)


def read(folder: Path, table: pl.DataFrame, preset: str, **changes: Any) -> pl.DataFrame:
    table.write_parquet(folder / "cells.parquet")
    values = {"table": folder / "cells.parquet", "preset": preset} | changes
    return read_cells(CellTableSettings.model_validate(values))


def role(word: str) -> pl.Expr:
    return pl.when(pl.col("perturbation") == "nontargeting").then(pl.lit(word)).otherwise(pl.lit("trt"))


@pytest.mark.parametrize(
    ("preset", "names", "more", "changes"),
    [
        ("funk2022", FUNK, {}, {}),
        ("funk2022", {"tile": "site"} | {k: c for k, c in FUNK.items() if k != "tile"}, {}, {}),
        ("brieflow", BRIEFLOW, {"cell_0": "number"}, {}),
        ("brieflow", BRIEFLOW | {"y": "cell_i", "x": "cell_j", "guide": "cell_barcode_0"}, {"cell_0": "number"}, {}),
        ("scallops", SCALLOPS, {"cell": "number"}, {"control": "nontargeting"}),
        ("cytomining", CYTOMINING, {"ObjectNumber": "number", "Metadata_pert_type": role("negcon")}, {}),
        (
            "jump",
            CYTOMINING | {"y": "Metadata_Center_Y", "x": "Metadata_Center_X", "perturbation": "Metadata_broad_sample"},
            {"ObjectNumber": "number", "control_type": role("negcon")},
            {},
        ),
        ("cpg", CYTOMINING, {"ObjectNumber": "number", "Metadata_control_type": role("negcon")}, {}),
        (
            "ops-schema",
            OPS | {"cell_id": "cell_uid"},
            {
                "well_row": pl.col("well").str.head(1),
                "well_col": pl.col("well").str.slice(1).cast(pl.Int64),
                "role": role("control"),
                "cell": "number",
            },
            {},
        ),
    ],
)
def test_a_pipelines_table_is_read_by_its_preset(
    preset: str,
    names: dict[str, str],
    more: dict[str, Any],
    changes: dict[str, Any],
    tmp_path: Path,
    cells: pl.DataFrame,
) -> None:
    found = read(tmp_path, renamed(cells, names, **more), preset, **changes)
    for name in v.REQUIRED:
        assert found[name].to_list() == cells[name].cast(pl.Float64 if name in "yx" else pl.String).to_list(), name
    assert found[v.CONTROL].to_list() == (cells["perturbation"] == "nontargeting").to_list()
    if "cell_id" in names:
        assert found["cell_id"].to_list() == cells["cell_id"].to_list()
    else:
        assert found["cell_id"][7] == f"P1_A1_1_{cells['number'][7]}"


def test_a_batch_of_cytomining_is_a_plate_and_of_others_a_well(tmp_path: Path, cells: pl.DataFrame) -> None:
    table = renamed(cells, CYTOMINING, Metadata_pert_type=role("negcon"))
    assert read(tmp_path, table, "cytomining")["batch"].unique().to_list() == ["P1"]
    assert read(tmp_path, renamed(cells, FUNK), "funk2022")["batch"][0] == "P1_A01"


def test_an_id_of_the_standard_is_made_by_its_own_rule_if_it_is_not_there(tmp_path: Path, cells: pl.DataFrame) -> None:
    table = renamed(
        cells, OPS, well_row=pl.col("well").str.head(1), well_col=pl.lit(1), cell="cell_id", role=role("control")
    )
    assert read(tmp_path, table, "ops-schema")["cell_id"][0] == "P1_A1_0_c00"


@pytest.mark.parametrize(
    ("preset", "names", "extra", "words"),
    [
        ("brieflow", BRIEFLOW, {"cell_i": "y"}, "'i_0' and 'cell_i'.*either may be y.*{y: i_0}"),
        ("brieflow", BRIEFLOW, {"cell_barcode_0": "guide"}, "either may be guide"),
        ("brieflow", BRIEFLOW | {"x": "cell_j"}, {}, "'i_0' and x 'cell_j', which are not of one pair"),
        ("scallops", SCALLOPS, {"Cells_Center_Y": "y"}, "'Nuclei_Center_Y' and 'Cells_Center_Y'"),
        ("scallops", SCALLOPS | {"x": "Cells_Center_X"}, {}, "not of one pair"),
        ("brieflow", {k: c for k, c in BRIEFLOW.items() if k != "y"}, {}, r"'i_0 or cell_i' \(as y"),
        ("ops-schema", OPS, {"well_row": "well"}, r"'well_row \+ well_col' \(as well"),
        ("scallops", SCALLOPS, {}, "cells.control is missing"),
        ("jump", CYTOMINING, {"pert_type": "well", "control_type": "well"}, "'pert_type' and 'control_type'"),
        ("jump", CYTOMINING, {}, "Metadata_pert_type or Metadata_control_type or pert_type"),
    ],
)
def test_what_could_be_meant_twice_or_not_at_all_is_asked_for(
    preset: str, names: dict[str, str], extra: dict[str, str], words: str, tmp_path: Path, cells: pl.DataFrame
) -> None:
    with pytest.raises(ContrascopeError, match=words):
        read(tmp_path, renamed(cells, names, **extra), preset)


def test_what_the_user_says_settles_it(tmp_path: Path, cells: pl.DataFrame) -> None:
    table = renamed(cells, BRIEFLOW, cell_i="x", cell_j="y", cell_0="number")
    found = read(tmp_path, table, "brieflow", columns={"y": "i_0", "x": "j_0"}, control="GENE1")
    assert found["y"].to_list() == cells["y"].to_list()
    assert found[v.CONTROL].to_list() == (cells["perturbation"] == "GENE1").to_list()


def test_a_cell_without_a_number_lies_nowhere(tmp_path: Path, cells: pl.DataFrame) -> None:
    table = renamed(cells, BRIEFLOW, cell_0=pl.when(pl.col("number") != 3).then("number"))
    with pytest.raises(TableError, match=r"4 cells .* have no cell_id"):
        read(tmp_path, table, "brieflow")


def test_without_a_preset_controls_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"cells\.control is missing"):
        CellTableSettings.model_validate({"table": "cells.csv"})


def test_an_unknown_preset_is_told_the_known_ones(tmp_path: Path, cells: pl.DataFrame) -> None:
    with pytest.raises(SettingsError, match="brieflow"):
        read(tmp_path, cells, "snakeflow")
    assert PRESETS["cpg"] is PRESETS["jump"]
