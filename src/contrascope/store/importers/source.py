"""What every importer gives, and what importers share: the order of axes, pixel types, files told apart.

An importer looks at a foreign source and answers with ``ForeignCrops``: which row of the cell table has
which image, and how a few images are read. It never holds more than it is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope.errors import SettingsError, StoreError, TableError, first_few

NO_IMAGE = -1
"""Number of the image of a row that has none."""
DTYPES = ("uint8", "uint16", "float32")
_BLOCK = 4096


@dataclass(frozen=True)
class ForeignCrops:
    """Crops of another format, before any is read.

    Attributes:
        cells: Every row of the cell table, its columns under our names where they were named.
        image: (rows,) int64 number of each row's image; ``NO_IMAGE`` where the source has none.
        images: How many images the source has.
        channels: Names of the C channels.
        shape: (C, H, W) of a crop.
        dtype: Of the pixels.
        read: Numbers of images -> (B, C, H, W) pixels, in the order asked for.
        identity: What the pixels depend on; equal sources have equal ones, wherever they lie.
    """

    cells: pl.DataFrame
    image: np.ndarray
    images: int
    channels: list[str]
    shape: tuple[int, int, int]
    dtype: np.dtype
    read: Callable[[np.ndarray], np.ndarray]
    identity: list[Any]


def checked_axes(axes: object, letters: str) -> str:
    """Axes named in any order; ``C`` may be left out where there is one channel.

    Args:
        axes: What the user named.
        letters: The letters that must be there, such as ``NCHW``.

    Raises:
        SettingsError: None, or others.
    """
    if not isinstance(axes, str) or sorted(axes) not in (sorted(letters), sorted(letters.replace("C", ""))):
        raise SettingsError(
            f"The order of the axes is {axes or 'not given'}. Name it with the letters {letters} in the order in "
            f"which they lie, axes={letters} or axes={letters.replace('C', '')}C for instance; C may be left out if "
            f"there is one channel. It is never guessed."
        )
    return axes


def in_our_order(pixels: np.ndarray, axes: str) -> np.ndarray:
    """The same pixels as (N, C, H, W), or (C, H, W) where the axes have no N."""
    if "C" not in axes:
        pixels, axes = pixels[..., None], axes + "C"
    return pixels.transpose([axes.index(letter) for letter in "NCHW" if letter in axes])


def shape_in_our_order(shape: Sequence[int], axes: str) -> tuple[int, int, int]:
    """(C, H, W) of an image, from the lengths of the axes that were named.

    Raises:
        StoreError: Another number of axes, or one of no length.
    """
    if len(shape) != len(axes):
        raise StoreError(f"Images of shape {tuple(shape)} do not have the {len(axes)} axes {axes}. Name their axes.")
    length = {"C": 1} | dict(zip(axes, shape, strict=True))
    if 0 in (C_H_W := (length["C"], length["H"], length["W"])):
        raise StoreError(f"Images of shape {tuple(shape)} hold no pixels. A crop of at least one pixel was needed.")
    return C_H_W


def checked_dtype(dtype: np.dtype, what: str) -> np.dtype:
    """The pixels' type in the machine's byte order.

    Raises:
        StoreError: A type we do not store; the message says how to convert.
    """
    if dtype.name in DTYPES:
        return dtype.newbyteorder("=")
    advice = {
        "b": "Masks are no images; if they must be, convert with astype('uint8').",
        "f": "Convert with astype('float32').",
        "i": "Convert with astype('uint16'), once no value is negative or above 65,535.",
        "u": "Convert with astype('uint16'), once no value is above 65,535.",
    }.get(dtype.kind, "Write plain numbers.")
    raise StoreError(f"{what} are {dtype}; {', '.join(DTYPES)} was needed. {advice}")


def checked_channels(channels: Sequence[str] | None, count: int, what: str) -> list[str]:
    """The channels' names, one each.

    Raises:
        SettingsError: Not given, or too few or many, or one twice.
    """
    names = [channels] if isinstance(channels, str) else list(channels or [])
    if len(names) != count or len(set(names)) != count:
        raise SettingsError(
            f"{what} have {count} channels, the names given are: {', '.join(map(str, names)) or 'none'}. "
            f"Name each channel once, in the order of the planes (channels)."
        )
    return [str(name) for name in names]


def needed_table(cells: pl.DataFrame | None, why: str) -> pl.DataFrame:
    """The cell table, where a source cannot do without one."""
    if cells is None:
        raise TableError(f"There is no cell table. {why} Give one (cells).")
    return cells


def needed_column(cells: pl.DataFrame, column: str, option: str) -> pl.Series:
    """A column of the cell table by which images are found."""
    if column not in cells.columns:
        raise TableError(
            f"The cell table has no column '{column}' to find images by. It has {first_few(cells.columns, 20)}. "
            f"Name the right one ({option}=COLUMN)."
        )
    return cells[column]


def unreadable(path: Path, kind: str, error: object) -> StoreError:
    """A source that is not what it should be."""
    why = " ".join(str(error).split())[:200]
    return StoreError(f"{path} cannot be read as {kind}: {why}. Check the path and the kind, or write the file again.")


def sampled(path: Path, *, blocks: int = 64) -> str:
    """Digest of a file's size and of blocks spread evenly over it: all of a small file, a sample of a large one."""
    size = path.stat().st_size
    starts = range(0, size, _BLOCK) if size <= blocks * _BLOCK else np.linspace(0, size - _BLOCK, blocks).astype(int)
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb", buffering=0) as file:
        for start in starts:
            file.seek(int(start))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()
