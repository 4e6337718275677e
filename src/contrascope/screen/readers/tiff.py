"""TIFF and OME-TIFF tiles: one file with all channels, or one file a channel.

Stored values are read as they are; a palette is never applied. Planes are channels in the order of the file, unless
the file says that they are depths or times; where it names its channels, it must not contradict the screen file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from contrascope.config import ImageSettings
from contrascope.errors import SettingsError, TileError
from contrascope.screen.readers.files import (
    digest_of_file,
    index_names,
    items_of_tiles,
    joint_shape,
    names_on_disk,
    one_file_a_channel,
)
from contrascope.screen.tiles import TileKey, TileShape, missing_fields_conflict, pattern_fields, tiles_in_order

_NO_CHANNELS = {"Z": "depth", "T": "time"}
"""Axes of which a tile has no more than one plane."""


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
        self._channels = settings.channel_names

    @classmethod
    def keys_found(cls, settings: ImageSettings) -> list[TileKey]:
        """Every tile that the pattern finds, for those who have no cell table.

        Raises:
            TileError: The pattern finds nothing.
        """
        return tiles_in_order(key for key, _ in index_names(settings.pattern, names_on_disk(settings.pattern)))

    def shape(self, key: TileKey) -> TileShape:
        """Shape of a tile from its header, without its pixels.

        Raises:
            TileError: It cannot be read, or its planes are no channels.
            SettingsError: The file has the channels of the screen file in another order.
        """
        files = self._files[key]
        headers = [_header(file) for file in files]
        shapes = [shape for shape, _ in headers]
        if not self._per_channel:
            _refuse_other_order(files[0], headers[0][1], self._channels)
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


def _header(file: Path) -> tuple[TileShape, list[str]]:
    """The shape of a file's image, and how its OME metadata call the channels, as far as they do."""
    try:
        with tifffile.TiffFile(file) as tiff:
            series = tiff.series[0]
            shape, axes, dtype = series.shape, series.axes, np.dtype(series.dtype)
            names = _names_in(tiff.ome_metadata) if tiff.ome_metadata else []
    except tifffile.TiffFileError as error:
        raise TileError(_no_tiff(str(error)), where=file) from None
    except Exception as error:  # a damaged header can fail in any tag, each with an error of its own
        raise TileError(f"cannot be read as TIFF ({error}). Write or copy the file again.", where=file) from None
    if len(shape) == 2:
        return TileShape(1, *shape, dtype=dtype), names
    if len(shape) != 3:
        raise TileError(f"has axes {axes} {shape}. One image with axes CYX or YX was needed.", where=file)
    channels = _channel_axis(axes)
    if axes[channels] in _NO_CHANNELS and shape[channels] > 1:
        raise TileError(
            f"has axes {axes} {shape}: {shape[channels]} planes of {_NO_CHANNELS[axes[channels]]}, where "
            f"channels were needed. Project them to one plane (the brightest or the mean), or choose one; if they are "
            f"channels, write the file with axes CYX.",
            where=file,
        )
    height, width = (n for axis, n in enumerate(shape) if axis != channels)
    return TileShape(shape[channels], height, width, dtype), names


def _no_tiff(why: str) -> str:
    """What is said of a file that is damaged, or of another format."""
    if not why.startswith("not a TIFF"):
        return f"cannot be read as TIFF ({why}). Write or copy the file again."
    return (
        "is no TIFF. TIFF and OME-TIFF are read; with images.reader: ome-zarr OME-Zarr, and with images.reader: bioio "
        "what bioio has a plugin for (CZI, ND2, PNG and more). If it should be a TIFF, write or copy it again."
    )


def _names_in(ome: str) -> list[str]:
    """Names of the channels of the first image in OME-XML; blank where a channel has none."""
    try:
        image = next((child for child in ElementTree.fromstring(ome) if child.tag.endswith("}Image")), None)
    except ElementTree.ParseError:  # pixels can be read all the same
        return []
    return [] if image is None else [c.get("Name", "") for c in image.iter() if c.tag.endswith("}Channel")]


def _refuse_other_order(file: Path, names: list[str], channels: list[str]) -> None:
    """Raise if a file has the very names of the screen file in another order; other names say nothing."""
    if names != channels and len(set(names)) == len(names) and set(names) == set(channels):
        raise SettingsError(
            f"{file} has the channels {', '.join(names)} by its own metadata, and images.channels names them in "
            f"another order: {', '.join(channels)}. Planes are taken in the order of the file. Set images.channels to "
            f"[{', '.join(names)}]; or, where the file is wrong, write its metadata anew."
        )


def _channel_axis(axes: str) -> int:
    """Where the channels are: the axis that says so, of channels or of a pixel's samples, else the first."""
    return next((axes.index(letter) for letter in "CS" if letter in axes), 0)


def _pixels(file: Path) -> np.ndarray:
    try:
        with tifffile.TiffFile(file) as tiff:
            series = tiff.series[0]
            pixels = series.asarray()
            axes = series.axes
    except Exception as error:  # a damaged file can fail in any decoder, each with an error of its own
        raise TileError(
            f"cannot be read ({type(error).__name__}: {error}). Write or copy it again.", where=file
        ) from None
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, _channel_axis(axes), 0)
