"""Crops of scPortrait: ``.h5sc``, an HDF5 AnnData with (N, C, H, W) images, planes that are masks first.

Which planes are masks the file says itself (``uns["single_cell_images"]``, or the attributes of the images
in newer files: ``channel_mapping`` and ``n_masks``); where it does not, the user must (``n_masks``).
Masks are left out. Pixels of half precision, as scPortrait writes them, are stored as float32, which holds
each of their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.errors import SettingsError, StoreError, TableError
from contrascope.store.importers.source import (
    NO_IMAGE,
    ForeignCrops,
    checked_channels,
    checked_dtype,
    needed_column,
    sampled,
    shape_in_our_order,
    unreadable,
)

CELL = "scportrait_cell_id"


def scportrait(
    source: str | Path,
    *,
    cells: pl.DataFrame | None,
    channels: Sequence[str] | None,
    n_masks: int | None = None,
    key: str = CELL,
) -> ForeignCrops:
    """Crops in an ``.h5sc`` file.

    Args:
        source: The file.
        cells: A cell table of your own, matched to the file's by the column ``key``; None takes the file's.
        channels: Names of the channels that are no masks; None takes those in the file.
        n_masks: How many planes come first that are masks, where the file does not say.
        key: Column, of the file and of the table, that tells cells apart.
    """
    path = Path(source)
    try:
        shape, dtype, facts, obs = _read_all_but_images(path)
    except StoreError:
        raise
    except Exception as error:  # h5py and anndata each have errors of their own
        raise unreadable(path, "an .h5sc of scPortrait", error) from None
    planes = _image_planes(shape[1], facts, n_masks, path)
    C_H_W = shape_in_our_order((len(planes), *shape[2:]), "CHW")
    ours = np.dtype(np.float32) if dtype == np.float16 else checked_dtype(dtype, f"Images in {path}")

    def read(numbers: np.ndarray) -> np.ndarray:
        return _images(path, numbers, planes).astype(ours, copy=False)

    names = checked_channels(channels or _names(facts, planes), len(planes), f"The images in {path}, without masks,")
    table, image = (obs, np.arange(shape[0])) if cells is None else (cells, _matched(cells, obs, key))
    return ForeignCrops(table, image, shape[0], names, C_H_W, ours, read, [sampled(path), planes])


def _read_all_but_images(path: Path) -> tuple[tuple[int, ...], np.dtype, dict[str, Any], pl.DataFrame]:
    """Shape and type of the images, what the file says of its planes, and its cell table."""
    import h5py  # type: ignore[import-untyped]
    from anndata.io import read_elem

    with h5py.File(path) as file:
        if v.CELL_IMAGES not in file.get("obsm", {}):
            raise StoreError(
                f"{path} has no images under obsm/{v.CELL_IMAGES}. A single-cell file of scPortrait was needed."
            )
        images = file["obsm"][v.CELL_IMAGES]
        if len(images.shape) != 4:
            raise StoreError(f"The images in {path} have shape {images.shape}; (N, C, H, W) was needed.")
        noted = read_elem(file["uns"][v.CELL_IMAGES]) if v.CELL_IMAGES in file.get("uns", {}) else {}
        # scPortrait cuts names to 15 letters in uns, not beside the images.
        facts = (noted if isinstance(noted, dict) else {}) | dict(images.attrs)
        obs = read_elem(file["obs"])
        if len(obs) != images.shape[0]:
            raise StoreError(f"{path} has {len(obs):,} cells for {images.shape[0]:,} images. Write the file again.")
        return images.shape, images.dtype, facts, _as_polars(obs)


def _as_polars(obs: Any) -> pl.DataFrame:
    """The file's table; the names of its rows are the cells' ids where no column has them."""
    columns = {
        str(name): np.asarray(column.astype(str)) if column.dtype.kind not in "biuf" else column.to_numpy()
        for name, column in obs.items()
    }
    missing = {str(name): column.isna().to_numpy() for name, column in obs.items()}
    ids = {} if v.CELL_ID in columns else {v.CELL_ID: np.asarray(obs.index.astype(str))}
    table = {
        name: pl.Series(name, values.tolist() if values.dtype.kind == "O" else values)
        for name, values in columns.items()
    }
    return pl.DataFrame(ids | table).with_columns(
        [pl.when(pl.Series(~gap)).then(pl.col(name)).alias(name) for name, gap in missing.items() if gap.any()]
    )


def _image_planes(count: int, facts: dict[str, Any], n_masks: int | None, path: Path) -> list[int]:
    """Numbers of the planes that are no masks."""
    if n_masks is not None and not (isinstance(n_masks, int) and 0 <= n_masks <= count):
        raise SettingsError(f"n_masks is {n_masks!r}. A number from 0 to {count} was needed, the planes of {path}.")
    told = _told_masks(count, facts, path)
    if told is None and n_masks is None:
        raise SettingsError(
            f"{path} does not say which of its {count} planes are masks. Say how many come first (n_masks=2, or 0 if "
            f"there is none); it is never guessed."
        )
    given = None if n_masks is None else list(range(n_masks))
    if told is not None and given is not None and told != given:
        raise SettingsError(f"n_masks is {n_masks}, but {path} says that planes {told} are masks. Leave n_masks out.")
    masks = told if told is not None else given
    assert masks is not None
    planes = [plane for plane in range(count) if plane not in masks]
    if not planes:
        raise StoreError(f"All {count} planes of {path} are masks. Images were needed.")
    return planes


def _told_masks(count: int, facts: dict[str, Any], path: Path) -> list[int] | None:
    """Numbers of the planes that the file says are masks; None if it says nothing."""
    mapping = [_text(value) for value in np.ravel(facts.get("channel_mapping", []))]
    number = int(facts["n_masks"]) if "n_masks" in facts else None
    if not mapping:
        return None if number is None else list(range(number))
    masks = [plane for plane, role in enumerate(mapping) if role == "mask"]
    if len(mapping) != count or set(mapping) - {"mask", "image", "image_channel"} or number not in (None, len(masks)):
        raise StoreError(
            f"{path} contradicts itself on masks: {count} planes, channel_mapping {', '.join(mapping)}, n_masks "
            f"{number}. Correct uns/{v.CELL_IMAGES}."
        )
    return masks


def _names(facts: dict[str, Any], planes: list[int]) -> list[str]:
    names = [_text(name) for name in np.ravel(facts.get("channel_names", []))]
    return [names[plane] for plane in planes if plane < len(names)]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _matched(cells: pl.DataFrame, obs: pl.DataFrame, key: str) -> np.ndarray:
    """The image of each row of the user's table, by the ids in the file."""
    wanted, there = (needed_column(table, key, "key").cast(pl.String) for table in (cells, obs))
    if n := int(there.is_duplicated().sum()):
        raise TableError(f"{n:,} cells of the file share their {key} with another. Name another column (key=COLUMN).")
    rows = pl.DataFrame({"id": there}).with_row_index("image").with_columns(pl.col("image").cast(pl.Int64))
    found = pl.DataFrame({"id": wanted}).join(rows, on="id", how="left", maintain_order="left")
    return found["image"].fill_null(NO_IMAGE).to_numpy()


def _images(path: Path, numbers: np.ndarray, planes: list[int]) -> np.ndarray:
    """(B, C, H, W) of the cells asked for; a run of neighbours is read at once."""
    import h5py

    try:
        with h5py.File(path) as file:
            images = file["obsm"][v.CELL_IMAGES]
            if len(numbers) and np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))):
                return images[numbers[0] : numbers[-1] + 1][:, planes]
            return np.stack([images[int(number)][planes] for number in numbers])
    except OSError as error:
        raise unreadable(path, "an .h5sc of scPortrait", error) from None
