"""What readers of files share: which file is which tile, which plane which channel, what tells files apart.

A reader lists names; here they are matched to the tiles that the cell table asks for, and what is missing
or stands twice is refused before a pixel is read.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from contrascope.config import ImageSettings
from contrascope.errors import TileError, first_few
from contrascope.screen.tiles import (
    TileKey,
    TileShape,
    pattern_fields,
    pattern_glob,
    pattern_regex,
    shared_key,
    tile_key,
)

T = TypeVar("T")
Place = tuple[TileKey, str]
"""A tile, with blanks where the pattern has no field, and how its channel is spelled there."""

ALL_CHANNELS = ""
_SAMPLE = 4096
"""Bytes at each of three places in a file that tell it from another."""


def names_on_disk(pattern: str) -> list[str]:
    """Names that may fit a pattern, sorted."""
    return sorted(glob.glob(pattern_glob(pattern)))  # noqa: PTH207 - an absolute pattern


def index_names(pattern: str, names: Iterable[str]) -> dict[Place, str]:
    """Every name that fits the pattern, by what it stands for.

    Raises:
        TileError: Two names stand for one place, or no name fits.
    """
    regex, fields = pattern_regex(pattern), pattern_fields(pattern)
    found: dict[Place, str] = {}
    for name in names:
        if (match := regex.fullmatch(name)) is None:
            continue
        part = match.groupdict()
        well = part["row"] + part["column"] if "row" in part else part.get("well", "")
        key = shared_key(tile_key(part.get("plate", ""), well, part.get("tile", "")), fields)
        put_once(found, (key, part.get("channel", ALL_CHANNELS)), name, pattern)
    if not found:
        raise TileError(f"The image pattern {pattern} finds no file. Check the folder and the fields in braces.")
    return found


def put_once(found: dict[Place, T], place: Place, item: T, pattern: str) -> None:
    """Notes what stands for a place.

    Raises:
        TileError: Something else does already.
    """
    if place in found:
        raise TileError(
            f"Two files stand for {place[0]}: {found[place]} and {item}. Make the image pattern "
            f"{pattern} narrower, so that it finds one."
        )
    found[place] = item


def one_file_a_channel(settings: ImageSettings) -> bool:
    """Whether the pattern says so."""
    return "channel" in pattern_fields(settings.pattern)


def items_of_tiles(
    settings: ImageSettings, keys: Sequence[TileKey], found: Mapping[Place, T], fields: set[str]
) -> dict[TileKey, list[T]]:
    """What was found for each tile: one item, or one a channel in the settings' order.

    Args:
        settings: Pattern and channels.
        keys: Tiles that the cell table asks for.
        found: All there is.
        fields: What tells tiles apart: the pattern's fields, and those that a format brings itself.

    Raises:
        TileError: A tile lacks its image.
    """
    spellings = _spellings(settings) if one_file_a_channel(settings) else [ALL_CHANNELS]
    tiles = {
        key: [found[place] for spelling in spellings if (place := (shared_key(key, fields), spelling)) in found]
        for key in keys
    }
    if lacking := [key for key, items in tiles.items() if len(items) < len(spellings)]:
        each = f"One file for each of the channels {', '.join(spellings)}"
        raise TileError(
            f"{len(lacking):,} of the {len(tiles):,} tiles in the cell table lack their image: "
            f"{first_few(lacking, 3)}. {each if one_file_a_channel(settings) else 'A file'} was needed for each tile "
            f"by the pattern {settings.pattern}. Restore the files, correct the pattern, or take the cells out of the "
            f"table."
        )
    return tiles


def channel_planes(settings: ImageSettings, labels: Sequence[str] | None, where: str) -> list[int] | None:
    """Planes of an image that names its channels, in the settings' order; None where planes are taken as they come.

    Args:
        settings: ``channels`` names the labels, or maps names onto them.
        labels: What the image calls its planes, if it does.
        where: The image, for messages.

    Raises:
        TileError: The image has no channel of a name, or several.
    """
    if labels is None or one_file_a_channel(settings):
        return None
    wanted = _spellings(settings)
    if strangers := [name for name in wanted if labels.count(name) != 1]:
        several = " once" if strangers[0] in labels else ""
        raise TileError(
            f"calls its channels {', '.join(labels)}, and '{strangers[0]}' is not{several} among them. "
            f"Name them so under images.channels, or say which is which: {{{strangers[0]}: {labels[0]}, ...}}.",
            where=where,
        )
    return [labels.index(name) for name in wanted]


def joint_shape(key: TileKey, names: Sequence[str], shapes: Sequence[TileShape], *, per_channel: bool) -> TileShape:
    """Shape of a tile from that of its one image, or of those of its channels.

    Raises:
        TileError: Files of one tile differ in size or type, or one of them holds several channels.
    """
    if per_channel and (
        len({(s.height, s.width, s.dtype) for s in shapes}) > 1 or any(s.channels != 1 for s in shapes)
    ):
        raise TileError(
            f"The files of {key} do not fit together: "
            + "; ".join(
                f"{name} is {s.channels} x {s.height} x {s.width} {s.dtype}"
                for name, s in zip(names, shapes, strict=True)
            )
            + ". Files of one channel each and of one size were needed."
        )
    return shapes[0]._replace(channels=sum(s.channels for s in shapes))


def digest(size: int, read: Callable[[int, int], bytes]) -> str:
    """Of a file's size, head, middle and end: images of one name and size are not thereby the same.

    Args:
        size: In bytes.
        read: From an offset, so many bytes.
    """
    parts = [read(max(0, at), _SAMPLE) for at in (0, size // 2, size - _SAMPLE)]
    return hashlib.sha256(b"".join([str(size).encode(), *parts])).hexdigest()


def digest_of_file(file: Path) -> str:
    """``digest`` of a file on disk."""
    with file.open("rb", buffering=0) as stream:

        def read(at: int, size: int) -> bytes:
            stream.seek(at)
            return stream.read(size)

        return digest(file.stat().st_size, read)


def _spellings(settings: ImageSettings) -> list[str]:
    channels = settings.channels
    return list(channels.values()) if isinstance(channels, dict) else list(channels)
