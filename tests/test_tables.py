"""Embeddings of any origin, and tables of features."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import zarr
from anndata import AnnData

from contrascope.errors import BenchmarkError, SettingsError, StoreError
from contrascope.tables import read_anndata, read_embedding, writable, write_anndata

TABLE = pl.DataFrame(
    {
        "cell_id": ["a", "b", "c"],
        "plate": [1, 1, 2],
        "Metadata_Site": [7, 8, 9],
        "Cells_AreaShape_Area": [3, 4, 5],
        "Nuclei_Texture_Contrast": [0.5, None, 1.5],
        "Cells_Intensity_Mean": [0.1, 0.2, 0.3],
        "comment": ["x", "y", "z"],
    }
)


def written(table: pl.DataFrame, path: Path) -> Path:
    match path.suffix:
        case ".parquet":
            table.write_parquet(path)
        case ".csv":
            table.write_csv(path)
        case _:
            table.write_csv(path, separator="\t")
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_table_of_features_is_an_embedding_with_names(tmp_path: Path, ending: str) -> None:
    data = read_embedding(written(TABLE, tmp_path / f"cells [1].{ending}"))
    assert list(data.obs_names) == ["a", "b", "c"]
    assert list(data.obsm["features"].columns) == ["Cells_AreaShape_Area", "Cells_Intensity_Mean"]
    np.testing.assert_array_equal(data.obsm["features"].to_numpy(), [[3, 0.1], [4, 0.2], [5, 0.3]])
    assert data.uns["left_out"] == ["Nuclei_Texture_Contrast"]


def test_rows_may_be_named_by_another_column(tmp_path: Path) -> None:
    path = written(TABLE.rename({"cell_id": "object"}), tmp_path / "cells.csv")
    assert list(read_embedding(path, key="object").obs_names) == ["a", "b", "c"]


def test_an_anndata_file_is_read_as_it_is(tmp_path: Path) -> None:
    data = AnnData(obs=pd.DataFrame(index=list("ab")), obsm={"salient": np.eye(2)})
    for name in ("cells.h5ad", "cells.zarr"):
        write_anndata(data, tmp_path / name)
        np.testing.assert_array_equal(read_embedding(tmp_path / name).obsm["salient"], np.eye(2))


def test_tables_of_a_wrong_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"There is no .*gone.csv"):
        read_embedding(tmp_path / "gone.csv")
    with pytest.raises(BenchmarkError, match=r"no column 'cell_id'.*It has object"):
        read_embedding(written(TABLE.rename({"cell_id": "object"}), tmp_path / "unnamed.csv"))
    with pytest.raises(BenchmarkError, match=r"has no feature"):
        read_embedding(written(TABLE.select("cell_id", "plate", "comment"), tmp_path / "labels.csv"))
    (tmp_path / "not.parquet").write_text("no parquet")
    with pytest.raises(BenchmarkError, match=r"not.parquet cannot be read as a table"):
        read_embedding(tmp_path / "not.parquet")
    (tmp_path / "not.h5ad").write_text("no anndata")
    with pytest.raises(BenchmarkError, match=r"not.h5ad cannot be read as AnnData"):
        read_anndata(tmp_path / "not.h5ad")


def test_a_name_with_a_slash_is_refused_where_it_has_no_place_and_nothing_is_left_behind(tmp_path: Path) -> None:
    cells = AnnData(obs=pd.DataFrame({"340/380": [1, 2]}, index=["a", "b"]))
    with pytest.raises(SettingsError, match=r"no place in a .zarr, obs\['340/380'\]"):
        write_anndata(cells, tmp_path / "cells.zarr")
    assert not list(tmp_path.iterdir())


def test_the_name_of_a_row_is_what_is_written(tmp_path: Path) -> None:
    table = TABLE.with_columns(pl.Series("cell_id", ["001", "1", "1.0"]))
    assert read_embedding(written(table, tmp_path / "measured.csv")).obs_names.tolist() == ["001", "1", "1.0"]


@pytest.mark.parametrize("ending", ["h5ad", "zarr"])
def test_a_file_is_there_at_every_moment_of_its_replacement(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"cells.{ending}"
    for name in "ab":
        write_anndata(AnnData(obs=pd.DataFrame(index=[name])), path)
        assert read_anndata(path).obs_names.tolist() == [name]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]

    move = Path.replace

    def stop(this: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return move(this, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_anndata(AnnData(obs=pd.DataFrame(index=["c"])), path)
    former = path if path.exists() else tmp_path / f".before.{path.name}"
    assert read_anndata(former).obs_names.tolist() == ["b"]


def test_nobodys_folder_is_replaced(tmp_path: Path) -> None:
    mine, cells = tmp_path / "mine.zarr", AnnData(obs=pd.DataFrame(index=["a"]), obsm={"x": np.zeros((1, 2))})
    mine.mkdir()
    (mine / "notes.txt").write_text("a year's work")
    (tmp_path / "folder.h5ad").mkdir()
    (tmp_path / "file.zarr").write_text("a file")
    zarr.create_group(tmp_path / "group.zarr", attributes={"contrascope": {"format": 2, "fingerprint": "x"}})
    for path in (mine, tmp_path / "folder.h5ad", tmp_path / "file.zarr", tmp_path / "group.zarr"):
        for write in (writable, lambda place: write_anndata(cells, place)):
            with pytest.raises(SettingsError, match="holds no cells or profiles"):
                write(path)
    assert (mine / "notes.txt").read_text() == "a year's work"
    for _ in range(2):
        write_anndata(cells, tmp_path / "cells.zarr")


def test_a_disk_without_room_is_found_before_hdf5_fills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    cells = AnnData(obs=pd.DataFrame(index=list(map(str, range(1000)))), obsm={"x": np.zeros((1000, 500))})
    with pytest.raises(StoreError, match=r"cells.h5ad takes 4 MB or more, and its disk has 3 MB left. Make room"):
        write_anndata(cells, tmp_path / "cells.h5ad")
    with pytest.raises(StoreError, match=r"cells.h5ad takes 4,000 MB or more"):
        writable(tmp_path / "cells.h5ad", at_least=4_000_000_000)
    assert not list(tmp_path.iterdir())


def test_a_place_where_nothing_can_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    assert writable(tmp_path / "new" / "cells.h5ad") == tmp_path / "new" / "cells.h5ad"
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"cells.h5ad cannot be written: .*file says .*Choose another place"):
        writable(tmp_path / "file" / "cells.h5ad")
    with pytest.raises(SettingsError, match="an ending we do not write"):
        writable(tmp_path / "cells.csv")
