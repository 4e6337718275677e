"""Cells without a table: nuclei found in one channel of every tile, as a cell table to start from.

Smoothing, a threshold, and a watershed on the distance to the background, which parts nuclei that touch. All
lengths follow from one number, the diameter of a nucleus. Positions are those of the channel that was named:
make it the screen's ``reference_channel``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_local, threshold_otsu
from skimage.segmentation import watershed

from contrascope import vocabulary as v
from contrascope.config import ImageSettings, Settings, load_screen_settings, validated
from contrascope.errors import SettingsError, TileError
from contrascope.progress import track
from contrascope.registry import READERS
from contrascope.screen.tiles import TileKey, TileReader

AREA = "area"


class NucleusSettings(Settings):
    """What a nucleus is, in pixels.

    Attributes:
        diameter: Of a typical nucleus.
        method: ``watershed``, or ``cellpose`` where it is installed.
        threshold: ``otsu`` is one for a tile; ``local`` follows an uneven background.
        min_area, max_area: Others are no nuclei; None takes a fifth and six times the area of a disc of
            this diameter.
    """

    diameter: Annotated[float, Field(ge=4)] = 16.0
    method: Literal["watershed", "cellpose"] = "watershed"
    threshold: Literal["otsu", "local"] = "otsu"
    min_area: Annotated[float, Field(gt=0)] | None = None
    max_area: Annotated[float, Field(gt=0)] | None = None

    @property
    def areas(self) -> tuple[float, float]:
        """Smallest and largest area of a nucleus."""
        disc = np.pi * self.diameter**2 / 4
        return self.min_area or disc / 5, self.max_area or disc * 6


def find_cells(
    images: ImageSettings | str | Path,
    *,
    channel: str,
    channels: Sequence[str] | dict[str, str] | None = None,
    reader: str | None = None,
    **nuclei: Any,
) -> pl.DataFrame:
    """A cell table of the nuclei in every tile that a pattern finds.

    Args:
        images: Settings, a screen file (its ``cells`` may be absent), or a file-name pattern.
        channel: Where nuclei are bright.
        channels: With a pattern, names of the channels as in a screen file.
        reader: With a pattern, the reader, if not that of TIFF files.
        nuclei: Fields of ``NucleusSettings``.

    Returns:
        One row a nucleus: ``plate well tile cell_id y x area`` and ``mean_CHANNEL`` of each channel.

    Raises:
        SettingsError: A channel or a setting that is unknown, or Cellpose is asked for and not installed.
        TileError: No tile is found, or one cannot be read, or no tile has a nucleus.
    """
    what = validated(NucleusSettings, nuclei, where="The settings of find-cells")
    settings = images if isinstance(images, ImageSettings) else image_settings(images, channel, channels, reader)
    if channel not in settings.channel_names:
        raise SettingsError(f"There is no channel '{channel}'. Choose one of: {', '.join(settings.channel_names)}.")
    if not hasattr(READERS[settings.reader], "keys_found"):
        raise SettingsError(
            f"The reader '{settings.reader}' cannot say which tiles there are: it has no keys_found. Choose another "
            f"reader, or add that class method."
        )
    keys: list[TileKey] = READERS[settings.reader].keys_found(settings)
    source: TileReader = READERS[settings.reader](settings, keys)
    tiles = [
        _of_tile(source.read(key), key, settings, channel, what) for key in track(keys, "Finding cells", len(keys))
    ]
    cells = pl.concat(tiles)
    if cells.is_empty():
        raise TileError(
            f"No nucleus is found in channel {channel} of {len(keys):,} tiles. Check the channel and diameter "
            f"({what.diameter:g} pixels)."
        )
    return cells


def image_settings(
    images: str | Path,
    channel: str,
    channels: Sequence[str] | dict[str, str] | None = None,
    reader: str | None = None,
) -> ImageSettings:
    """Settings of images from a screen file, with or without its cells, or from a pattern, channels and reader."""
    if str(images).endswith((".yaml", ".yml")):
        if channels or reader:
            raise SettingsError(
                f"{images} names its channels and reader itself. Leave them out, or correct them there."
            )
        absent = {"name": "images", "cells": {"table": "none", "control": "none"}}
        return load_screen_settings(Path(images), absent | {"images.reference_channel": channel}).images
    if not channels:
        raise SettingsError("A pattern says nothing of channels. Name them in the order of the planes (channels).")
    pattern = str(images) if "://" in str(images) else str(Path.cwd() / images)
    values = {"pattern": pattern, "channels": channels, "reference_channel": channel}
    return validated(ImageSettings, values | ({"reader": reader} if reader else {}), where="The images")


def nuclei_of(image: np.ndarray, what: NucleusSettings) -> np.ndarray:
    """(H, W) int labels of nuclei, 0 where there is none.

    Args:
        image: (H, W) pixels of a channel in which nuclei are bright.
        what: What a nucleus is.
    """
    labels = _cellpose(image, what) if what.method == "cellpose" else _watershed(image, what)
    area = np.bincount(labels.ravel())
    smallest, largest = what.areas
    kept = (area >= smallest) & (area <= largest)
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0)[labels]


def _watershed(image: np.ndarray, what: NucleusSettings) -> np.ndarray:
    # The logarithm keeps a few bright nuclei, in mitosis for instance, from setting the threshold for all.
    smooth = ndimage.gaussian_filter(np.log1p(image.astype(np.float32)), what.diameter / 12)
    if smooth.min() == smooth.max():
        return np.zeros(image.shape, int)
    foreground = ndimage.binary_fill_holes(smooth > _threshold(smooth, what))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(foreground), what.diameter / 12)
    peaks = peak_local_max(
        depth, min_distance=max(1, round(what.diameter / 3)), labels=foreground, exclude_border=False
    )
    markers = np.zeros(image.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-depth, markers, mask=foreground))


def _threshold(smooth: np.ndarray, what: NucleusSettings) -> Any:
    otsu = threshold_otsu(smooth)
    if what.threshold == "otsu":
        return otsu
    # Where a neighbourhood is empty its own mean is noise: the background's share of Otsu's keeps it out.
    block = 2 * round(2.5 * what.diameter) + 1
    return np.maximum(threshold_local(smooth, block), (otsu + np.median(smooth)) / 2)


def _cellpose(image: np.ndarray, what: NucleusSettings) -> np.ndarray:
    try:
        from cellpose import models  # type: ignore[import-not-found]
    except ImportError:
        raise SettingsError("Cellpose is not installed. Install it (pip install cellpose) or use watershed.") from None
    masks, *_ = models.CellposeModel(gpu=False).eval(image, diameter=what.diameter)
    return np.asarray(masks).astype(int)


def _of_tile(
    tile: np.ndarray, key: TileKey, settings: ImageSettings, channel: str, what: NucleusSettings
) -> pl.DataFrame:
    names = settings.channel_names
    if len(tile) != len(names):
        raise TileError(f"The tile of {key} has {len(tile)} channels; {len(names)} are named: {', '.join(names)}.")
    labels = nuclei_of(tile[names.index(channel)], what)
    numbers = np.arange(1, labels.max(initial=0) + 1)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, numbers)).reshape(-1, 2)
    place = {v.PLATE: key.plate, v.WELL: key.well, v.TILE: key.tile}
    means = {f"mean_{name}": ndimage.mean(plane, labels, numbers) for name, plane in zip(names, tile, strict=True)}
    columns: dict[str, Any] = {
        v.CELL_ID: [f"{key.plate}_{key.well}_{key.tile}_{n}" for n in numbers],
        v.Y: centres[:, 0],
        v.X: centres[:, 1],
        AREA: np.bincount(labels.ravel(), minlength=len(numbers) + 1)[1:],
    }
    types = {v.CELL_ID: pl.String, v.Y: pl.Float64, v.X: pl.Float64, AREA: pl.Int64} | dict.fromkeys(means, pl.Float64)
    found = pl.DataFrame(columns | {name: np.asarray(mean, float) for name, mean in means.items()}, schema=types)
    return found.select([pl.lit(part).alias(name) for name, part in place.items()] + [pl.all()])
