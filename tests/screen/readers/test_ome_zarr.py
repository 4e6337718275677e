"""OME-Zarr of both versions is read as stored, on disk and behind a URL, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr

from contrascope.config import ImageSettings, validated
from contrascope.errors import SettingsError, TileError
from contrascope.screen.readers.ome_zarr import OmeZarrReader
from contrascope.screen.tiles import TileKey, tile_key

KEY = tile_key("P1", "B3", "1")
TILE = np.random.default_rng(0).integers(0, 60_000, (3, 20, 24), np.uint16)
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def reader(pattern: Path | str, channels: Any = ("a", "b", "c"), keys: tuple[TileKey, ...] = (KEY,)) -> OmeZarrReader:
    channels = dict(channels) if isinstance(channels, dict) else list(channels)
    values = {"pattern": str(pattern), "channels": channels, "reference_channel": next(iter(channels))}
    return OmeZarrReader(validated(ImageSettings, values, where="images"), list(keys))


def group(path: str, version: str, metadata: dict[str, Any]) -> Any:
    made = zarr.open_group(path, mode="a", zarr_format=3 if version == "0.5" else 2)
    made.attrs.update({"ome": {"version": "0.5"} | metadata} if version == "0.5" else metadata)
    return made


def write_image(
    path: str, tile: np.ndarray, version: str, *, axes: str = "cyx", labels: list[str] | None = None, **options: Any
) -> None:
    """An image of two resolutions, the smaller one of zeros."""
    scales = {"axes": [{"name": a} for a in axes], "datasets": [{"path": "0"}, {"path": "1"}]}
    metadata: dict[str, Any] = {"multiscales": [scales]}
    if labels:
        metadata["omero"] = {"channels": [{"label": label} for label in labels]}
    image = group(path, version, metadata)
    keys = {"name": "v2", "separator": "/"} if version == "0.4" else None
    for name, pixels in {"0": tile, "1": np.zeros_like(tile[..., ::2, ::2])}.items():
        chunks = (1,) * (tile.ndim - 2) + (16, 16)
        image.create_array(name, data=pixels, chunks=chunks, chunk_key_encoding=keys, **options)


def write_plate(path: str, wells: dict[str, dict[str, np.ndarray]], version: str) -> None:
    """A plate: ``B/3`` -> field -> tile."""
    group(path, version, {"plate": {"wells": [{"path": well} for well in wells]}})
    for well, fields in wells.items():
        group(f"{path}/{well}", version, {"well": {"images": [{"path": field} for field in fields]}})
        for field, tile in fields.items():
            write_image(f"{path}/{well}/{field}", tile, version)


@VERSIONS
def test_a_field_of_a_well_of_a_plate_is_a_tile(version: str, tmp_path: Path) -> None:
    write_plate(str(tmp_path / "P1.zarr"), {"A/1": {"0": TILE + 1}, "B/3": {"0": TILE + 2, "01": TILE}}, version)
    plates = reader(tmp_path / "{plate}.zarr")
    assert plates.shape(KEY) == (3, 20, 24, np.dtype(np.uint16))
    assert np.array_equal(plates.read(KEY), TILE)
    assert [name for _, name, _ in plates.inventory()] == ["P1.zarr/B/3/01"]


def test_a_plate_named_outright_serves_a_table_of_one_plate(tmp_path: Path) -> None:
    write_plate(str(tmp_path / "screen.zarr"), {"B/3": {"1": TILE}}, "0.5")
    assert np.array_equal(reader(tmp_path / "screen.zarr").read(KEY), TILE)
    with pytest.raises(TileError, match=r"no {plate}"):
        reader(tmp_path / "screen.zarr", keys=(KEY, KEY._replace(plate="P2")))


def test_wells_that_nobody_asks_for_are_not_looked_at(tmp_path: Path) -> None:
    write_plate(str(tmp_path / "P1.zarr"), {"B/3": {"1": TILE}}, "0.4")
    group(str(tmp_path / "P1.zarr"), "0.4", {"plate": {"wells": [{"path": "B/3"}, {"path": "H/12"}]}})
    assert reader(tmp_path / "{plate}.zarr").shape(KEY).channels == 3


@VERSIONS
@pytest.mark.parametrize(
    "pattern", ["images.zarr/{plate}-{well}", "{plate}/{well}/{tile}", "{plate}/{row}/{column}/{tile}"]
)
def test_an_image_may_stand_for_itself(pattern: str, version: str, tmp_path: Path) -> None:
    name = pattern.format(plate="P1", well="B03", row="B", column="3", tile="1")
    write_image(str(tmp_path / name), TILE, version)
    assert np.array_equal(reader(tmp_path / pattern).read(KEY), TILE)


def test_one_image_a_channel_comes_in_the_order_of_the_settings(tmp_path: Path) -> None:
    for c in range(3):
        write_image(str(tmp_path / f"B3_w{c}.zarr"), TILE[c], "0.5", axes="yx")
    images = reader(tmp_path / "{well}_{channel}.zarr", {"DNA": "w2", "GFP": "w0"})
    assert images.shape(KEY).channels == 2
    assert np.array_equal(images.read(KEY), TILE[[2, 0]])


@VERSIONS
@pytest.mark.parametrize("axes", ["tczyx", "czyx", "zcyx", "cxy", "yxc", "tcyx"])
def test_axes_come_in_any_order_and_those_of_one_are_no_matter(axes: str, version: str, tmp_path: Path) -> None:
    letters = [axis for axis in axes if axis in "cyx"]
    tile = TILE.transpose(["cyx".index(axis) for axis in letters])
    tile = np.expand_dims(tile, [i for i, axis in enumerate(axes) if axis in "tz"])
    write_image(str(tmp_path / "B3.zarr"), tile, version, axes=axes, labels=["a", "b", "c"])
    for channels, planes in ((("a", "b", "c"), [0, 1, 2]), (("c", "a"), [2, 0])):
        images = reader(tmp_path / "{well}.zarr", channels)
        assert images.shape(KEY)[:3] == (len(planes), 20, 24)
        assert np.array_equal(images.read(KEY), TILE[planes])


@pytest.mark.parametrize("axes", ["zcyx", "tcyx"])
def test_a_time_or_a_depth_of_several_is_refused(axes: str, tmp_path: Path) -> None:
    write_image(str(tmp_path / "B3.zarr"), np.stack([TILE, TILE]), "0.4", axes=axes)
    with pytest.raises(TileError, match=f"{axes[0]}: 2, c: 3.*One time and one depth"):
        reader(tmp_path / "{well}.zarr").shape(KEY)


def test_channels_are_taken_by_the_names_that_the_image_gives_them(tmp_path: Path) -> None:
    write_image(str(tmp_path / "B3.zarr"), TILE, "0.4", labels=["DAPI", "GFP", "Cy5"])
    pattern = tmp_path / "{well}.zarr"
    assert np.array_equal(reader(pattern, ["Cy5", "DAPI"]).read(KEY), TILE[[2, 0]])
    assert np.array_equal(reader(pattern, {"DNA": "DAPI"}).read(KEY), TILE[:1])
    with pytest.raises(TileError, match="calls its channels DAPI, GFP, Cy5, and 'RFP' is not"):
        reader(pattern, ["DAPI", "RFP"]).shape(KEY)


def test_a_channel_name_that_stands_twice_or_counts_wrong_is_refused(tmp_path: Path) -> None:
    for labels, words in ((["a", "b", "b"], "'b' is not once"), (["a", "b"], "names 2 channels")):
        write_image(str(tmp_path / f"{len(labels)}" / "B3.zarr"), TILE, "0.5", labels=labels)
        with pytest.raises(TileError, match=words):
            reader(tmp_path / f"{len(labels)}" / "{well}.zarr", ["a", "b"]).shape(KEY)


def test_big_endian_pixels_and_shards_are_read_as_numbers(tmp_path: Path) -> None:
    write_image(str(tmp_path / "one" / "B3.zarr"), TILE.astype(">u2"), "0.4")
    write_image(str(tmp_path / "two" / "B3.zarr"), TILE, "0.5", shards=(3, 32, 32))
    for name in ("one", "two"):
        images = reader(tmp_path / name / "{well}.zarr")
        assert images.shape(KEY).dtype == images.read(KEY).dtype == np.dtype(np.uint16)
        assert images.read(KEY).dtype.isnative
        assert np.array_equal(images.read(KEY), TILE)
        assert images.inventory()


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://bucket/screen 1"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


@VERSIONS
@pytest.mark.parametrize("pattern", ["{plate}.zarr", "P1.zarr", "{plate}.zarr/{row}/{column}/{tile}"])
def test_a_url_and_a_folder_say_the_same(pattern: str, version: str, tmp_path: Path, memory: str) -> None:
    write_plate(str(tmp_path / "P1.zarr"), {"B/3": {"0": TILE + 1, "1": TILE}}, version)
    server = fsspec.filesystem("memory")
    for file in sorted(tmp_path.rglob("*")):
        if file.is_file():
            server.pipe(f"{memory}/{file.relative_to(tmp_path).as_posix()}", file.read_bytes())
    here, there = reader(tmp_path / pattern), reader(f"{memory}/{pattern}")
    assert np.array_equal(there.read(KEY), TILE)
    assert there.shape(KEY) == here.shape(KEY)
    assert there.inventory() == here.inventory()


@VERSIONS
@pytest.mark.parametrize("pattern", ["{plate}.zarr", "{plate}.zarr/{row}/{column}/{tile}"])
def test_a_bucket_and_a_folder_say_the_same(
    pattern: str, version: str, tmp_path: Path, s3: Callable[[str | Path, str], str]
) -> None:
    write_plate(str(tmp_path / "P1.zarr"), {"B/3": {"0": TILE + 1, "1": TILE}}, version)
    url = s3(tmp_path / "P1.zarr", f"tiles-{version}/screen 1/P1.zarr")
    here, there = reader(tmp_path / pattern), reader(f"{url.rpartition('/')[0]}/{pattern}")
    assert np.array_equal(there.read(KEY), TILE)
    assert there.shape(KEY) == here.shape(KEY)
    assert there.inventory() == here.inventory()


@pytest.mark.parametrize("scheme", ["nowhere", "gopher"])
def test_a_url_of_an_unknown_kind_is_refused(scheme: str) -> None:
    with pytest.raises((TileError, SettingsError), match=scheme):
        reader(f"{scheme}://bucket/{{plate}}.zarr")


def test_a_server_where_nothing_fits_is_refused(memory: str) -> None:
    fsspec.filesystem("memory").pipe(f"{memory}/other.txt", b"")
    with pytest.raises(TileError, match="finds no file"):
        reader(f"{memory}/{{plate}}.zarr")


@pytest.mark.parametrize(
    ("version", "metadata"),
    [
        ("0.4", {}),
        ("0.5", {"multiscales": []}),
        ("0.4", {"multiscales": [{"datasets": [{"path": "0"}]}]}),
        ("0.4", {"multiscales": [{"axes": [{"name": "y"}], "datasets": [{"path": "0"}]}]}),
        ("0.4", {"multiscales": [{"axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}]}),
        ("0.5", {"multiscales": [{"axes": [{"name": a} for a in "cyx"], "datasets": [{"path": "7"}]}]}),
        ("0.5", {"plate": {"wells": [{"row": 1}]}}),
        ("0.5", {"plate": 3}),
    ],
    ids=str,
)
def test_metadata_that_are_not_as_the_standard_says_are_refused(
    version: str, metadata: dict[str, Any], tmp_path: Path
) -> None:
    group(str(tmp_path / "P1.zarr"), version, metadata).create_array("0", data=TILE)
    with pytest.raises(TileError, match="no OME-Zarr that we can read"):
        reader(tmp_path / "{plate}.zarr").shape(KEY)


def test_a_folder_that_is_no_zarr_and_a_damaged_chunk_are_refused(tmp_path: Path) -> None:
    (tmp_path / "B3.zarr").mkdir()
    with pytest.raises(TileError, match=r"B3\.zarr.*cannot be opened"):
        reader(tmp_path / "{well}.zarr", keys=(KEY,)).shape(KEY)
    write_image(str(tmp_path / "B4.zarr"), TILE, "0.5")
    (tmp_path / "B4.zarr/0/c/1/0/0").write_bytes(b"no chunk")
    with pytest.raises(TileError, match=r"B4\.zarr cannot be read"):
        reader(tmp_path / "{well}.zarr", keys=(KEY._replace(well="B04"),)).read(KEY._replace(well="B04"))


def test_two_fields_for_one_tile_are_refused(tmp_path: Path) -> None:
    write_plate(str(tmp_path / "P1.zarr"), {"B/3": {"1": TILE, "01": TILE}}, "0.5")
    with pytest.raises(TileError, match="Two files stand for plate P1 well B03 tile 1"):
        reader(tmp_path / "{plate}.zarr")
