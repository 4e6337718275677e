"""Crops in an LMDB: two styles of keys, a shape that is told, and no key cut in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from contrascope.errors import ContrascopeError, StoreError, TableError
from contrascope.store.importers import WITHOUT_IMAGE, WITHOUT_ROW, import_crops
from contrascope.store.store import CropStore

lmdb = pytest.importorskip("lmdb")


def write(path: Path, keys: Sequence[str], pixels: np.ndarray, **more: bytes) -> None:
    with lmdb.open(str(path), map_size=2**24) as database, database.begin(write=True) as transaction:
        for key, image in zip(keys, pixels, strict=True):
            transaction.put(key.encode(), np.ascontiguousarray(image).astype("<u2").tobytes())
        for key, value in more.items():
            transaction.put(key.encode(), value)


def compound(labels: pl.DataFrame) -> list[str]:
    row = "{cell_id}_{plate}_{well}_{tile}_{perturbation}"
    return [f"{row.format(**cell)}_{i}" for i, cell in enumerate(labels.iter_rows(named=True))]


def imported(path: Path, out: Path, cells: pl.DataFrame | None, **options: Any) -> CropStore:
    options = {"shape": [2, 12, 10], "axes": "CHW", "keys": "index", "channels": ["a", "b"]} | options
    return import_crops(path, out, kind="lmdb", cells=cells, control="nontargeting", **options)


def test_compound_keys_make_a_cell_table(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    write(tmp_path / "db", compound(labels), pixels, __len__=b"20")
    store = imported(tmp_path / "db", tmp_path / "s.zarr", None, keys="compound")
    assert len(store) == 20
    assert store.provenance[WITHOUT_ROW] == 0
    place = {name: i for i, name in enumerate(labels["cell_id"])}
    order = [place[name] for name in store.cells["cell_id"]]
    assert np.array_equal(store.read(np.arange(20)), pixels[order])
    ours = labels.with_columns(pl.col("tile").cast(pl.String))[order].select("plate", "well", "tile", "perturbation")
    assert store.cells.select(ours.columns).equals(ours)


def test_compound_keys_are_found_from_a_table_even_where_they_could_be_cut_in_two_ways(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    cells = labels.with_columns(pl.concat_str(pl.lit("u_v_B2_3_"), "cell_id").alias("cell_id"))
    write(tmp_path / "db", compound(cells), pixels)
    with pytest.raises(StoreError, match="in several ways"):
        imported(tmp_path / "db", tmp_path / "s.zarr", None, keys="compound")
    store = imported(tmp_path / "db", tmp_path / "s.zarr", cells, keys="compound")
    assert np.array_equal(store.read(np.arange(20)), pixels)


def test_plain_keys_are_found_by_a_column(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    write(tmp_path / "db", [str(1000 + i) for i in range(20)], pixels.transpose(0, 2, 3, 1), __keys__=b"x")
    cells = labels.with_columns(number=1001 + pl.int_range(pl.len()))
    store = imported(tmp_path / "db", tmp_path / "s.zarr", cells, key="number", shape=[12, 10, 2], axes="HWC")
    assert np.array_equal(store.read(np.arange(19)), pixels[1:])
    assert store.account.dropped == {WITHOUT_IMAGE: 1}
    assert store.provenance[WITHOUT_ROW] == 1


def test_a_shape_that_does_not_fill_the_bytes_is_refused(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    write(tmp_path / "db", labels["cell_id"].to_list(), pixels)
    with pytest.raises(StoreError, match="480 bytes; 484 were needed"):
        imported(tmp_path / "db", tmp_path / "s.zarr", labels, shape=[2, 11, 11])


@pytest.mark.parametrize("shape", [12, [2, 12], [2, 12, 0], [2, 12, 10.0], "2,12,10"])
def test_a_shape_that_is_none_is_refused(shape: Any, tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    write(tmp_path / "db", labels["cell_id"].to_list(), pixels)
    with pytest.raises(ContrascopeError):
        imported(tmp_path / "db", tmp_path / "s.zarr", labels, shape=shape)


def test_one_image_a_cell_and_a_table_for_plain_keys(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    write(tmp_path / "db", compound(labels), pixels)
    with pytest.raises(TableError, match="no cell table"):
        imported(tmp_path / "db", tmp_path / "s.zarr", None)
    write(tmp_path / "db", ["c0_P_1_A1_0_nontargeting_77"], pixels[:1])
    with pytest.raises(StoreError, match="stand for one cell"):
        imported(tmp_path / "db", tmp_path / "s.zarr", labels, keys="compound")
