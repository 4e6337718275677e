"""Crops in one array: in memory, in a ``.npy`` file, or in a member of a ``.npz`` file.

A ``.npy`` file is mapped, not loaded. A member of a ``.npz`` is unpacked as it is read, front to back: its
first axis must be N.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from contrascope.errors import SettingsError, StoreError, TableError
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

_HASHED_AT_ONCE = 256


def arrays(
    source: np.ndarray | str | Path,
    *,
    cells: pl.DataFrame | None,
    channels: Sequence[str] | None,
    axes: str,
    index: str | None = None,
    array: str | None = None,
) -> ForeignCrops:
    """Crops in one array.

    Args:
        source: The array, or its file.
        cells: One row a cell: the i-th is that of the i-th image, unless ``index`` says otherwise.
        channels: Names of the channels.
        axes: Order of the axes, ``NHWC`` for instance; ``C`` may be absent.
        index: Column with the number of a row's image, from 0; empty where it has none.
        array: Which array of a ``.npz`` file, if it holds several.
    """
    axes = checked_axes(axes, "NCHW")
    cells = needed_table(cells, "Images in an array carry no labels.")
    shape, dtype, take, identity = _opened(source, axes, array)
    C_H_W = shape_in_our_order(shape, axes)
    ours = checked_dtype(dtype, "Images")
    n = shape[axes.index("N")]

    def read(numbers: np.ndarray) -> np.ndarray:
        return in_our_order(take(numbers), axes).astype(ours, copy=False)

    names = checked_channels(channels, C_H_W[0], "The images")
    return ForeignCrops(cells, _numbers(cells, n, index), n, names, C_H_W, ours, read, identity)


Take = Callable[[np.ndarray], np.ndarray]
"""Numbers of images -> these images, in the array's own order of axes."""


def _opened(source: Any, axes: str, array: str | None) -> tuple[tuple[int, ...], np.dtype, Take, list[Any]]:
    """Shape and type of an array, how some of its images are taken, and what tells it from another."""
    if isinstance(source, np.ndarray):
        if source.ndim != len(axes):
            shape_in_our_order(source.shape, axes)
        return source.shape, source.dtype, _taker(source, axes), [_digest(source)]
    path = Path(source)
    if path.suffix == ".npz":
        shape, dtype, take, member = _npz(path, axes, array)
        return shape, dtype, take, [sampled(path), member]
    if path.suffix != ".npy":
        raise StoreError(f"{path} is no .npy and no .npz file. Give one of these, or an array in memory.")
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, "an array", error) from None
    if mapped.ndim != len(axes):
        shape_in_our_order(mapped.shape, axes)
    return mapped.shape, mapped.dtype, _taker(mapped, axes), [sampled(path)]


def _taker(images: np.ndarray, axes: str) -> Take:
    axis = axes.index("N")
    return lambda numbers: np.take(images, numbers, axis=axis)


def _numbers(cells: pl.DataFrame, n: int, index: str | None) -> np.ndarray:
    """The number of each row's image."""
    if index is None:
        if cells.height != n:
            raise TableError(
                f"The cell table has {cells.height:,} rows for {n:,} images. Give a row for each image, or name the "
                f"column that holds the number of a row's image (index=COLUMN)."
            )
        return np.arange(n)
    numbers = needed_column(cells, index, "index")
    if not numbers.dtype.is_integer():
        raise TableError(f"The column '{index}' holds {numbers.dtype}; whole numbers of images, from 0, were needed.")
    there = (numbers >= 0) & (numbers < n)
    return (
        pl.select(pl.when(there).then(numbers.cast(pl.Int64, strict=False)).otherwise(NO_IMAGE)).to_series().to_numpy()
    )


def _digest(images: np.ndarray) -> str:
    """Of all pixels, some at a time."""
    digest = hashlib.sha256(f"{images.shape} {images.dtype.str}".encode())
    for start in range(0, len(images), _HASHED_AT_ONCE):
        digest.update(np.ascontiguousarray(images[start : start + _HASHED_AT_ONCE]).tobytes())
    return digest.hexdigest()


def _npz(path: Path, axes: str, array: str | None) -> tuple[tuple[int, ...], np.dtype, Take, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            member = _member(path, archive.namelist(), array)
            with archive.open(member) as file:
                shape, fortran, dtype = _npy_header(file)
                start = file.tell()
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise unreadable(path, "arrays", error) from None
    if len(shape) == len(axes) and (fortran or axes[0] != "N"):
        raise StoreError(
            f"{path} holds axes {axes}{' in Fortran order' if fortran else ''}: its images do not lie one behind the "
            f"other, and a .npz cannot be read otherwise. Save it as .npy (np.save)."
        )
    return shape, dtype, _Unpacker(path, member, start, shape, dtype), member


def _member(path: Path, names: list[str], array: str | None) -> str:
    if array is None and len(names) == 1:
        return names[0]
    if array is None or f"{array}.npy" not in names:
        held = ", ".join(name.removesuffix(".npy") for name in names) or "nothing"
        raise SettingsError(f"{path} holds {held}. Name the array with the images (array=NAME).")
    return f"{array}.npy"


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    magic = np.lib.format.read_magic(file)
    if magic not in read:
        raise ValueError(f"arrays of version {magic} are not known")
    return read[magic](file)


class _Unpacker:
    """Images out of a packed array; asked for in rising order, the file is passed through once."""

    def __init__(self, path: Path, member: str, start: int, shape: tuple[int, ...], dtype: np.dtype):
        self._path, self._start, self._shape, self._dtype = path, start, shape[1:], dtype
        self._bytes = math.prod(shape[1:]) * dtype.itemsize
        self._file = zipfile.ZipFile(path).open(member)  # noqa: SIM115 - held open: going back means unpacking anew

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        out = np.empty((len(numbers), *self._shape), self._dtype)
        for place in np.argsort(numbers, kind="stable"):
            out[place] = self._one(int(numbers[place]))
        return out

    def _one(self, number: int) -> np.ndarray:
        try:
            self._file.seek(self._start + number * self._bytes)
            data = self._file.read(self._bytes)
            return np.frombuffer(data, self._dtype).reshape(self._shape)
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise unreadable(self._path, "arrays", error) from None
