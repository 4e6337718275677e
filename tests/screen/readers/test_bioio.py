"""Through bioio a tile is a file, or a scene of a file; a stand-in shows what we ask of bioio where it is not."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

from contrascope.config import ImageSettings, validated
from contrascope.errors import SettingsError, TileError
from contrascope.screen.readers.bioio import BioioReader
from contrascope.screen.tiles import TileKey, tile_key

KEY, OTHER = tile_key("P1", "A1", "0"), tile_key("P1", "A1", "1")
TILE = np.random.default_rng(0).integers(0, 60_000, (3, 20, 24), np.uint16)
MADE_UP = ["Channel:0:0", "Channel:0:1", "Channel:0:2"]


class StandIn:
    """As much of ``bioio.BioImage`` as we use, over an .npz with an array (C, Y, X) or (Z, C, Y, X) a scene."""

    names = MADE_UP

    def __init__(self, file: Path):
        with np.load(file) as stored:
            self._stored = {name: stored[name] for name in stored.files}
        self.scenes = tuple(self._stored)
        self.dims, self.channel_names = SimpleNamespace(order="TCZYX"), self.names
        self.set_scene(self.scenes[0])

    def set_scene(self, name: str) -> None:
        tile = self._stored[name]
        self._pixels = tile[None, :, None] if tile.ndim == 3 else tile.swapaxes(0, 1)[None]
        self.shape, self.dtype = self._pixels.shape, tile.dtype

    def get_image_data(self, axes: str) -> np.ndarray:
        assert axes == "CYX"
        return self._pixels[0, :, 0]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    module = ModuleType("bioio")
    module.BioImage = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bioio", module)
    monkeypatch.setattr(StandIn, "names", MADE_UP)
    return StandIn


def reader(pattern: Path, channels: Any = ("a", "b", "c"), keys: tuple[TileKey, ...] = (KEY,)) -> BioioReader:
    channels = dict(channels) if isinstance(channels, dict) else list(channels)
    values = {"pattern": str(pattern), "channels": channels, "reference_channel": next(iter(channels))}
    return BioioReader(validated(ImageSettings, values, where="images"), list(keys))


def test_without_bioio_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bioio", None)
    with pytest.raises(SettingsError, match=r"pip install contrascope\[bio\]"):
        reader(tmp_path / "{well}.nd2")


@pytest.mark.usefixtures("stand_in")
def test_a_file_a_tile_is_found_by_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "P1_A01_0.npz", TILE)
    images = reader(tmp_path / "{plate}_{well}_{tile}.npz")
    assert images.shape(KEY) == (3, 20, 24, np.dtype(np.uint16))
    assert np.array_equal(images.read(KEY), TILE)
    assert [name for _, name, _ in images.inventory()] == ["P1_A01_0.npz"]


@pytest.mark.usefixtures("stand_in")
def test_a_scene_a_tile_is_found_by_the_name_of_the_scene(tmp_path: Path) -> None:
    np.savez(tmp_path / "P1.npz", **{"XYPos:0": TILE, "XYPos:1": TILE[:, ::-1, 1:], "overview": TILE})
    images = reader(tmp_path / "{plate}.npz::XYPos:{tile}", keys=(KEY, OTHER))
    for _ in range(2):
        assert np.array_equal(images.read(OTHER), TILE[:, ::-1, 1:])
        assert images.shape(KEY)[:3] == TILE.shape
        assert np.array_equal(images.read(KEY), TILE)
    assert [name for _, name, _ in images.inventory()] == ["P1.npz::XYPos:0", "P1.npz::XYPos:1"]
    with pytest.raises(TileError, match="lack their image: plate P1 well A01 tile 7"):
        reader(tmp_path / "{plate}.npz::XYPos:{tile}", keys=(KEY._replace(tile="7"),))


@pytest.mark.usefixtures("stand_in")
def test_scenes_that_the_pattern_does_not_tell_apart_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "A1.npz", one=TILE, two=TILE)
    with pytest.raises(TileError, match=r"2 scenes: one, two.*after ::"):
        reader(tmp_path / "{well}.npz").shape(KEY)


@pytest.mark.usefixtures("stand_in")
def test_a_depth_of_several_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "A1.npz", np.stack([TILE, TILE]))
    with pytest.raises(TileError, match="Z: 2"):
        reader(tmp_path / "{well}.npz").shape(KEY)


def test_channels_are_taken_by_the_names_that_the_microscope_gave(tmp_path: Path, stand_in: type[StandIn]) -> None:
    stand_in.names = ["DAPI", "GFP", "Cy5"]
    np.savez(tmp_path / "A1.npz", TILE)
    images = reader(tmp_path / "{well}.npz", {"red": "Cy5", "DNA": "DAPI"})
    assert images.shape(KEY).channels == 2
    assert np.array_equal(images.read(KEY), TILE[[2, 0]])
    with pytest.raises(TileError, match="'RFP' is not"):
        reader(tmp_path / "{well}.npz", ["RFP"]).shape(KEY)


@pytest.mark.usefixtures("stand_in")
def test_a_file_that_is_put_right_is_seen_at_once(tmp_path: Path) -> None:
    (tmp_path / "A1.npz").write_bytes(b"no image")
    images = reader(tmp_path / "{well}.npz")
    with pytest.raises(TileError, match=r"A1\.npz cannot be read by bioio"):
        images.shape(KEY)
    np.savez(tmp_path / "A1.npz", TILE)
    assert images.shape(KEY).channels == 3


@pytest.mark.filterwarnings("ignore")
def test_a_czi_that_is_cut_short_is_named(tmp_path: Path) -> None:
    pytest.importorskip("bioio_czi", reason="bioio and bioio-czi are not installed")
    library = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw, which writes CZI, is not installed")
    with library.create_czi(str(tmp_path / "P1_A1_0.czi")) as file:
        for channel, plane in enumerate(TILE):
            file.write(data=plane[..., None], plane={"C": channel})
        file.write_metadata("tile")
    images = reader(tmp_path / "{plate}_{well}_{tile}.czi")
    assert np.array_equal(images.read(KEY), TILE)
    whole = (tmp_path / "P1_A1_0.czi").read_bytes()
    for share in (0.2, 0.5, 0.9):
        (tmp_path / "P1_A1_0.czi").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(TileError, match=r"P1_A1_0\.czi"):
            reader(tmp_path / "{plate}_{well}_{tile}.czi").read(KEY)


@pytest.mark.skipif(find_spec("bioio_ome_tiff") is None, reason="bioio and bioio-ome-tiff are not installed")
@pytest.mark.filterwarnings("ignore")  # whatever bioio's own parts say
def test_bioio_itself_gives_what_we_ask_of_it(tmp_path: Path) -> None:
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "Cy5"]}}
    with tifffile.TiffWriter(tmp_path / "P1.ome.tif", ome=True) as writer:
        for name, tile in {"XYPos:0": TILE, "XYPos:1": TILE + 1}.items():
            writer.write(tile, photometric="minisblack", metadata=metadata | {"Name": name})
    scenes = reader(tmp_path / "{plate}.ome.tif::*:{tile}", ["Cy5", "DAPI"], keys=(KEY, OTHER))
    assert np.array_equal(scenes.read(OTHER), TILE[[2, 0]] + 1)
    assert np.array_equal(scenes.read(KEY), TILE[[2, 0]])
    assert scenes.shape(KEY) == (2, 20, 24, np.dtype(np.uint16))
