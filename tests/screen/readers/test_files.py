"""Names of files become tiles and channels, each once, or are refused before a pixel is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.config import ImageSettings, validated
from contrascope.errors import TileError
from contrascope.screen.readers.files import (
    channel_planes,
    digest_of_file,
    index_names,
    items_of_tiles,
    joint_shape,
    names_on_disk,
)
from contrascope.screen.tiles import TileShape, pattern_fields, tile_key

WELLS = ["A01", "B12", "P24"]
SHAPE = TileShape(1, 20, 24, np.dtype(np.uint16))


def images(pattern: str, channels: Any) -> ImageSettings:
    values = {"pattern": pattern, "channels": channels, "reference_channel": next(iter(channels))}
    return validated(ImageSettings, values, where="images")


@given(
    tiles=st.sets(st.tuples(st.sampled_from(WELLS), st.integers(0, 200)), min_size=1, max_size=6),
    strangers=st.lists(st.sampled_from(["readme.txt", "A01_.tif", "A01_1_DNA.tiff", "A01_1_DNA_x.txt"])),
    seed=st.randoms(),
)
def test_every_tile_gets_its_own_files_in_the_order_of_the_channels(
    tiles: set[tuple[str, int]], strangers: list[str], seed: Any
) -> None:
    asked = images("{well}_{tile}_{channel}.tif", {"DNA": "w1", "GFP": "w2"})
    names = [f"{well}_{tile}_{channel}.tif" for well, tile in tiles for channel in ("w1", "w2", "w3")]
    seed.shuffle(names)
    found = index_names(asked.pattern, [*names, *strangers])
    keys = [tile_key("P1", well, str(tile)) for well, tile in sorted(tiles)]
    items = items_of_tiles(asked, keys, found, pattern_fields(asked.pattern))
    assert items == {
        key: [f"{well}_{tile}_w1.tif", f"{well}_{tile}_w2.tif"]
        for key, (well, tile) in zip(keys, sorted(tiles), strict=True)
    }


def test_spellings_of_one_well_are_one_tile_so_that_two_files_are_one_too_many() -> None:
    assert len(index_names("{well}.tif", ["A1.tif", "A2.tif"])) == 2
    with pytest.raises(TileError, match=r"Two files stand for .*A1\.tif and A01\.tif"):
        index_names("{well}.tif", ["A1.tif", "A01.tif"])
    rows = index_names("{row}-{column}.tif", ["B-03.tif", "C-4.tif"])
    assert {place.well for place, _ in rows} == {"B03", "C04"}


def test_a_pattern_that_finds_nothing_and_a_tile_without_its_file_are_named() -> None:
    with pytest.raises(TileError, match="finds no file"):
        index_names("{well}.tif", ["A1.png"])
    asked = images("{well}_{channel}.tif", ["DNA", "GFP"])
    found = index_names(asked.pattern, ["A1_DNA.tif", "A1_GFP.tif", "A2_DNA.tif"])
    keys = [tile_key("", well, "") for well in ("A1", "A2", "A3")]
    with pytest.raises(TileError, match=r"2 of the 3 tiles .*A02.*A03.*channels DNA, GFP"):
        items_of_tiles(asked, keys, found, {"well", "channel"})


def test_only_a_star_is_special_in_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "plate [1]?"
    folder.mkdir()
    for name in ("b_A1.tif", "a_A1.tif", "a_A1.png"):
        (folder / name).touch()
    found = names_on_disk(f"{folder}/*_{{well}}.tif")
    assert found == [str(folder / "a_A1.tif"), str(folder / "b_A1.tif")]


@given(order=st.permutations(["DNA", "GFP", "Actin", "Tubulin"]), wanted=st.integers(1, 4))
def test_planes_that_have_names_are_taken_by_them(order: list[str], wanted: int) -> None:
    asked = images("{well}.tif", ["DNA", "GFP", "Actin", "Tubulin"][:wanted])
    planes = channel_planes(asked, order, "A1.tif")
    assert planes is not None
    assert [order[plane] for plane in planes] == asked.channel_names
    assert channel_planes(asked, None, "A1.tif") is None, "planes without names are taken as they come"


@pytest.mark.parametrize(("labels", "words"), [(["DNA", "RFP"], "not among"), (["DNA", "GFP", "GFP"], "not once")])
def test_a_name_that_no_plane_or_several_have_is_refused(labels: list[str], words: str) -> None:
    with pytest.raises(TileError, match=f"^A1.tif calls its channels .*'GFP' is {words}") as raised:
        channel_planes(images("{well}.tif", ["DNA", "GFP"]), labels, "A1.tif")
    assert raised.value.where == "A1.tif"


def test_files_of_one_tile_make_one_shape_or_none() -> None:
    key, names = tile_key("P", "A1", "0"), ["a", "b"]
    assert joint_shape(key, names, [SHAPE, SHAPE], per_channel=True) == SHAPE._replace(channels=2)
    four = SHAPE._replace(channels=4)
    assert joint_shape(key, names[:1], [four], per_channel=False) == four
    for other in (SHAPE._replace(width=25), SHAPE._replace(dtype=np.dtype(np.uint8)), SHAPE._replace(channels=3)):
        with pytest.raises(TileError, match="do not fit together: a is 1 x 20 x 24 uint16; b is"):
            joint_shape(key, names, [SHAPE, other], per_channel=True)


@settings(max_examples=40)
@given(size=st.integers(1, 20_000), data=st.data())
def test_a_byte_at_the_head_middle_or_end_or_one_more_makes_another_digest(
    tmp_path_factory: pytest.TempPathFactory, size: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("digest") / "tile.tif"
    content = bytearray(np.random.default_rng(size).bytes(size))
    path.write_bytes(content)
    before = digest_of_file(path)
    assert digest_of_file(path) == before
    at = data.draw(st.sampled_from([0, size // 2, size - 1]))
    content[at] ^= 1
    path.write_bytes(content)
    assert digest_of_file(path) != before
    content[at] ^= 1
    path.write_bytes(content + b"\0")
    assert digest_of_file(path) != before
