"""One screen in every format that we read gives one store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
import tifffile
import yaml
import zarr

from contrascope.screen.find_cells import find_cells
from contrascope.screen.screen import open_screen
from contrascope.screen.tiles import tile_key
from contrascope.store.crops import extract_crops
from contrascope.store.store import CropStore

CHANNEL_SPELLINGS = ["w1", "w2", "w3", "w4"]


@pytest.fixture(scope="module")
def settings(tiny_screen: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(tiny_screen.read_text(encoding="utf-8"))
    values["images"]["align"] = False
    return values


@pytest.fixture(scope="module")
def tiles(tiny_screen: Path) -> dict[tuple[str, str, str], np.ndarray]:
    """(plate, well, tile) -> pixels."""
    files = sorted((tiny_screen.parent / "tiles").glob("*.tif"))
    return {tuple(f.name.split(".")[0].split("_")): tifffile.imread(f) for f in files}  # type: ignore[misc]


def store_of(folder: Path, tiny_screen: Path, settings: dict[str, Any], images: Any, cells: Any) -> CropStore:
    """The store of the tiny screen, with its images or its cell table told otherwise."""
    if "pattern" not in images:
        images = images | {"pattern": str(tiny_screen.parent / settings["images"]["pattern"])}
    if "table" not in cells:
        cells = cells | {"table": str(tiny_screen.parent / "cells.parquet")}
    told = settings | {"images": settings["images"] | images, "cells": settings["cells"] | cells}
    del told["annotations"], told["benchmarks"]
    (folder / "screen.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return extract_crops(open_screen(folder / "screen.yaml"), folder / "store.zarr")


@pytest.fixture(scope="module")
def expected(tiny_screen: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    return store_of(tmp_path_factory.mktemp("expected"), tiny_screen, settings, {}, {})


def assert_same(store: CropStore, expected: CropStore) -> None:
    shards, expected_shards = (
        {path.relative_to(s.path): path.read_bytes() for path in s.path.glob("images/c/*/0/0/0")}
        for s in (store, expected)
    )
    assert shards
    assert shards == expected_shards
    tables = [pl.read_parquet(s.path / "cells.parquet") for s in (store, expected)]
    assert tables[0].equals(tables[1])


def one_file_a_channel(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    for (plate, well, tile), pixels in tiles.items():
        for spelling, plane in zip(CHANNEL_SPELLINGS, pixels, strict=True):
            tifffile.imwrite(folder / f"{plate}_{well}_{int(tile):03d}_{spelling}.tif", plane)
    channels = dict(zip(names, CHANNEL_SPELLINGS, strict=True))
    return {"pattern": "{plate}_{well}_{tile}_{channel}.tif", "channels": channels}


def plain_tiff(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    for (plate, well, tile), pixels in tiles.items():
        name = folder / plate / well / f"{tile}.tif"
        name.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(name, pixels, photometric="minisblack", metadata=None)
    return {"pattern": "{plate}/{well}/{tile}.tif"}


def ome_tiff(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    for key, pixels in tiles.items():
        metadata = {"axes": "CYX", "Channel": {"Name": names}}
        name = folder / f"{'_'.join(key)}.ome.tif"
        tifffile.imwrite(name, pixels, ome=True, metadata=metadata, photometric="minisblack", tile=(128, 128))
    return {"pattern": "{plate}_{well}_{tile}.ome.tif"}


def write_image(path: Path, pixels: np.ndarray, names: list[str], version: str) -> None:
    scales = {"axes": [{"name": axis} for axis in "tczyx"], "datasets": [{"path": "0"}]}
    told = {"multiscales": [scales], "omero": {"channels": [{"label": name} for name in names]}}
    image = put_metadata(path, told, version)
    keys = {"name": "v2", "separator": "/"} if version == "0.4" else None
    chunks = (1, 1, 1, 256, 256)
    image.create_array("0", data=pixels[None, :, None], chunks=chunks, chunk_key_encoding=keys)


def put_metadata(path: Path, told: dict[str, Any], version: str) -> Any:
    group = zarr.open_group(path, mode="a", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update(told if version == "0.4" else {"ome": {"version": version} | told})
    return group


def ome_zarr_plates(folder: Path, tiles: Any, names: list[str], *, version: str) -> dict[str, Any]:
    """Planes lie in another order than the screen file's: their names must be read."""
    order = [2, 0, 3, 1]
    for plate in {key[0] for key in tiles}:
        wells = {key[1]: f"{key[1][0]}/{key[1][1:]}" for key in tiles if key[0] == plate}
        put_metadata(folder / f"{plate}.zarr", {"plate": {"wells": [{"path": p} for p in wells.values()]}}, version)
        for well, path in wells.items():
            fields = [key[2] for key in tiles if key[:2] == (plate, well)]
            told = {"well": {"images": [{"path": field} for field in fields]}}
            put_metadata(folder / f"{plate}.zarr" / path, told, version)
            for field in fields:
                pixels, labels = tiles[plate, well, field][order], [names[i] for i in order]
                write_image(folder / f"{plate}.zarr" / path / field, pixels, labels, version)
    return {"pattern": "{plate}.zarr", "reader": "ome-zarr"}


