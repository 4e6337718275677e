"""Tables of other programs, in every format, matched to cells that are known; and hostile ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.errors import ContrascopeError, SettingsError, TableError
from contrascope.features.tables import match_features, open_features
from contrascope.store.store import CropStore
from contrascope.tables import read_anndata, write_anndata

AREA, DNA = "Cells_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DAPI"


@pytest.fixture(scope="module")
def truth(tiny_store: CropStore) -> pd.DataFrame:
    """A row a cell of the store: its keys, the number of its image and in it, and two features."""
    cells = tiny_store.cells.select("cell_id", "plate", "well", "tile", "y", "x").to_pandas()
    random = np.random.default_rng(0)
    cells["image"] = cells.groupby(["plate", "well", "tile"]).ngroup() + 1
    cells["number"] = cells.groupby("image").cumcount() + 1
    return cells.assign(**{AREA: random.normal(size=len(cells)), DNA: random.normal(size=len(cells))})


def images(truth: pd.DataFrame) -> pd.DataFrame:
    named = {"image": "ImageNumber", "plate": "Metadata_Plate", "well": "Metadata_Well", "tile": "Metadata_Site"}
    return truth.drop_duplicates("image")[list(named)].rename(columns=named)


def objects(truth: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """CellProfiler's tables: nuclei in another order and with other numbers, which only Parent_Nuclei tells."""
    common = {"ImageNumber": truth["image"]}
    centre = {"Location_Center_X": truth["x"] + 0.3, "Location_Center_Y": truth["y"] - 0.4}
    cells = pd.DataFrame(
        common
        | centre
        | {"ObjectNumber": truth["number"], "AreaShape_Area": truth[AREA], "Parent_Nuclei": 900 - truth["number"]}
    )
    nuclei = pd.DataFrame(common | {"ObjectNumber": 900 - truth["number"], "Intensity_MeanIntensity_DAPI": truth[DNA]})
    return {"Cells": cells, "Nuclei": nuclei.sample(frac=1, random_state=0)}


def as_csv(truth: pd.DataFrame, folder: Path) -> Path:
    folder.mkdir()
    images(truth).to_csv(folder / "MyExpt_Image.csv", index=False)
    for name, table in objects(truth).items():
        table.to_csv(folder / f"MyExpt_{name}.csv", index=False)
    return folder


def as_sqlite(truth: pd.DataFrame, path: Path, *, kind: str) -> Path:
    """As cytominer-database writes, or ExportToDatabase with a table for each kind of object or one for all."""
    keys = ("ImageNumber", "ObjectNumber")
    with closing(sqlite3.connect(path)) as database:
        image = images(truth).rename(columns=lambda c: c if c in keys else f"Image_{c}")
        parts = {
            name: table.rename(columns=lambda c, name=name: c if c in keys else f"{name}_{c}")
            for name, table in objects(truth).items()
        }
        if kind == "cytominer":
            tables = {"Image": image} | parts
            tables = {name: table.assign(TableNumber=2**60 + 1) for name, table in tables.items()}
        elif kind == "objects":
            tables = {"My_Per_Image": image} | {
                f"My_Per_{name}": table.rename(columns={"ObjectNumber": f"{name}_Number_Object_Number"})
                for name, table in parts.items()
            }
        else:
            both = parts["Cells"].assign(**{DNA: truth[DNA]})
            tables = {"Per_Image": image, "Per_Object": both}
        for name, table in tables.items():
            table.to_sql(name, database, index=False)
        database.commit()
    return path


FORMATS = ["csv", "cytominer", "objects", "one", "parquet", "folder", "hdf5", "funk", "brieflow", "scallops", "jump"]


def written(truth: pd.DataFrame, folder: Path, kind: str) -> Path:
    if kind == "csv":
        return as_csv(truth, folder / "out")
    if kind in ("cytominer", "objects", "one"):
        return as_sqlite(truth, folder / "out.sqlite", kind=kind)
    known = truth.drop(columns=["image"])
    renamed = {
        "parquet": {},
        "folder": {},
        "hdf5": {},
        "funk": {"cell_id": "UID", "y": "cell_i", "x": "cell_j", AREA: "cell_area", DNA: "nucleus_dapi_mean"},
        "brieflow": {"number": "cell_0", "y": "i_0", "x": "j_0", AREA: "cell_area", DNA: "nucleus_DAPI_mean"},
        "scallops": {"number": "cell", "y": "Nuclei_AreaShape_Center_Y", "x": "Nuclei_AreaShape_Center_X"},
        "jump": {
            "plate": "Metadata_Plate", "well": "Metadata_Well", "tile": "Metadata_Site",
            "number": "Metadata_ObjectNumber", "y": "Metadata_Center_Y", "x": "Metadata_Center_X",
        },
    }[kind]  # fmt: skip
    table = known.drop(columns=["cell_id"] if kind in ("brieflow", "scallops", "jump") else []).rename(columns=renamed)
    if kind == "hdf5":
        with h5py.File(folder / "t.h5", "w") as file:
            for name in table:
                file.create_dataset(f"table/{name}", data=table[name].to_numpy())
        return folder / "t.h5"
    if kind == "folder":
        (folder / "parts").mkdir()
        table[:40].to_parquet(folder / "parts" / "a.parquet")
        table[40:].to_parquet(folder / "parts" / "b.parquet")
        return folder / "parts"
    path = folder / ("t.csv" if kind == "jump" else "t.parquet")
    (table.to_csv if kind == "jump" else table.to_parquet)(path, index=False)
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_each_cell_its_own_features(
    truth: pd.DataFrame, tiny_store: CropStore, tmp_path: Path, kind: str
) -> None:
    shuffled = truth.sample(frac=1, random_state=1).reset_index(drop=True)
    features, notes = match_features(written(shuffled, tmp_path, kind), tiny_store)
    assert list(features.obs_names) == list(truth["cell_id"])
    np.testing.assert_allclose(features.obsm["features"].to_numpy(), truth[[AREA, DNA]].to_numpy(), rtol=1e-12)
    assert "no cells are unmatched" in notes[0]
    again = read_anndata(write_anndata(features, tmp_path / "features.h5ad"))
    pd.testing.assert_frame_equal(
        again.obsm["features"], features.obsm["features"], check_index_type=False, check_names=False
    )
    assert again.uns["contrascope"]["matched"]["n"] == len(truth)


