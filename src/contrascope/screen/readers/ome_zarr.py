"""OME-Zarr tiles: plates (NGFF 0.4 in Zarr v2, 0.5 in Zarr v3), or one image a tile found by a pattern.

A pattern without ``{well}`` and ``{tile}`` names plates, ``{plate}.zarr``: their metadata say which wells and
fields there are, and a field's path is the tile. A pattern with them names images, ``images.zarr/{plate}-{well}``.
It is a path or an fsspec URL (``s3://bucket/{plate}.zarr``); what a URL needs besides, credentials say, fsspec
takes from its own configuration and the environment.

The full resolution is read. By the rules of Zarr a chunk that is not there is one of the fill value: a lost
chunk cannot be told from a dark one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import zarr
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from zarr.storage import FsspecStore, LocalStore

from contrascope.config import ImageSettings
from contrascope.errors import SettingsError, TileError
from contrascope.screen.readers.files import (
    Place,
    channel_planes,
    digest,
    index_names,
    items_of_tiles,
    joint_shape,
    names_on_disk,
    one_file_a_channel,
    put_once,
)
from contrascope.screen.tiles import (
    TileKey,
    TileShape,
    canonical_name,
    canonical_well,
    missing_fields_conflict,
    pattern_fields,
    pattern_glob,
    tiles_in_order,
)


class _Image(NamedTuple):
    """An image of several resolutions: where its hierarchy begins, and its path therein."""

    root: str
    path: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.root.rstrip("/").rpartition("/")[2], self.path) if part)


class _Level(NamedTuple):
    """An image at full resolution; ``axes`` are one letter a dimension, ``planes`` those of C to take, None for all."""

    array: Any
    axes: str
    planes: list[int] | None
    metadata: dict[str, Any]


class OmeZarrReader:
    """Tiles from OME-Zarr, on disk or behind a URL.

    Args:
        settings: Pattern and channels. Where an image names its channels (``omero``), ``channels`` selects them.
        keys: Tiles that the cell table asks for.

    Raises:
        TileError: Images are missing, stand twice for one tile, or are no OME-Zarr.
        SettingsError: The pattern names what it may not, or the URL needs a package that is not installed.
    """

    def __init__(self, settings: ImageSettings, keys: Sequence[TileKey]):
        self._settings = settings
        found, fields = _found(settings.pattern, keys)
        if conflict := missing_fields_conflict(fields, keys, settings.pattern):
            raise TileError(conflict)
        self._images = items_of_tiles(settings, keys, found, fields)

    @classmethod
    def keys_found(cls, settings: ImageSettings) -> list[TileKey]:
        """Every tile that the pattern finds, for those who have no cell table: of a plate, every field of view.

        Raises:
            TileError: The pattern finds nothing, or what is no OME-Zarr.
        """
        return tiles_in_order(key for key, _ in _found(settings.pattern, None)[0])

    def shape(self, key: TileKey) -> TileShape:
        """Shape of a tile from its metadata, without its pixels."""
        images = self._images[key]
        shapes = [_shape(_level(image, self._settings)) for image in images]
        return joint_shape(key, [str(i) for i in images], shapes, per_channel=one_file_a_channel(self._settings))

    def read(self, key: TileKey) -> np.ndarray:
        """(C, H, W) pixels as stored, channels in the settings' order."""
        return np.concatenate([_pixels(image, self._settings) for image in self._images[key]])

    def inventory(self) -> list[tuple[str, str, str]]:
        """Tile, image and a digest of its metadata and of a sample of its chunks."""
        return sorted(
            (str(key), str(image), _digest(image, self._settings))
            for key, images in self._images.items()
            for image in images
        )


