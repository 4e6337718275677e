"""TIFF and OME-TIFF tiles: one file with all channels, or one file a channel.

Stored values are read as they are; a palette is never applied.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from contrascope.config import ImageSettings
from contrascope.errors import TileError, first_few
from contrascope.screen.tiles import (
    TileKey,
    TileShape,
    missing_fields_conflict,
    pattern_fields,
    pattern_glob,
    pattern_regex,
    shared_key,
    tile_key,
)

_ALL_CHANNELS = ""
_SAMPLE = 4096
"""Bytes at each of three places in a file that tell it from another."""


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
        self._settings = settings
        self._fields = pattern_fields(settings.pattern)
        self._per_channel = "channel" in self._fields
        if conflict := missing_fields_conflict(self._fields, keys, settings.pattern):
            raise TileError(conflict)
        found = self._index()
        self._files = {key: self._files_of(key, found) for key in keys}
        self._refuse_missing()

    def shape(self, key: TileKey) -> TileShape:
        """Shape of a tile from its header, without its pixels."""
        shapes = [_header(file) for file in self._files[key]]
        if len({(s.height, s.width, s.dtype) for s in shapes}) > 1 or (
            self._per_channel and any(s.channels != 1 for s in shapes)
        ):
            raise TileError(
                f"The files of {key} do not fit together: "
                + "; ".join(
                    f"{file.name} is {s.channels} x {s.height} x {s.width} {s.dtype}"
                    for file, s in zip(self._files[key], shapes, strict=True)
                )
                + ". Files of one channel each and of one size were needed."
            )
        return shapes[0]._replace(channels=sum(s.channels for s in shapes))

    def read(self, key: TileKey) -> np.ndarray:
        """(C, H, W) pixels as stored, channels in the settings' order."""
        return np.concatenate([_pixels(file) for file in self._files[key]])

    def inventory(self) -> list[tuple[str, str, str]]:
        """Tile, file name and a digest of the file's size and a sample of its bytes, for every file that is used."""
        return sorted((str(key), file.name, _sampled(file)) for key, files in self._files.items() for file in files)

    def _index(self) -> dict[tuple[TileKey, str], Path]:
        """Every file the pattern finds, by tile and spelling of the channel."""
        regex = pattern_regex(self._settings.pattern)
        found: dict[tuple[TileKey, str], Path] = {}
        for name in sorted(glob.glob(pattern_glob(self._settings.pattern))):  # noqa: PTH207 - an absolute pattern
            if (match := regex.fullmatch(name)) is None:
                continue
            part = match.groupdict()
            well = part["row"] + part["column"] if "row" in part else part.get("well", "")
            key = shared_key(tile_key(part.get("plate", ""), well, part.get("tile", "")), self._fields)
            where = (key, part.get("channel", _ALL_CHANNELS))
            if where in found:
                raise TileError(
                    f"Two files stand for {key}: {found[where]} and {name}. Make the image pattern "
                    f"{self._settings.pattern} narrower, so that it finds one."
                )
            found[where] = Path(name)
        if not found:
            raise TileError(
                f"The image pattern {self._settings.pattern} finds no file. Check the folder and the fields in braces."
            )
        return found

    def _spellings(self) -> list[str]:
        channels = self._settings.channels
        if not self._per_channel:
            return [_ALL_CHANNELS]
        return list(channels.values()) if isinstance(channels, dict) else list(channels)

    def _files_of(self, key: TileKey, found: dict[tuple[TileKey, str], Path]) -> list[Path]:
        there = [found.get((shared_key(key, self._fields), spelling)) for spelling in self._spellings()]
        return [file for file in there if file is not None]

    def _refuse_missing(self) -> None:
        needed = len(self._spellings())
        if lacking := [key for key, files in self._files.items() if len(files) < needed]:
            each = f"one file for each of the channels {', '.join(self._spellings())}"
            what = each if self._per_channel else "a file"
            raise TileError(
                f"{len(lacking):,} of the {len(self._files):,} tiles in the cell table lack their image: "
                f"{first_few(lacking, 3)}. {what[0].upper()}{what[1:]} was needed for each tile by the pattern "
                f"{self._settings.pattern}. Restore the files, correct the pattern, or take the cells out of the table."
            )


def _sampled(file: Path) -> str:
    """Digest of a file's size, head, middle and end: images of one name and size are not thereby the same."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        parts = [os.pread(stream.fileno(), _SAMPLE, max(0, at)) for at in (0, size // 2, size - _SAMPLE)]
    return hashlib.sha256(b"".join([str(size).encode(), *parts])).hexdigest()


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