def test_numbers_of_another_segmentation_do_not_match_by_chance(
    truth: pd.DataFrame, tiny_store: CropStore, tmp_path: Path
) -> None:
    path = written(truth.assign(number=truth["number"] + 1), tmp_path, "jump")
    features, notes = match_features(path, tiny_store)
    assert "matched by position" in notes[0]
    np.testing.assert_array_equal(features.obsm["features"][AREA], truth[AREA])
    _, notes = match_features(path, tiny_store, by="label")
    assert "are these numbers of the same segmentation" in notes[1]


def test_rows_whose_cell_the_store_dropped_are_told_with_the_reason(tiny_store: CropStore, tmp_path: Path) -> None:
    ids = pl.concat([tiny_store.cells["cell_id"], tiny_store.dropped["cell_id"]])
    pl.DataFrame({"cell_id": ids, "Cells_A": np.arange(len(ids))}).write_parquet(tmp_path / "t.parquet")
    features, notes = match_features(tmp_path / "t.parquet", tiny_store)
    n = tiny_store.dropped.height
    assert features.n_obs == len(tiny_store)
    assert n > 0
    assert f"{n:,} of {len(ids):,} rows are unmatched" in notes[0]
    assert "left out of the store: " in notes[0]


@pytest.mark.parametrize(("by", "shift"), [("label", 0.0), ("position", 1.0)])
def test_dropped_cells_are_told_by_their_numbers_and_by_their_places_too(
    tiny_store: CropStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by: Literal["label", "position"],
    shift: float,
) -> None:
    stored, dropped = tiny_store.cells, tiny_store.dropped
    end = pl.col("cell_id").str.extract(r"_(\d+)$").cast(pl.Int64)
    monkeypatch.setattr(CropStore, "cells", stored.with_columns(end.alias("ObjectNumber")))
    keys = ["plate", "well", "tile", "y", "x", "ObjectNumber"]
    rows = pl.concat([table.with_columns(end.alias("ObjectNumber")).select(keys) for table in (stored, dropped)])
    rows = rows.with_columns(pl.col("y") + shift, Cells_A=pl.int_range(pl.len()))
    rows.write_parquet(tmp_path / "t.parquet")
    _, notes = match_features(tmp_path / "t.parquet", tiny_store, by=by)
    n = dropped.height
    assert n > 0
    assert f"{n:,} of {rows.height:,} rows are unmatched ({n:,}: left out of the store: " in notes[0]


def test_texts_among_numbers_are_missing_and_are_told(
    truth: pd.DataFrame, tiny_store: CropStore, tmp_path: Path
) -> None:
    table = truth[["cell_id", AREA, DNA]].astype(object)
    table.loc[0, AREA], table.loc[1, AREA], table.loc[2, AREA] = "broken", "nan", "inf"
    table.to_csv(tmp_path / "t.csv", index=False)
    features, notes = match_features(tmp_path / "t.csv", tiny_store)
    values = features.obsm["features"][AREA].to_numpy()
    assert np.isnan(values[:2]).all()
    assert values[2] == np.inf
    np.testing.assert_allclose(values[3:], truth[AREA][3:])
    assert notes[1:] == (f"Texts that are no numbers count as missing: {AREA} (1).",)


def test_what_counts_or_places_an_object_is_no_feature(truth: pd.DataFrame, tmp_path: Path) -> None:
    opened = open_features(as_csv(truth, tmp_path / "out"))
    assert list(opened.columns.features) == [AREA, DNA]
    names = ["cell_i", "cell_0", "cell_bounds_0", "cell_barcode_count_0", "nucleus_label", "cell_tubulin_mean", "Q_min"]
    pl.DataFrame({"UID": ["a"]} | {name: [1.0] for name in names}).write_parquet(tmp_path / "t.parquet")
    assert list(open_features(tmp_path / "t.parquet").columns.features) == ["cell_tubulin_mean"]
    assert list(open_features(tmp_path / "t.parquet", compartments=["Q"]).columns.features) == ["Q_min"]


