"""What every registered reader keeps: shape before pixels, channels in order, an inventory that tells inputs apart.

A reader of another format needs a line in ``WRITERS``: how a tile of its format is written, and the pattern
that finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pytest
import tifffile
import zarr

from contrascope.config import ImageSettings, validated
from contrascope.errors import TileError
from contrascope.registry import READERS
from contrascope.screen.tiles import TileReader, tile_key

# Said by ome-types beneath bioio, to itself.
pytestmark = pytest.mark.filterwarnings("ignore:As of version 0.4.0, the parser argument")

KEYS = [tile_key("P1", "A1", "0"), tile_key("P1", "B2", "11"), tile_key("P2", "A1", "0")]
RNG = np.random.default_rng(0)
TILES = {key: RNG.integers(0, 255, (2, 16 + i, 20), np.uint8) for i, key in enumerate(KEYS)}


def _write_tiff(folder: Path, tiles: dict[Any, np.ndarray]) -> str:
    for (plate, well, tile), pixels in tiles.items():
        tifffile.imwrite(folder / f"{plate}_{well}_{tile}.tif", pixels, photometric="minisblack")
    return str(folder / "{plate}_{well}_{tile}.tif")


def _write_ome_zarr(folder: Path, tiles: dict[Any, np.ndarray]) -> str:
    scales = {"axes": [{"name": axis} for axis in "cyx"], "datasets": [{"path": "0"}]}
    plates: dict[str, dict[str, list[str]]] = {}
    for (plate, well, tile), pixels in tiles.items():
        path = f"{well[0]}/{int(well[1:])}"
        plates.setdefault(plate, {}).setdefault(path, []).append(tile)
        image = zarr.open_group(folder / f"{plate}.zarr" / path / tile, mode="a")
        image.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
        image.create_array("0", data=pixels, chunks=(1, 16, 16))
    for plate, wells in plates.items():
        group = zarr.open_group(folder / f"{plate}.zarr", mode="a")
        group.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": path} for path in wells]}}
        for path, fields in wells.items():
            group.require_group(path).attrs["ome"] = {"well": {"images": [{"path": field} for field in fields]}}
    return str(folder / "{plate}.zarr")


def _write_for_bioio(folder: Path, tiles: dict[Any, np.ndarray]) -> str:
    pytest.importorskip("bioio_ome_tiff", reason="bioio and bioio-ome-tiff are not installed")
    for (plate, well, tile), pixels in tiles.items():
        name, metadata = (
            f"{plate}_{well}_{tile}.ome.tif",
            {"axes": "CYX", "UUID": str(uuid5(NAMESPACE_URL, well + tile))},
        )
        tifffile.imwrite(folder / name, pixels, photometric="minisblack", ome=True, metadata=metadata)
    return str(folder / "{plate}_{well}_{tile}.ome.tif")


Writer = Callable[[Path, dict[Any, np.ndarray]], str]
WRITERS: dict[str, Writer] = {"tiff": _write_tiff, "ome-zarr": _write_ome_zarr, "bioio": _write_for_bioio}


def settings_of(name: str, pattern: str) -> ImageSettings:
    values = {"pattern": pattern, "channels": ["a", "b"], "reference_channel": "a", "reader": name}
    return validated(ImageSettings, values, where="images")


def opened(name: str, folder: Path, *, tiles: dict[Any, np.ndarray] = TILES, keys: Any = tuple(KEYS)) -> TileReader:
    folder.mkdir()
    reader: TileReader = READERS[name](settings_of(name, WRITERS[name](folder, tiles)), list(keys))
    return reader


@pytest.fixture(params=list(READERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_shape_that_is_told_is_that_of_the_pixels(name: str, tmp_path: Path) -> None:
    reader = opened(name, tmp_path / "tiles")
    for key in KEYS:
        told, pixels = reader.shape(key), reader.read(key)
        assert (told.channels, told.height, told.width) == pixels.shape
        assert told.dtype == pixels.dtype
        assert pixels.ndim == 3


def test_pixels_are_as_they_were_written_each_time_they_are_read(name: str, tmp_path: Path) -> None:
    reader = opened(name, tmp_path / "tiles")
    for key in [*KEYS, *reversed(KEYS)]:
        assert np.array_equal(reader.read(key), TILES[key])


def test_a_tile_that_nobody_asked_for_is_no_matter(name: str, tmp_path: Path) -> None:
    few, all_ = opened(name, tmp_path / "one", keys=KEYS[:1]), opened(name, tmp_path / "two")
    assert np.array_equal(few.read(KEYS[0]), all_.read(KEYS[0]))
    assert len(few.inventory()) < len(all_.inventory())


def test_a_tile_that_is_not_there_is_refused_before_any_is_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(TileError, match="well C03"):
        opened(name, tmp_path / "tiles", keys=[*KEYS, tile_key("P1", "C3", "0")])


def test_without_a_cell_table_every_tile_is_found(name: str, tmp_path: Path) -> None:
    pattern = WRITERS[name](tmp_path, dict(reversed(TILES.items())))
    assert READERS[name].keys_found(settings_of(name, pattern)) == KEYS
    with pytest.raises(TileError, match="finds no file"):
        READERS[name].keys_found(settings_of(name, str(tmp_path / "no{plate}.tif")))


def test_the_inventory_knows_equal_inputs_wherever_they_lie(name: str, tmp_path: Path) -> None:
    assert opened(name, tmp_path / "one").inventory() == opened(name, tmp_path / "two").inventory()


def test_the_inventory_tells_other_pixels_apart(name: str, tmp_path: Path) -> None:
    other = {key: 255 - tile for key, tile in TILES.items()}
    assert opened(name, tmp_path / "one").inventory() != opened(name, tmp_path / "two", tiles=other).inventory()