def _names(pattern: str) -> dict[Place, str]:
    """Paths or URLs that the pattern means."""
    if "://" not in pattern:
        return index_names(pattern, names_on_disk(pattern))
    try:
        fs, path = url_to_fs(pattern)
        # A server that lists nothing (http) still gives what is named outright.
        wild = pattern_fields(pattern) or "*" in pattern
        names = (
            {name.rstrip("/"): fs.unstrip_protocol(name) for name in fs.glob(pattern_glob(path))}
            if wild
            else {path: pattern}
        )
    except ImportError as error:
        raise SettingsError(f"The image pattern {pattern} needs a package that is not installed: {error}") from None
    except Exception as error:  # every server has errors of its own
        raise TileError(f"{pattern} cannot be listed ({type(error).__name__}: {error}). Check the address.") from None
    return {place: names[name] for place, name in index_names(path, sorted(names)).items()}


def _found(pattern: str, keys: Sequence[TileKey] | None) -> tuple[dict[Place, _Image], set[str]]:
    """Images by what they stand for, and the fields that tell tiles apart.

    Args:
        pattern: Of plates or of images.
        keys: Tiles that are asked for: other wells of a plate are left alone. None asks for all.
    """
    fields, names = pattern_fields(pattern), _names(pattern)
    if not fields & {"well", "row", "tile"} and "plate" in _metadata(next(iter(names.values())), ""):
        return _fields_of_plates(names, keys, pattern), fields | {"well", "tile"}
    return {place: _Image(root, "") for place, root in names.items()}, fields


def _fields_of_plates(names: dict[Place, str], keys: Sequence[TileKey] | None, pattern: str) -> dict[Place, _Image]:
    """The fields of view of the wells that are asked for, in every plate that is."""
    found: dict[Place, _Image] = {}
    for (plate, spelling), root in names.items():
        asked = None if keys is None else {key.well for key in keys if plate.plate in ("", key.plate)}
        for well, tile, path in _fields_of_plate(root, asked):
            key = TileKey(plate.plate, well, tile)
            put_once(found, (key, spelling), _Image(root, path), pattern)
    return found


def _fields_of_plate(root: str, asked: set[str] | None) -> Iterator[tuple[str, str, str]]:
    """(well, tile, path) of each field of view of the wells that are asked for, None for all."""
    if asked == set():
        return
    plate = _metadata(root, "")
    with _refusing(root):
        paths = {_well_of(well["path"]): well["path"] for well in plate["plate"]["wells"]}
    for well in sorted(paths if asked is None else asked & set(paths)):
        metadata = _metadata(root, paths[well])
        with _refusing(f"{root}/{paths[well]}"):
            fields = [image["path"] for image in metadata["well"]["images"]]
        for field in fields:
            yield well, canonical_name(field), f"{paths[well]}/{field}"


def _well_of(path: str) -> str:
    """``B/3`` -> ``B03``."""
    row, column = path.strip("/").split("/")
    return canonical_well(row + column)


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Metadata that are not as the standard says become a ``TileError``."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise TileError(
            f"is no OME-Zarr that we can read ({type(error).__name__}: {error}). Metadata of NGFF 0.4 or 0.5 "
            f"were needed: a plate, or an image with multiscales.",
            where=where,
        ) from None


def _open(root: str, path: str) -> Any:
    """A group of a hierarchy, for reading."""
    try:
        store = FsspecStore.from_url(root, read_only=True) if "://" in root else LocalStore(root, read_only=True)
        return zarr.open_group(store, path=path, mode="r")
    except Exception as error:  # zarr, fsspec and every server have errors of their own
        raise TileError(
            f"{root}/{path} cannot be opened as a Zarr group ({type(error).__name__}: {' '.join(str(error).split())}). "
            f"Check the image pattern, or write the image again."
        ) from None


def _metadata(root: str, path: str) -> dict[str, Any]:
    return _ome(_open(root, path).attrs.asdict())


def _ome(attributes: dict[str, Any]) -> dict[str, Any]:
    """NGFF 0.5 keeps under ``ome`` what 0.4 keeps at the top."""
    return dict(attributes.get("ome", attributes))


