"""TIFF and OME-TIFF tiles: one file with all channels, or one file a channel.

Stored values are read as they are; a palette is never applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from contrascope.config import ImageSettings
from contrascope.errors import TileError
from contrascope.screen.readers.files import (
    digest_of_file,
    index_names,
    items_of_tiles,
    joint_shape,
    names_on_disk,
    one_file_a_channel,
)
from contrascope.screen.tiles import TileKey, TileShape, missing_fields_conflict, pattern_fields, tiles_in_order


class TiffReader:
    """Tiles from TIFF files found by a file-name pattern.

    Args:
        settings: Pattern and channels.
        keys: Tiles that the cell table asks for.

    Raises:
        TileError: Files are missing, stand twice for one tile, or the pattern finds nothing.
        SettingsError: The pattern names what it may not.
    """

    def __init__(self, settings: ImageSettings, keys: Sequence[TileKey]):
        fields = pattern_fields(settings.pattern)
        if conflict := missing_fields_conflict(fields, keys, settings.pattern):
            raise TileError(conflict)
        names = index_names(settings.pattern, names_on_disk(settings.pattern))
        found = {place: Path(name) for place, name in names.items()}
        self._files = items_of_tiles(settings, keys, found, fields)
        self._per_channel = one_file_a_channel(settings)

    @classmethod
    def keys_found(cls, settings: ImageSettings) -> list[TileKey]:
        """Every tile that the pattern finds, for those who have no cell table.

        Raises:
            TileError: The pattern finds nothing.
        """
        return tiles_in_order(key for key, _ in index_names(settings.pattern, names_on_disk(settings.pattern)))

    def shape(self, key: TileKey) -> TileShape:
        """Shape of a tile from its header, without its pixels."""
        files = self._files[key]
        shapes = [_header(file) for file in files]
        return joint_shape(key, [file.name for file in files], shapes, per_channel=self._per_channel)

    def read(self, key: TileKey) -> np.ndarray:
        """(C, H, W) pixels as stored, channels in the settings' order."""
        parts = [_pixels(file) for file in self._files[key]]
        return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)

    def inventory(self) -> list[tuple[str, str, str]]:
        """Tile, file name and a digest of the file's size and a sample of its bytes, for every file that is used."""
        return sorted(
            (str(key), file.name, digest_of_file(file)) for key, files in self._files.items() for file in files
        )


def _header(file: Path) -> TileShape:
    try:
        with tifffile.TiffFile(file) as tiff:
            series = tiff.series[0]
            shape, axes, dtype = series.shape, series.axes, np.dtype(series.dtype)
    except Exception as error:  # a damaged header can fail in any tag, each with an error of its own
        raise TileError(f"{file} cannot be read as TIFF ({error}). Write or copy the file again.") from None
    if len(shape) == 2:
        return TileShape(1, *shape, dtype=dtype)
    if len(shape) != 3:
        raise TileError(f"{file} has axes {axes} {shape}. One image with axes CYX or YX was needed.")
    channels = _channel_axis(axes)
    height, width = (n for axis, n in enumerate(shape) if axis != channels)
    return TileShape(shape[channels], height, width, dtype)


def _channel_axis(axes: str) -> int:
    """Where the channels are: the last axis if it holds samples of a pixel, else the first."""
    return 2 if axes.endswith("S") else 0


def _pixels(file: Path) -> np.ndarray:
    try:
        with tifffile.TiffFile(file) as tiff:
            series = tiff.series[0]
            pixels = series.asarray()
            axes = series.axes
    except Exception as error:  # a damaged file can fail in any decoder, each with an error of its own
        raise TileError(f"{file} cannot be read ({type(error).__name__}: {error}). Write or copy it again.") from None
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, _channel_axis(axes), 0)
