"""A reader: tiles as .npy files, (C, H, W) or (H, W) each, as scripts like to leave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

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


class NpyReader:
    """Tiles from .npy files found by a file-name pattern.

    Args:
        settings: Pattern and channels.
        keys: Tiles that the cell table asks for.

    Raises:
        TileError: Files are missing, stand twice for one tile, or the pattern finds nothing.
    """

    def __init__(self, settings: ImageSettings, keys: Sequence[TileKey]):
        fields = pattern_fields(settings.pattern)
        if conflict := missing_fields_conflict(fields, keys, settings.pattern):
            raise TileError(conflict)
        found = index_names(settings.pattern, names_on_disk(settings.pattern))
        self._files = items_of_tiles(settings, keys, {place: Path(name) for place, name in found.items()}, fields)
        self._per_channel = one_file_a_channel(settings)

    @classmethod
    def keys_found(cls, settings: ImageSettings) -> list[TileKey]:
        """Every tile that the pattern finds, for those who have no cell table."""
        return tiles_in_order(key for key, _ in index_names(settings.pattern, names_on_disk(settings.pattern)))

    def shape(self, key: TileKey) -> TileShape:
        """Shape of a tile; a memory-mapped file is not read for it."""
        files = self._files[key]
        shapes = [TileShape(*planes.shape, dtype=planes.dtype) for planes in map(_planes, files)]
        return joint_shape(key, [file.name for file in files], shapes, per_channel=self._per_channel)

    def read(self, key: TileKey) -> np.ndarray:
        """(C, H, W) pixels as stored, channels in the settings' order."""
        return np.concatenate([_planes(file) for file in self._files[key]])

    def inventory(self) -> list[tuple[str, str, str]]:
        """Tile, file name and digest of every file that is used: what the store depends on."""
        return sorted(
            (str(key), file.name, digest_of_file(file)) for key, files in self._files.items() for file in files
        )


def _planes(file: Path) -> np.ndarray:
    try:
        pixels = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise TileError(f"{file} cannot be read as .npy ({error}). Write or copy the file again.") from None
    if pixels.ndim not in (2, 3):
        raise TileError(f"{file} has {pixels.ndim} axes. Two (H, W) or three (C, H, W) were needed.")
    return pixels[None] if pixels.ndim == 2 else pixels