def _level(image: _Image, settings: ImageSettings) -> _Level:
    group = _open(*image)
    metadata = _ome(group.attrs.asdict())
    with _refusing(str(image)):
        scales = metadata["multiscales"][0]
        axes = [axis["name"] for axis in scales["axes"]]
        labels = _labels(metadata)
        array = group[scales["datasets"][0]["path"]]
        sizes = dict(zip(axes, array.shape, strict=True))
    if not {"y", "x"} <= set(axes) or any(n != 1 for axis, n in sizes.items() if axis not in ("c", "y", "x")):
        what = ", ".join(f"{axis}: {n}" for axis, n in sizes.items())
        raise TileError(
            f"has axes {what}. One time and one depth were needed, with y, x and channels c: project or "
            f"select beforehand.",
            where=image,
        )
    letters = "".join(axis if axis in ("c", "y", "x") else "_" for axis in axes)
    if labels is not None and len(labels) != sizes.get("c", 1):
        raise TileError(
            f"has {sizes.get('c', 1)} planes but names {len(labels)} channels: {', '.join(labels)}.", where=image
        )
    return _Level(array, letters, channel_planes(settings, labels, str(image)), metadata)


def _labels(metadata: dict[str, Any]) -> list[str] | None:
    """Names of the channels, if every one has one."""
    labels = [str(channel.get("label", "")) for channel in metadata.get("omero", {}).get("channels", [])]
    return labels if labels and all(labels) else None


def _shape(level: _Level) -> TileShape:
    sizes = dict(zip(level.axes, level.array.shape, strict=True))
    channels = sizes.get("c", 1) if level.planes is None else len(level.planes)
    return TileShape(channels, sizes["y"], sizes["x"], np.dtype(level.array.dtype).newbyteorder("="))


def _pixels(image: _Image, settings: ImageSettings) -> np.ndarray:
    level = _level(image, settings)
    c = slice(None) if level.planes is None else level.planes
    index = tuple({"c": c, "_": 0}.get(axis, slice(None)) for axis in level.axes)
    try:
        pixels = np.asarray(
            level.array.oindex[index] if isinstance(c, list) and "c" in level.axes else level.array[index]
        )
    except Exception as error:  # a damaged chunk can fail in any codec, each with an error of its own
        raise TileError(
            f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())}). Write or copy it again.",
            where=image,
        ) from None
    axes = level.axes.replace("_", "")
    if "c" not in axes:
        axes, pixels = "c" + axes, pixels[None]
    ordered = pixels.transpose([axes.index(axis) for axis in "cyx"])
    return np.ascontiguousarray(ordered, dtype=pixels.dtype.newbyteorder("="))


def _digest(image: _Image, settings: ImageSettings) -> str:
    """Of what the metadata say, and of the first, the middle and the last chunk."""
    level = _level(image, settings)
    array = level.array
    grid = [-(-n // step) for n, step in zip(array.shape, array.shards or array.chunks, strict=True)]
    last = int(np.prod(grid)) - 1
    chunks = [np.unravel_index(at, grid) for at in sorted({0, last // 2, last})]
    fs, root = url_to_fs(image.root) if "://" in image.root else (LocalFileSystem(), image.root)
    keys = [array.metadata.encode_chunk_key(tuple(int(i) for i in chunk)) for chunk in chunks]
    sampled = [_digest_of_chunk(fs, f"{root.rstrip('/')}/{array.path}/{key}") for key in keys]
    said = json.dumps([level.metadata, array.shape, str(array.dtype), sampled], sort_keys=True).encode()
    return hashlib.sha256(said).hexdigest()


def _digest_of_chunk(fs: Any, path: str) -> str:
    try:
        return digest(fs.size(path), lambda at, n: bytes(fs.cat_file(path, start=at, end=at + n)))
    except FileNotFoundError:
        return "fill value"
