"""TIFF tiles of every kind that a microscope writes are read as stored, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.config import ImageSettings, validated
from contrascope.errors import ContrascopeError, SettingsError, TileError
from contrascope.screen.readers.tiff import TiffReader
from contrascope.screen.tiles import TileKey, tile_key

KEY = tile_key("P1", "A1", "0")
TILE = np.random.default_rng(0).integers(0, 60_000, (3, 20, 24), np.uint16)


def reader(pattern: Path | str, channels: Any = ("a", "b", "c"), keys: tuple[TileKey, ...] = (KEY,)) -> TiffReader:
    channels = dict(channels) if isinstance(channels, dict) else list(channels)
    values = {"pattern": str(pattern), "channels": channels, "reference_channel": next(iter(channels))}
    return TiffReader(validated(ImageSettings, values, where="images"), list(keys))


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": {"axes": "CYX"}},
        {"metadata": {"axes": "CYX"}, "ome": True},
        {"metadata": {"axes": "CYX"}, "imagej": True},
        {"metadata": None},
        {"photometric": "rgb", "planarconfig": "separate"},
        {"metadata": {"axes": "CYX"}, "compression": "zlib", "predictor": 2},
        {"metadata": {"axes": "CYX"}, "compression": "lzw", "tile": (16, 16)},
        {"metadata": {"axes": "CYX"}, "byteorder": ">"},
        {"metadata": {"axes": "CYX"}, "bigtiff": True},
    ],
    ids=str,
)
def test_one_file_with_all_channels_is_read_as_stored(options: dict[str, Any], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "P1_A1_0.tif", TILE, **{"photometric": "minisblack"} | options)
    tiff = reader(tmp_path / "{plate}_{well}_{tile}.tif")
    assert tiff.shape(KEY) == (3, 20, 24, np.dtype(np.uint16))
    read = tiff.read(KEY)
    assert np.array_equal(read, TILE)
    assert read.dtype.isnative


def test_channels_that_are_samples_of_a_pixel_are_brought_to_the_front(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", np.moveaxis(TILE, 0, -1), photometric="rgb")
    tiff = reader(tmp_path / "{well}.tif")
    assert tiff.shape(KEY)[:3] == (3, 20, 24)
    assert np.array_equal(tiff.read(KEY), TILE)


def test_the_largest_level_of_a_pyramid_is_the_tile(tmp_path: Path) -> None:
    tile = np.random.default_rng(1).integers(0, 999, (3, 64, 64), np.uint16)
    with tifffile.TiffWriter(tmp_path / "A1.ome.tif", ome=True) as writer:
        writer.write(tile, subifds=1, metadata={"axes": "CYX"}, photometric="minisblack", tile=(16, 16))
        writer.write(tile[:, ::2, ::2], subfiletype=1, photometric="minisblack", tile=(16, 16))
    assert np.array_equal(reader(tmp_path / "{well}.ome.tif").read(KEY), tile)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_type_is_kept(dtype: Any, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", TILE.astype(dtype), photometric="minisblack")
    tiff = reader(tmp_path / "{well}.tif")
    assert tiff.shape(KEY).dtype == tiff.read(KEY).dtype == dtype


def test_a_palette_is_never_applied(tmp_path: Path) -> None:
    indices = TILE[0].astype(np.uint8)
    colours = np.random.default_rng(2).integers(0, 65_535, (3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "A1.tif", indices, photometric="palette", colormap=colours)
    tiff = reader(tmp_path / "{well}.tif", ["a"])
    assert tiff.shape(KEY)[:3] == (1, 20, 24)
    assert np.array_equal(tiff.read(KEY), indices[None])


@pytest.mark.parametrize("channels", [["w2", "w1"], {"DNA": "w2", "GFP": "w1"}], ids=["names", "mapping"])
def test_one_file_a_channel_comes_in_the_order_of_the_settings(channels: Any, tmp_path: Path) -> None:
    for c in (0, 1, 2):
        tifffile.imwrite(tmp_path / f"A1_w{c}.tif", TILE[c])
    tiff = reader(tmp_path / "{well}_{channel}.tif", channels)
    assert tiff.shape(KEY)[:3] == (2, 20, 24)
    assert np.array_equal(tiff.read(KEY), TILE[[2, 1]])
    assert [name for _, name, _ in tiff.inventory()] == ["A1_w1.tif", "A1_w2.tif"]


def test_a_missing_channel_is_a_missing_tile(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1_w1.tif", TILE[0])
    with pytest.raises(TileError, match=r"plate P1 well A01 tile 0.*One file for each of the channels w1, w2"):
        reader(tmp_path / "{well}_{channel}.tif", ["w1", "w2"])


def test_files_of_one_tile_must_fit_together(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1_w1.tif", TILE[0])
    for second in (TILE[0, :, 1:], TILE[0].astype(np.uint8), TILE[:2]):
        tifffile.imwrite(tmp_path / "A1_w2.tif", second, photometric="minisblack")
        with pytest.raises(TileError, match=r"do not fit together.*A1_w2\.tif"):
            reader(tmp_path / "{well}_{channel}.tif", ["w1", "w2"]).shape(KEY)


def test_two_files_for_one_tile_are_refused(tmp_path: Path) -> None:
    for name in ("A1.tif", "A01.tif"):
        tifffile.imwrite(tmp_path / name, TILE[0])
    with pytest.raises(TileError, match=r"Two files stand for .*A01\.tif.*A1\.tif"):
        reader(tmp_path / "{well}.tif", ["a"])


def test_an_image_with_a_time_or_a_depth_besides_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", np.stack([TILE, TILE]), photometric="minisblack", metadata={"axes": "ZCYX"})
    with pytest.raises(TileError, match="axes ZCYX"):
        reader(tmp_path / "{well}.tif").shape(KEY)


@pytest.mark.parametrize(("axis", "word"), [("Z", "depth"), ("T", "time")])
@pytest.mark.parametrize("kind", [{"ome": True}, {"imagej": True}, {}])
def test_a_stack_in_depth_or_time_is_not_taken_for_channels(
    kind: dict[str, Any], axis: str, word: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": {"axes": f"{axis}YX"}} | kind
    tifffile.imwrite(tmp_path / "A1.tif", TILE, **options)
    with pytest.raises(TileError, match=f"3 planes of {word}, where channels were needed"):
        reader(tmp_path / "{well}.tif").shape(KEY)
    tifffile.imwrite(tmp_path / "A1.tif", TILE[:1], **options)
    assert reader(tmp_path / "{well}.tif", ["a"]).shape(KEY).channels == 1


def test_the_axis_of_channels_may_be_the_last(tmp_path: Path) -> None:
    last = np.moveaxis(TILE, 0, -1)
    tifffile.imwrite(tmp_path / "A1.tif", last, photometric="minisblack", metadata={"axes": "YXC"})
    tiff = reader(tmp_path / "{well}.tif")
    assert tiff.shape(KEY)[:3] == (3, 20, 24)
    assert np.array_equal(tiff.read(KEY), TILE)


def named(path: Path, names: list[str]) -> None:
    channels = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(path, TILE, ome=True, photometric="minisblack", metadata=channels)


def test_a_file_that_names_its_channels_in_another_order_is_refused(tmp_path: Path) -> None:
    named(tmp_path / "A1.tif", ["b", "a", "c"])
    with pytest.raises(SettingsError, match=r"channels b, a, c .* another order: a, b, c\. .* to \[b, a, c\]"):
        reader(tmp_path / "{well}.tif").shape(KEY)
    assert reader(tmp_path / "{well}.tif", ["b", "a", "c"]).shape(KEY).channels == 3


@pytest.mark.parametrize(
    "names", [["Hoechst", "b", "c"], ["c", "b", "b"], ["Channel:0:0", "Channel:0:1", "Channel:0:2"]]
)
def test_a_file_that_calls_its_channels_otherwise_says_nothing(names: list[str], tmp_path: Path) -> None:
    named(tmp_path / "A1.tif", names)
    assert reader(tmp_path / "{well}.tif").shape(KEY).channels == 3


def test_a_file_that_is_put_right_is_seen_at_once(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "A1.tif", TILE[0])
    assert reader(tmp_path / "{well}.tif").shape(KEY).channels == 1
    tifffile.imwrite(tmp_path / "A1.tif", TILE, photometric="minisblack")
    assert reader(tmp_path / "{well}.tif").shape(KEY).channels == 3


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "A1.tif").mkdir()
    with pytest.raises(TileError, match=r"A1\.tif"):
        reader(tmp_path / "{well}.tif").shape(KEY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("damaged") / "A1.tif"
    tifffile.imwrite(path, TILE, photometric="minisblack", ome=True, compression="zlib", metadata={"axes": "CYX"})
    return path, path.read_bytes()


def outcome(path: Path) -> np.ndarray | None:
    try:
        tiff = reader(path.with_name("{well}.tif"))
        tiff.shape(KEY)
        return tiff.read(KEY)
    except ContrascopeError as error:
        assert "A1.tif" in str(error) or "well A01" in str(error)
        return None


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999))
def test_of_a_file_that_was_cut_short_whole_channels_are_read_or_none(share: float, whole: tuple[Path, bytes]) -> None:
    path, content = whole
    path.write_bytes(content[: int(share * len(content))])
    pixels = outcome(path)
    # With fewer channels than the screen file names, a tile is refused when the screen is opened.
    assert pixels is None or np.array_equal(pixels, TILE[: len(pixels)])


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 0.999), value=st.integers(0, 255))
def test_a_damaged_byte_ends_in_pixels_or_in_a_refusal(place: float, value: int, whole: tuple[Path, bytes]) -> None:
    path, content = whole
    at = int(place * len(content))
    path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
    outcome(path)
