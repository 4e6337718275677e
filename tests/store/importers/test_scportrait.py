"""Crops of scPortrait: masks are left out, told by the file or by the user, never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest

from contrascope.errors import SettingsError, StoreError, TableError
from contrascope.store.importers import WITHOUT_IMAGE, WITHOUT_ROW, import_crops
from contrascope.store.store import CropStore

ROLES = ["mask", "mask", "image_channel", "image_channel"]
NAMES = ["nucleus mask", "cell mask", "DNA", "GFP"]


def write(path: Path, pixels: np.ndarray, labels: pl.DataFrame, **facts: Any) -> np.ndarray:
    """A file as scPortrait writes it; gives the images without masks."""
    masks = np.ones_like(pixels)
    images = (np.concatenate([masks, pixels], 1) / 65_536).astype(np.float16)
    obs = pd.DataFrame({"scportrait_cell_id": np.arange(20) + 100, "guide": labels["guide"].to_list()})
    obs["perturbation"] = pd.Categorical(labels["perturbation"].to_list())
    obs.index = obs.index.astype(str)
    uns = {"single_cell_images": facts} if facts else {}
    ad.AnnData(obs=obs, obsm={"single_cell_images": images}, uns=uns).write_h5ad(path)
    return images[:, 2:]


def imported(path: Path, out: Path, cells: pl.DataFrame | None = None, **options: Any) -> CropStore:
    return import_crops(path, out, kind="scportrait", cells=cells, control="nontargeting", **options)


FACTS: dict[str, Any] = {
    "n_masks": 2,
    "channel_mapping": np.array(ROLES, dtype=object),
    "channel_names": np.array(NAMES, dtype=object),
}


def test_masks_that_the_file_tells_are_left_out_and_each_value_is_kept(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    images = write(tmp_path / "cells.h5sc", pixels, labels, **FACTS)
    store = imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr")
    assert store.channels == ["DNA", "GFP"]
    assert store.dtype == np.float32
    assert np.array_equal(store.read(np.arange(20)), images.astype(np.float32))
    assert store.cells["perturbation"].to_list() == labels["perturbation"].to_list()
    assert store.cells["scportrait_cell_id"].to_list() == list(range(100, 120))


def test_what_a_newer_file_says_beside_its_images_counts(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    images = write(tmp_path / "cells.h5sc", pixels, labels)
    with h5py.File(tmp_path / "cells.h5sc", "a") as file:
        file["obsm/single_cell_images"].attrs["channel_mapping"] = ROLES
        file["obsm/single_cell_images"].attrs["channel_names"] = NAMES
    store = imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr")
    assert np.array_equal(store.read(np.arange(20)), images.astype(np.float32))


def test_names_of_channels_are_whole_where_the_file_has_them_whole(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    """scPortrait cuts them to 15 letters in ``uns``, and only there."""
    names = ["nucleus mask", "cell mask", "Alexa Fluor Plus 488", "Alexa Fluor Plus 647"]
    cut = FACTS | {"channel_names": np.array([name[:15] for name in names], dtype=object)}
    write(tmp_path / "cells.h5sc", pixels, labels, **cut)
    with h5py.File(tmp_path / "cells.h5sc", "a") as file:
        file["obsm/single_cell_images"].attrs["channel_names"] = [name.encode() for name in names]
    assert imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr").channels == names[2:]


def test_masks_that_the_file_does_not_tell_must_be_told(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    images = write(tmp_path / "cells.h5sc", pixels, labels)
    with pytest.raises(SettingsError, match="never guessed"):
        imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr", channels=["DNA", "GFP"])
    with pytest.raises(SettingsError, match="have 3 channels"):
        imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr", channels=["DNA", "GFP"], n_masks=1)
    store = imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr", channels=["DNA", "GFP"], n_masks=2)
    assert np.array_equal(store.read(np.arange(20)), images.astype(np.float32))


def test_a_file_that_contradicts_itself_or_the_user_is_refused(
    tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame
) -> None:
    write(tmp_path / "a.h5sc", pixels, labels, **FACTS | {"n_masks": 1})
    with pytest.raises(StoreError, match="contradicts itself"):
        imported(tmp_path / "a.h5sc", tmp_path / "s.zarr")
    write(tmp_path / "b.h5sc", pixels, labels, **FACTS)
    with pytest.raises(SettingsError, match="Leave n_masks out"):
        imported(tmp_path / "b.h5sc", tmp_path / "s.zarr", n_masks=0)
    with pytest.raises(SettingsError, match="from 0 to 4"):
        imported(tmp_path / "b.h5sc", tmp_path / "s.zarr", n_masks="two")


def test_a_table_of_ones_own_is_matched_by_ids(tmp_path: Path, pixels: np.ndarray, labels: pl.DataFrame) -> None:
    images = write(tmp_path / "cells.h5sc", pixels, labels, **FACTS)
    cells = labels.with_columns(scportrait_cell_id=pl.Series(range(119, 99, -1))).with_columns(
        pl.when(pl.col("cell_id") == "c4").then(7).otherwise("scportrait_cell_id").alias("scportrait_cell_id")
    )
    store = imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr", cells)
    assert store.account.dropped == {WITHOUT_IMAGE: 1}
    assert store.provenance[WITHOUT_ROW] == 1
    order = [19 - i for i in range(20) if i != 4]
    assert np.array_equal(store.read(np.arange(19)), images[order].astype(np.float32))
    with pytest.raises(TableError, match="key=COLUMN"):
        imported(tmp_path / "cells.h5sc", tmp_path / "t.zarr", labels)


def test_an_anndata_without_images_is_refused(tmp_path: Path) -> None:
    ad.AnnData(obs=pd.DataFrame(index=["a", "b"])).write_h5ad(tmp_path / "cells.h5sc")
    with pytest.raises(StoreError, match="no images"):
        imported(tmp_path / "cells.h5sc", tmp_path / "s.zarr")
