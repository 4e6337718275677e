"""A store as AnnData: the same cells and pixels, read when they are used, and back again."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from contrascope.errors import SettingsError
from contrascope.store.export import _Images, to_anndata
from contrascope.store.importers import import_crops
from contrascope.store.store import CropStore
from contrascope.vocabulary import CELL_IMAGES


@pytest.mark.parametrize("lazy", [True, False])
def test_rows_are_cells_and_images_their_crops(lazy: bool, tiny_store: CropStore) -> None:
    cells = tiny_store.to_anndata(lazy=lazy)
    assert cells.shape == (len(tiny_store), 4)
    assert cells.obs_names.to_list() == tiny_store.cells["cell_id"].to_list()
    assert cells.var_names.to_list() == tiny_store.channels
    assert cells.obs["y"].to_list() == tiny_store.cells["y"].to_list()
    assert np.array_equal(np.asarray(cells.obsm[CELL_IMAGES]), tiny_store.read(np.arange(len(tiny_store))))


def test_lazily_nothing_is_read_before_it_is_used(tiny_store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = CropStore.read
    monkeypatch.setattr(CropStore, "read", lambda store, rows: asked.append(len(rows)) or read(store, rows))
    some = tiny_store.to_anndata()[5:9]
    assert asked == []
    assert np.array_equal(some.obsm[CELL_IMAGES].compute(), read(tiny_store, np.arange(5, 9)))
    assert sum(asked) == 4


def test_indexing_by_label_and_mask_keeps_images_with_their_cells(tiny_store: CropStore) -> None:
    cells = tiny_store.to_anndata()
    mask = tiny_store.cells["control"].to_numpy()
    assert np.array_equal(cells[mask].obsm[CELL_IMAGES].compute(), tiny_store.read(np.flatnonzero(mask)))
    names = cells.obs_names[[7, 2, 30]]
    assert np.array_equal(cells[names].obsm[CELL_IMAGES].compute(), tiny_store.read(np.array([7, 2, 30])))


def test_anndata_writes_and_reads_it_and_an_import_gives_the_store_back(tiny_store: CropStore, tmp_path: Path) -> None:
    tiny_store.to_anndata().write_h5ad(tmp_path / "cells.h5sc")
    back = ad.read_h5ad(tmp_path / "cells.h5sc")
    everything = tiny_store.read(np.arange(len(tiny_store)))
    assert np.array_equal(back.obsm[CELL_IMAGES], everything)
    again = import_crops(tmp_path / "cells.h5sc", tmp_path / "s.zarr", kind="scportrait")
    assert np.array_equal(again.read(np.arange(len(again))), everything)
    assert again.channels == tiny_store.channels
    for name in ("cell_id", "well", "tile", "guide", "perturbation", "control", "y"):
        assert again.cells[name].to_list() == tiny_store.cells[name].to_list(), name


def test_images_travel_to_another_process_as_a_path(tiny_store: CropStore) -> None:
    images = pickle.loads(pickle.dumps(_Images(tiny_store)))
    assert np.array_equal(images[3:5, 1:], tiny_store.read(np.array([3, 4]))[:, 1:])


def test_without_dask_one_is_told_what_to_do(tiny_store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_dask(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("dask"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_dask)
    with pytest.raises(SettingsError, match="lazy=False"):
        to_anndata(tiny_store)
