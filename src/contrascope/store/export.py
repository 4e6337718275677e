"""A store as AnnData, for tools of the scverse: the cell table in ``obs``, the crops in ``obsm``.

The layout is that of scPortrait's single-cell files: ``obsm["single_cell_images"]`` (N, C, H, W), ``var`` a row a
channel, ``uns["single_cell_images"]`` saying that no plane is a mask. Written as ``.h5ad`` and named ``.h5sc``
it can be imported again. Lazily, the images are a Dask array with a shard of the store in each block.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd

from contrascope import vocabulary as v
from contrascope.errors import SettingsError

if TYPE_CHECKING:
    from contrascope.store.store import CropStore

_LABELS = (v.PLATE, v.WELL, v.TILE, v.BATCH, v.GUIDE, v.PERTURBATION, v.STAGE)


def to_anndata(store: CropStore, *, lazy: bool = True) -> ad.AnnData:
    """Cells and crops of a store as AnnData.

    Args:
        store: The store.
        lazy: Crops are a Dask array that is read where it is used; else they are loaded, all of them.

    Returns:
        N cells by C channels without X; ``obs`` the cell table with ``cell_id`` as index,
        ``obsm["single_cell_images"]`` (N, C, H, W).

    Raises:
        SettingsError: Lazy, but Dask is not installed.
    """
    images = _lazily(store) if lazy else store.read(np.arange(len(store)))
    var = pd.DataFrame({"channels": store.channels}, index=pd.Index(store.channels, dtype=object))
    cells = ad.AnnData(obs=observations(store), var=var, obsm={v.CELL_IMAGES: images})
    cells.uns[v.CELL_IMAGES] = {
        "n_cells": len(store),
        "n_channels": len(store.channels),
        "n_masks": 0,
        "n_image_channels": len(store.channels),
        "channel_names": np.array(store.channels, dtype=object),
        "channel_mapping": np.array(["image_channel"] * len(store.channels), dtype=object),
    }
    cells.uns["contrascope"] = {"screen": store.name, "store": store.fingerprint}
    return cells


def without_slashes(names: Sequence[str]) -> list[str]:
    """What columns are called in ``obs``, each by a name of its own: AnnData has no place for a slash."""
    called: list[str] = []
    for name in names:
        without = name.replace("/", "_")
        while without != name and without in (*names, *called):
            without += "_"
        called.append(without)
    return called


def observations(store: CropStore) -> pd.DataFrame:
    """The cell table with labels as categories and ids as index."""
    obs = store.cells.to_pandas()
    obs.index = pd.Index(obs[v.CELL_ID].astype(str), name=None)
    obs.columns = pd.Index(without_slashes(list(obs.columns)))
    for name in _LABELS:
        if name in obs:
            obs[name] = obs[name].astype("category")
    return obs


def _lazily(store: CropStore) -> Any:
    """The images as a Dask array; blocks are whole shards, so that each is decompressed once."""
    try:
        import dask.array as da
    except ImportError:
        raise SettingsError(
            "Crops are read lazily through Dask, which is not installed. Install it (pip install 'dask[array]'), or "
            "load the crops (lazy=False)."
        ) from None
    images = _Images(store)
    nothing = np.empty((0,) * 4, store.dtype)
    blocks = (store.shard_cells, *images.shape[1:])
    return da.from_array(images, chunks=blocks, name=f"crops-{store.fingerprint}", asarray=False, meta=nothing)


class _Images:
    """The images of a store as something that is sliced; it travels to another process as a path or URL."""

    def __init__(self, store: CropStore):
        self._store = store
        self.shape = (len(store), len(store.channels), *store.crop_size)
        self.ndim, self.dtype = 4, store.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        rows, *rest = where if isinstance(where, tuple) else (where,)
        if isinstance(rows, slice):
            return self._store.read(np.arange(self.shape[0])[rows])[(slice(None), *rest)]
        return self._store.read(np.atleast_1d(rows))[(slice(None), *rest)]

    def __reduce__(self) -> tuple[Any, tuple[Path | str]]:
        return _opened, (self._store.path,)


def _opened(path: Path | str) -> _Images:
    from contrascope.store.store import CropStore

    return _Images(CropStore(path))