def test_a_table_of_anybodys_has_its_numbers_as_features(tiny_store: CropStore, tmp_path: Path) -> None:
    table = tiny_store.cells.select("cell_id", "plate", "y", "field_distance", speed=pl.col("y") * 2)
    table.write_parquet(tmp_path / "t.parquet")
    features, _ = match_features(tmp_path / "t.parquet", tiny_store)
    assert list(features.obsm["features"]) == ["speed"]


def test_several_speckles_to_a_nucleus_are_refused(truth: pd.DataFrame, tmp_path: Path) -> None:
    folder = as_csv(truth, tmp_path / "out")
    nuclei = pd.read_csv(folder / "MyExpt_Nuclei.csv")
    pd.concat([nuclei, nuclei[:1]]).to_csv(folder / "MyExpt_Nuclei.csv", index=False)
    with pytest.raises(TableError, match="several Nuclei to one of Cells"):
        open_features(folder)


def test_what_a_mac_lays_beside_each_file_is_no_second_table(
    truth: pd.DataFrame, tiny_store: CropStore, tmp_path: Path
) -> None:
    folder = as_csv(truth, tmp_path / "out")
    (folder / "._MyExpt_Cells.csv").write_bytes(b"\x00\x05\x16\x07")
    features, _ = match_features(folder, tiny_store)
    assert features.n_obs == len(tiny_store)


def test_a_cell_without_a_nucleus_lacks_its_features(
    truth: pd.DataFrame, tiny_store: CropStore, tmp_path: Path
) -> None:
    folder = as_csv(truth, tmp_path / "out")
    cells = pd.read_csv(folder / "MyExpt_Cells.csv")
    cells.loc[3, "Parent_Nuclei"] = 0
    cells.to_csv(folder / "MyExpt_Cells.csv", index=False)
    features, _ = match_features(folder, tiny_store)
    assert list(np.flatnonzero(features.obsm["features"][DNA].isna())) == [3]
    assert not features.obsm["features"][AREA].isna().any()


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ({"cell_id": ["a", "b"], "Cells_A": [1, 2]}, {}, "is a cell of the store: by cell_id"),
        ({"UID": ["a"], "Cells_A": ["x"]}, {"columns": {"cell_id": "nobody"}}, "no column 'nobody'"),
        ({"UID": ["a"], "name": ["x"]}, {}, "has no feature"),
        ({"Cells_A": [1.0]}, {}, "label, y and x it has none, the store cell_id"),
        ({"tile": ["0"], "label": [1], "Cells_A": [1.0]}, {}, "has no well, and the store has"),
    ],
)
def test_tables_that_cannot_be_matched_say_why(
    tiny_store: CropStore, tmp_path: Path, table: dict[str, list[object]], options: dict[str, object], words: str
) -> None:
    pl.DataFrame(table).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match=words):
        match_features(tmp_path / "t.parquet", tiny_store, **options)


def test_files_that_are_none_say_so(tmp_path: Path, tiny_store: CropStore) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(TableError, match="cannot be read as an SQLite database"):
        open_features(tmp_path / "a.sqlite")
    with closing(sqlite3.connect(tmp_path / "b.sqlite")) as database:
        database.execute("CREATE TABLE Other (a)")
    with pytest.raises(TableError, match=r"has no table with rows\. Per_Object, Per_Cells or Cells"):
        open_features(tmp_path / "b.sqlite")
    with pytest.raises(TableError, match="There is no"):
        open_features(tmp_path / "nothing.csv")
    with pytest.raises(SettingsError, match="Choose one of"):
        match_features(tmp_path / "a.sqlite", tiny_store, by="name")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="above 0"):
        match_features(tmp_path / "a.sqlite", tiny_store, within=0)


COLUMNS = ["cell_id", "plate", "well", "tile", "label", "y", "x", "Cells_A", "Cells_B", "nucleus_i", "Metadata_Well"]
HOSTILE = st.sampled_from(["", "x", "nan", "1", "-2.5", "1e400", "inf", "P1_A1_000_0001", "A01", "0", "007"])


@settings(max_examples=40)
@given(
    names=st.lists(st.sampled_from(COLUMNS), unique=True, min_size=1),
    rows=st.integers(1, 6),
    data=st.data(),
)
def test_a_hostile_csv_is_matched_or_refused_in_a_paragraph(
    tiny_store: CropStore, tmp_path_factory: pytest.TempPathFactory, names: list[str], rows: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("hostile") / "t.csv"
    lines = [",".join(data.draw(HOSTILE) for _ in names) for _ in range(rows)]
    path.write_text("\n".join([",".join(names), *lines]) + "\n")
    try:
        features, notes = match_features(path, tiny_store)
    except ContrascopeError as error:
        assert len(str(error)) > 40
    else:
        assert set(features.obs_names) <= set(tiny_store.cells["cell_id"])
        assert "matched by" in notes[0]