def hcs_0_4(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    return ome_zarr_plates(folder, tiles, names, version="0.4")


def hcs_0_5(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    return ome_zarr_plates(folder, tiles, names, version="0.5")


def zarr_images(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    for key, pixels in tiles.items():
        write_image(folder / "images.zarr" / "-".join(key), pixels, names, "0.4")
    return {"pattern": "images.zarr/{plate}-{well}-{tile}", "reader": "ome-zarr"}


def through_bioio(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    pytest.importorskip("bioio_ome_tiff", reason="bioio and bioio-ome-tiff are not installed")
    return ome_tiff(folder, tiles, names) | {"reader": "bioio"}


def czi(folder: Path, tiles: Any, names: list[str]) -> dict[str, Any]:
    """Written by Zeiss's own library; channels lie in another order than the screen file's."""
    pytest.importorskip("bioio_czi", reason="bioio and bioio-czi are not installed")
    library = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw, which writes CZI, is not installed")
    order = [2, 0, 3, 1]
    for key, pixels in tiles.items():
        with library.create_czi(str(folder / f"{'_'.join(key)}.czi")) as file:
            for channel, plane in enumerate(pixels[order]):
                file.write(data=plane[..., None], plane={"C": channel})
            file.write_metadata("tile", channel_names={at: names[i] for at, i in enumerate(order)})
    return {"pattern": "{plate}_{well}_{tile}.czi", "reader": "bioio"}


# What bioio's parts say of each other is no concern of ours.
BIOIO = [pytest.param(write, marks=pytest.mark.filterwarnings("ignore")) for write in (through_bioio, czi)]
FORMATS = [one_file_a_channel, hcs_0_4, hcs_0_5, zarr_images, *BIOIO]


@pytest.mark.parametrize("write", [plain_tiff, ome_tiff, *FORMATS])
def test_the_format_of_the_tiles_changes_nothing(
    write: Callable[..., dict[str, Any]],
    tmp_path: Path,
    tiny_screen: Path,
    settings: dict[str, Any],
    tiles: Any,
    expected: CropStore,
) -> None:
    images = write(tmp_path, tiles, settings["images"]["channels"])
    assert_same(store_of(tmp_path, tiny_screen, settings, images, {}), expected)


@pytest.mark.parametrize("write", FORMATS)
def test_nuclei_are_found_alike_in_every_format(
    write: Callable[..., dict[str, Any]], tmp_path: Path, tiny_screen: Path, settings: dict[str, Any], tiles: Any
) -> None:
    """From a screen file that has no cells yet, with two tiles."""
    few = dict(list(tiles.items())[:2])
    told = settings["images"] | write(tmp_path, few, settings["images"]["channels"])
    (tmp_path / "screen.yaml").write_text(yaml.safe_dump({"images": told}, sort_keys=False), encoding="utf-8")
    found = find_cells(tmp_path / "screen.yaml", channel="DAPI", diameter=18)
    expected = find_cells(tiny_screen, channel="DAPI", diameter=18)
    places = pl.DataFrame([tile_key(*key)._asdict() for key in few])
    assert found.equals(expected.join(places, on=places.columns, how="semi"))
    assert found["tile"].n_unique() == 2


def csv(folder: Path, table: pl.DataFrame) -> dict[str, Any]:
    table.write_csv(folder / "cells.csv")
    return {"table": "cells.csv"}


def tsv(folder: Path, table: pl.DataFrame) -> dict[str, Any]:
    table.write_csv(folder / "cells.tsv", separator="\t")
    return {"table": "cells.tsv"}


def parquet_folder(folder: Path, table: pl.DataFrame) -> dict[str, Any]:
    for i, (name, part) in enumerate(table.group_by("well", maintain_order=True)):
        path = folder / f"cells/{i:02d}-{name[0]}"
        path.mkdir(parents=True)
        part.write_parquet(path / "0.parquet")
    return {"table": "cells"}


def hdf5(folder: Path, table: pl.DataFrame) -> dict[str, Any]:
    with h5py.File(folder / "cells.h5", "w") as file:
        file["other/numbers"] = np.arange(3)
        for name in table.columns:
            texts = table[name].dtype == pl.String
            file[f"cells/{name}"] = table[name].to_list() if texts else table[name].to_numpy()
    return {"table": "cells.h5", "key": "cells"}


@pytest.mark.parametrize("write", [csv, tsv, hdf5, parquet_folder])
def test_the_format_of_the_cell_table_changes_nothing(
    write: Callable[..., dict[str, Any]],
    tmp_path: Path,
    tiny_screen: Path,
    settings: dict[str, Any],
    expected: CropStore,
) -> None:
    cells = write(tmp_path, pl.read_parquet(tiny_screen.parent / "cells.parquet"))
    assert_same(store_of(tmp_path, tiny_screen, settings, {}, cells), expected)


def test_a_screen_may_be_told_all_otherwise_at_once(
    tmp_path: Path, tiny_screen: Path, settings: dict[str, Any], tiles: Any, expected: CropStore
) -> None:
    images = hcs_0_5(tmp_path, tiles, settings["images"]["channels"])
    cells = tsv(tmp_path, pl.read_parquet(tiny_screen.parent / "cells.parquet"))
    told = {k: x for k, x in settings["cells"].items() if k != "control"}  # the preset brings it
    store = store_of(tmp_path, tiny_screen, settings | {"cells": told}, images, cells)
    assert_same(store, expected)
    shutil.rmtree(store.path)
