"""Crops in a folder: one file a cell, found by the index table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile

from contrascope.errors import StoreError, TableError
from contrascope.store.importers import WITHOUT_IMAGE, WITHOUT_ROW, import_crops
from contrascope.store.store import CropStore


def write(folder: Path, pixels: np.ndarray, ending: str) -> list[str]:
    names = [f"plate/{i:03d}.{ending}" for i in range(len(pixels))]
    (folder / "plate").mkdir(parents=True)
    for name, image in zip(names, pixels, strict=True):
        if ending == "npy":
            np.save(folder / name, image)
        else:
            tifffile.imwrite(folder / name, image, photometric="minisblack", compression="zlib")
    return names


def imported(folder: Path, out: Path, cells: pl.DataFrame, **options: Any) -> CropStore:
    options = {"channels": ["a", "b"], "control": "nontargeting", "axes": "CHW"} | options
    return import_crops(folder, out, kind="folder", cells=cells, **options)


@pytest.mark.parametrize("ending", ["npy", "tif"])
def test_each_row_gets_the_pixels_of_its_file(
    ending: str, tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    names = write(tmp_path / "crops", pixels, ending)
    order = np.random.default_rng(0).permutation(20)
    cells = labels.with_columns(file=pl.Series([f"./{names[i]}" for i in order]))
    store = imported(tmp_path / "crops", tmp_path / "s.zarr", cells, path="file")
    assert np.array_equal(store.read(np.arange(20)), pixels[order])


def test_channels_may_come_last_or_be_one(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    names = write(tmp_path / "last", pixels.transpose(0, 2, 3, 1), "npy")
    cells = labels.with_columns(path=pl.Series(names))
    store = imported(tmp_path / "last", tmp_path / "l.zarr", cells, axes="HWC")
    assert np.array_equal(store.read(np.arange(20)), pixels)
    write(tmp_path / "one", pixels[:, 0], "tif")
    cells = cells.with_columns(pl.col("path").str.replace("npy", "tif"))
    store = imported(tmp_path / "one", tmp_path / "o.zarr", cells, axes="HW", channels=["a"])
    assert np.array_equal(store.read(np.arange(20)), pixels[:, :1])


def test_rows_without_a_file_are_dropped_and_files_without_a_row_told(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    names = [None, "plate/none.npy", "../crops/plate/002.npy", *write(tmp_path / "crops", pixels, "npy")[3:]]
    cells = labels.with_columns(path=pl.Series(names))
    store = imported(tmp_path / "crops", tmp_path / "s.zarr", cells)
    assert store.account.dropped == {WITHOUT_IMAGE: 3}
    assert store.provenance[WITHOUT_ROW] == 3


def test_an_image_unlike_the_others_is_named(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    cells = labels.with_columns(path=pl.Series(write(tmp_path / "crops", pixels, "npy")))
    for wrong in (pixels[0, :, :5], pixels[0].astype(np.uint8)):
        np.save(tmp_path / "crops" / "plate" / "011.npy", wrong)
        with pytest.raises(StoreError, match=r"011\.npy"):
            imported(tmp_path / "crops", tmp_path / f"{wrong.dtype}.zarr", cells)


def test_a_folder_without_images_and_a_table_without_paths_are_refused(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    with pytest.raises(StoreError, match="no folder"):
        imported(tmp_path / "none", tmp_path / "s.zarr", labels.with_columns(path=pl.lit("a")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="has no"):
        imported(tmp_path / "empty", tmp_path / "s.zarr", labels.with_columns(path=pl.lit("a")))
    write(tmp_path / "crops", pixels, "npy")
    with pytest.raises(TableError, match="path=COLUMN"):
        imported(tmp_path / "crops", tmp_path / "s.zarr", labels)
