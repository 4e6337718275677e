"""Crops in arrays: any named order of axes, in memory or on disk, give the same store."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.errors import ContrascopeError, SettingsError, StoreError, TableError
from contrascope.store import shards
from contrascope.store.importers import WITHOUT_IMAGE, WITHOUT_ROW, import_crops
from contrascope.store.store import CropStore


def imported(source: Any, out: Path, cells: pl.DataFrame | None, **options: Any) -> CropStore:
    options = {"channels": ["a", "b"], "control": "nontargeting", "axes": "NCHW"} | options
    return import_crops(source, out, kind="arrays", cells=cells, **options)


def stored(store: CropStore) -> np.ndarray:
    return store.read(np.arange(len(store)))


@pytest.mark.parametrize("axes", [*["".join(order) for order in permutations("NCHW")][::5], "NHWC", "HWCN"])
def test_axes_in_the_order_that_is_named_give_the_same_pixels(
    axes: str, tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    theirs = pixels.transpose(["NCHW".index(axis) for axis in axes])
    np.save(tmp_path / "crops.npy", theirs)
    assert np.array_equal(stored(imported(theirs, tmp_path / "m.zarr", labels, axes=axes)), pixels)
    assert np.array_equal(stored(imported(tmp_path / "crops.npy", tmp_path / "f.zarr", labels, axes=axes)), pixels)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_what_goes_in_comes_out(data: st.DataObject) -> None:
    n, C = data.draw(st.integers(2, 9)), data.draw(st.integers(1, 3))
    H, W = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", ">u2", "float32"]))
    images = np.random.default_rng(n).integers(0, 200, (n, C, H, W)).astype(dtype)
    names = ["nontargeting", *["GENE"] * (n - 1)]
    cells = pl.DataFrame({"guide": names, "perturbation": names})
    with TemporaryDirectory() as folder:
        store = imported(images, Path(folder) / "s.zarr", cells, channels=[f"c{i}" for i in range(C)])
        assert np.array_equal(stored(store), images)
        assert store.dtype.name == images.dtype.name
        assert store.crop_size == (H, W)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_array_among_others_in_an_npz_is_found_by_its_name(
    save: Callable[..., None], tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    save(tmp_path / "crops.npz", crops=pixels, other=np.arange(3))
    assert np.array_equal(stored(imported(tmp_path / "crops.npz", tmp_path / "s.zarr", labels, array="crops")), pixels)
    with pytest.raises(SettingsError, match="crops, other"):
        imported(tmp_path / "crops.npz", tmp_path / "t.zarr", labels)
    with pytest.raises(StoreError, match=r"np\.save"):
        imported(tmp_path / "crops.npz", tmp_path / "t.zarr", labels, array="crops", axes="CNHW")


def test_images_are_found_by_a_column_of_numbers_and_every_row_is_accounted_for(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    numbers = [19 - i for i in range(20)]
    numbers[3], numbers[4] = 20, -5
    cells = labels.with_columns(pl.Series("n", [None, *numbers[1:]], dtype=pl.Int16))
    cells = cells.with_columns(pl.when(pl.col("cell_id") == "c7").then(None).otherwise("guide").alias("guide"))
    store = imported(pixels, tmp_path / "s.zarr", cells, index="n")
    assert store.account.rows == 20
    assert store.account.dropped[WITHOUT_IMAGE] == 3
    assert sum(store.account.dropped.values()) == 4
    assert store.provenance[WITHOUT_ROW] == 3
    order = [19 - i for i in range(20) if i not in (0, 3, 4, 7)]
    assert np.array_equal(stored(store), pixels[order])
    assert store.cells["note"].to_list() == [(19 - i) / 2 for i in order]


@pytest.mark.parametrize("dtype", ["int16", "int64", "float16", "float64", "bool", "complex64"])
def test_a_type_that_is_not_stored_is_refused_with_advice(
    dtype: str, tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    with pytest.raises(StoreError, match="was needed"):
        imported(pixels.astype(dtype), tmp_path / "s.zarr", labels)


@pytest.mark.parametrize("axes", ["NCH", "NCHWC", "nchw", "NHW", "NCWQ"])
def test_axes_that_do_not_fit_are_refused(axes: str, tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    with pytest.raises(ContrascopeError, match="axes"):
        imported(pixels, tmp_path / "s.zarr", labels, axes=axes)


def test_axes_options_and_tables_are_never_guessed(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    with pytest.raises(SettingsError, match="axes"):
        import_crops(pixels, tmp_path / "s.zarr", kind="arrays", cells=labels)
    with pytest.raises(SettingsError, match="no option axis"):
        imported(pixels, tmp_path / "s.zarr", labels, axis=1)
    with pytest.raises(TableError, match="index=COLUMN"):
        imported(pixels[:19], tmp_path / "s.zarr", labels)
    with pytest.raises(TableError, match="no cell table"):
        imported(pixels, tmp_path / "s.zarr", None)
    with pytest.raises(TableError, match="nontargeting, GENE1, GENE2"):
        imported(pixels, tmp_path / "s.zarr", labels, control="scramble")
    with pytest.raises(TableError, match="another row"):
        imported(pixels, tmp_path / "s.zarr", labels.with_columns(n=pl.lit(4)), index="n")


def test_pixels_that_are_no_number_are_refused(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    images = pixels.astype(np.float32)
    images[7, 1, 2, 3] = np.nan
    with pytest.raises(StoreError, match="cell c7"):
        imported(images, tmp_path / "s.zarr", labels)


def test_an_import_that_was_interrupted_goes_on_to_the_same_bytes(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame, bytes_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 4 * pixels[0].nbytes)
    np.save(tmp_path / "crops.npy", pixels)
    whole = imported(tmp_path / "crops.npy", tmp_path / "whole.zarr", labels)
    with monkeypatch.context() as broken:
        broken.setattr("contrascope.store.importers._finite", _fails_at("c9"))
        with pytest.raises(KeyboardInterrupt):
            imported(tmp_path / "crops.npy", tmp_path / "s.zarr", labels)
    assert (tmp_path / "s.zarr" / shards.shard_name(1)).exists()
    imported(tmp_path / "crops.npy", tmp_path / "s.zarr", labels)
    assert bytes_of(tmp_path / "s.zarr") == bytes_of(whole.path)


def test_a_damaged_shard_is_made_again(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame, bytes_of: Any) -> None:
    store = imported(pixels, tmp_path / "s.zarr", labels)
    sound = bytes_of(store.path)
    (store.path / shards.shard_name(0)).write_bytes(b"damage")
    imported(pixels, tmp_path / "s.zarr", labels)
    assert bytes_of(store.path) == sound


def _fails_at(cell: str) -> Callable[..., np.ndarray]:
    def fail(crops: np.ndarray, ids: pl.Series) -> np.ndarray:
        if cell in ids:
            raise KeyboardInterrupt
        return np.ascontiguousarray(crops)

    return fail
