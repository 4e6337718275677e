"""Crops in a folder: one TIFF or ``.npy`` file a cell, and an index table that names them.

scallops writes such folders. A file's path stands in a column of the table, relative to the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl
import tifffile

from contrascope.errors import StoreError
from contrascope.litter import is_litter
from contrascope.progress import track
from contrascope.store.importers.source import (
    NO_IMAGE,
    ForeignCrops,
    checked_axes,
    checked_channels,
    checked_dtype,
    in_our_order,
    needed_column,
    needed_table,
    sampled,
    shape_in_our_order,
    unreadable,
)

_ENDINGS = (".tif", ".tiff", ".npy")
_BLOCKS = 8


def folder(
    source: str | Path,
    *,
    cells: pl.DataFrame | None,
    channels: Sequence[str] | None,
    axes: str,
    path: str = "path",
) -> ForeignCrops:
    """One file a cell.

    Args:
        source: The folder.
        cells: The index table, a row a cell.
        channels: Names of the channels.
        axes: Order of a file's axes, ``CHW``, ``HWC`` or ``HW``.
        path: Column with the path of a row's file, inside the folder.
    """
    source, axes = Path(source), checked_axes(axes, "CHW")
    cells = needed_table(cells, "A folder of images needs a table that names its files.")
    named = needed_column(cells, path, "path").cast(pl.String).to_list()
    names = _names(source)
    number = {name: i for i, name in enumerate(names)}
    image = np.array([NO_IMAGE if n is None else number.get(str(PurePosixPath(n)), NO_IMAGE) for n in named])
    first = _pixels(source / names[max(image.max(), 0)], axes)
    dtype = checked_dtype(first.dtype, f"Images in {source}")

    def read(numbers: np.ndarray) -> np.ndarray:
        return np.stack([_alike(source / names[i], axes, first.shape, dtype) for i in numbers])

    labels = checked_channels(channels, first.shape[0], f"The images in {source}")
    shape = (first.shape[0], first.shape[1], first.shape[2])
    return ForeignCrops(cells, image, len(names), labels, shape, dtype, read, [_digest(source, names)])


def _names(source: Path) -> list[str]:
    """Every image file of the folder, by its path inside, sorted."""
    if not source.is_dir():
        raise StoreError(f"There is no folder {source}. The folder with the images was needed.")
    files = (p for p in source.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file() and not is_litter(p))
    names = sorted(file.relative_to(source).as_posix() for file in files)
    if not names:
        raise StoreError(f"The folder {source} has no {', '.join(_ENDINGS)} file. Give the folder with the images.")
    return names


def _pixels(file: Path, axes: str) -> np.ndarray:
    """(C, H, W) pixels as stored."""
    try:
        if file.suffix == ".npy":
            pixels = np.load(file, allow_pickle=False)
        else:
            with tifffile.TiffFile(file) as tiff:
                pixels = tiff.series[0].asarray()
    except Exception as error:  # a damaged file can fail in any decoder, each with an error of its own
        raise unreadable(file, "an image", error) from None
    try:
        shape_in_our_order(pixels.shape, axes)
    except StoreError as error:
        raise StoreError(f"{file}: {error}") from None
    return in_our_order(pixels, axes)


def _alike(file: Path, axes: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    pixels = _pixels(file, axes)
    if pixels.shape != shape or pixels.dtype.name != dtype.name:
        raise StoreError(
            f"{file} is {' x '.join(map(str, pixels.shape))} {pixels.dtype}, others are {' x '.join(map(str, shape))} "
            f"{dtype}. Write all images alike, or take the row out of the table."
        )
    return pixels.astype(dtype, copy=False)


def _digest(source: Path, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in track(names, "Checking images", len(names)):
        digest.update(f"{name} {sampled(source / name, blocks=_BLOCKS)}\n".encode())
    return digest.hexdigest()
