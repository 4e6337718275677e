"""Tiles in whatever bioio reads (Nikon ND2, Zeiss CZI and more): one file a tile, or one file with many scenes.

``raw/{plate}_{well}_{tile}.czi`` is one file a tile. ``raw/{plate}.nd2::XYPos:{tile}`` is one file with a scene a
tile: what follows ``::`` is the pattern of the scenes' names, as bioio gives them
(``BioImage("P1.nd2").scenes``). bioio is the extra ``[bio]``; each format needs its plugin (``bioio-nd2``).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from contrascope.config import ImageSettings
from contrascope.errors import SettingsError, TileError, first_few
from contrascope.screen.readers.files import (
    Place,
    channel_planes,
    digest_of_file,
    index_names,
    items_of_tiles,
    joint_shape,
    names_on_disk,
    one_file_a_channel,
)
from contrascope.screen.tiles import (
    TileKey,
    TileShape,
    missing_fields_conflict,
    pattern_fields,
    pattern_regex,
    tiles_in_order,
)

_SCENE = "::"
_MADE_UP = re.compile(r"Channel:\d+(:\d+)*")
"""What bioio calls the channels of an image that does not name them."""


class _Source(NamedTuple):
    """A file and one of its scenes; None for a file that has but one."""

    file: Path
    scene: str | None

    def __str__(self) -> str:
        return self.file.name if self.scene is None else f"{self.file.name}{_SCENE}{self.scene}"


class BioioReader:
    """Tiles through bioio.

    Args:
        settings: Pattern and channels. Where an image names its channels, ``channels`` selects them.
        keys: Tiles that the cell table asks for.

    Raises:
        TileError: Files or scenes are missing, stand twice for one tile, or the pattern finds nothing.
        SettingsError: bioio is not installed, or the pattern names what it may not.
    """

    def __init__(self, settings: ImageSettings, keys: Sequence[TileKey]):
        _bioio()
        self._settings, fields = settings, pattern_fields(settings.pattern)
        if conflict := missing_fields_conflict(fields, keys, settings.pattern):
            raise TileError(conflict)
        self._sources = items_of_tiles(settings, keys, _found(settings.pattern), fields)

    @classmethod
    def keys_found(cls, settings: ImageSettings) -> list[TileKey]:
        """Every tile that the pattern finds, for those who have no cell table.

        Raises:
            TileError: The pattern finds nothing.
            SettingsError: bioio is not installed.
        """
        _bioio()
        return tiles_in_order(key for key, _ in _found(settings.pattern))

    def shape(self, key: TileKey) -> TileShape:
        """Shape of a tile from its header, without its pixels."""
        sources = self._sources[key]
        shapes = [_shape(source, self._settings) for source in sources]
        return joint_shape(key, [str(s) for s in sources], shapes, per_channel=one_file_a_channel(self._settings))

    def read(self, key: TileKey) -> np.ndarray:
        """(C, H, W) pixels as stored, channels in the settings' order."""
        return np.concatenate([_pixels(source, self._settings) for source in self._sources[key]])

    def inventory(self) -> list[tuple[str, str, str]]:
        """Tile, file and scene, and a digest of the file's size and a sample of its bytes."""
        files = {source.file for sources in self._sources.values() for source in sources}
        digests = {file: digest_of_file(file) for file in files}
        return sorted((str(key), str(s), digests[s.file]) for key, sources in self._sources.items() for s in sources)


def _bioio() -> Any:
    try:
        return import_module("bioio")
    except ImportError:
        raise SettingsError(
            "images.reader is 'bioio', but bioio is not installed. Install it: pip install contrascope[bio]"
        ) from None


def _found(pattern: str) -> dict[Place, _Source]:
    """Files or scenes by what they stand for."""
    sources = {
        str(source.file) + (_SCENE + source.scene if source.scene is not None else ""): source
        for source in _sources(pattern)
    }
    return {place: sources[name] for place, name in index_names(pattern, sources).items()}


def _sources(pattern: str) -> Iterator[_Source]:
    """Every file, or every scene of every file, that the pattern may mean."""
    files, scenes, _ = pattern.rpartition(_SCENE)
    if not scenes:
        yield from (_Source(Path(name), None) for name in names_on_disk(pattern))
        return
    for name in names_on_disk(files):
        if pattern_regex(files).fullmatch(name):
            yield from (_Source(Path(name), scene) for scene in _opened(Path(name)).scenes)


def _opened(file: Path) -> Any:
    try:
        return _kept_open(file, file.stat().st_mtime_ns, threading.get_ident())
    except Exception as error:  # each plugin has errors of its own, and a format without a plugin has one too
        raise TileError(
            f"cannot be read by bioio ({type(error).__name__}: {' '.join(str(error).split())}). Install the "
            f"plugin of its format (pip install bioio-nd2, say), or write the file again.",
            where=file,
        ) from None


@lru_cache(maxsize=4)
def _kept_open(file: Path, changed: int, thread: int) -> Any:
    """A file of a thousand scenes is opened once, by each thread for itself: an image knows its current scene."""
    return _bioio().BioImage(file)


def _image(source: _Source) -> Any:
    """The scene of a source, once it is one plane a channel."""
    image = _opened(source.file)
    if source.scene is not None:
        image.set_scene(source.scene)
    elif len(image.scenes) > 1:
        raise TileError(
            f"has {len(image.scenes)} scenes: {first_few(image.scenes, 3)}. Add the pattern of "
            f"their names to images.pattern, after {_SCENE}: FILE{_SCENE}{{tile}}.",
            where=source.file.name,
        )
    sizes = dict(zip(image.dims.order, image.shape, strict=True))
    if any(n != 1 for axis, n in sizes.items() if axis not in "CYX"):
        what = ", ".join(f"{axis}: {n}" for axis, n in sizes.items())
        raise TileError(
            f"has axes {what}. One time and one depth were needed: project or select beforehand.", where=source
        )
    return image


def _planes(image: Any, source: _Source, settings: ImageSettings) -> list[int] | None:
    labels = [str(name) for name in image.channel_names or []]
    named = bool(labels) and all(labels) and not any(_MADE_UP.fullmatch(label) for label in labels)
    return channel_planes(settings, labels if named else None, str(source))


def _shape(source: _Source, settings: ImageSettings) -> TileShape:
    image = _image(source)
    sizes, planes = dict(zip(image.dims.order, image.shape, strict=True)), _planes(image, source, settings)
    channels = sizes.get("C", 1) if planes is None else len(planes)
    return TileShape(channels, sizes["Y"], sizes["X"], np.dtype(image.dtype).newbyteorder("="))


def _pixels(source: _Source, settings: ImageSettings) -> np.ndarray:
    image = _image(source)
    planes = _planes(image, source, settings)
    try:
        pixels = np.asarray(image.get_image_data("CYX"))
    except Exception as error:  # each plugin has errors of its own
        raise TileError(
            f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())}). Write or copy it again.",
            where=source,
        ) from None
    taken = pixels if planes is None else pixels[planes]
    return np.ascontiguousarray(taken, dtype=pixels.dtype.newbyteorder("="))
