"""What every registered importer keeps: equal pixels, an account that adds up, equal bytes twice, garbage refused.

An importer of another format needs a line in ``WRITERS``: how its format is written, and the options that read it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pytest

from contrascope.errors import ContrascopeError
from contrascope.registry import IMPORTERS
from contrascope.store.importers import WITHOUT_IMAGE, WITHOUT_ROW, import_crops
from contrascope.store.store import CropStore

PIXELS = np.random.default_rng(0).integers(0, 60_000, (15, 2, 9, 8), np.uint16)
ROWS = range(1, 16)
"""The first image has no row, and the last row no image."""
CELLS = pl.DataFrame(
    {
        "cell_id": [f"c{i}" for i in ROWS],
        "number": list(ROWS),
        "path": [f"{i}.npy" for i in ROWS],
        "guide": [f"g{i % 4}" for i in ROWS],
        "perturbation": [("nontargeting", "GENE")[i % 2] for i in ROWS],
    }
)


def _arrays(place: Path) -> tuple[Path, dict[str, Any]]:
    np.save(place.with_suffix(".npy"), PIXELS)
    return place.with_suffix(".npy"), {"axes": "NCHW", "index": "number"}


def _folder(place: Path) -> tuple[Path, dict[str, Any]]:
    place.mkdir()
    for i, image in enumerate(PIXELS):
        np.save(place / f"{i}.npy", image)
    return place, {"axes": "CHW"}


def _lmdb(place: Path) -> tuple[Path, dict[str, Any]]:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(place), map_size=2**22) as database, database.begin(write=True) as transaction:
        for i, image in enumerate(PIXELS):
            transaction.put(str(i).encode(), image.tobytes())
    return place, {"shape": PIXELS.shape[1:], "axes": "CHW", "keys": "index", "key": "number"}


def _scportrait(place: Path) -> tuple[Path, dict[str, Any]]:
    obs = pd.DataFrame({"number": np.arange(15)}, index=pd.Index([str(i) for i in range(15)], dtype=object))
    images = np.concatenate([PIXELS[:, :1], PIXELS], axis=1)
    data = ad.AnnData(obs=obs, obsm={"single_cell_images": images}, uns={"single_cell_images": {"n_masks": 1}})
    data.write_h5ad(place.with_suffix(".h5sc"))
    return place.with_suffix(".h5sc"), {"key": "number"}


WRITERS: dict[str, Callable[[Path], tuple[Path, dict[str, Any]]]] = {
    "arrays": _arrays,
    "folder": _folder,
    "lmdb": _lmdb,
    "scportrait": _scportrait,
}


@pytest.fixture(params=list(IMPORTERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def imported(kind: str, source: Path, options: dict[str, Any], out: Path, cells: pl.DataFrame = CELLS) -> CropStore:
    return import_crops(source, out, kind=kind, cells=cells, control="nontargeting", channels=["a", "b"], **options)


def test_each_cell_has_the_pixels_that_were_written(kind: str, tmp_path: Path) -> None:
    source, options = WRITERS[kind](tmp_path / "crops")
    order = np.random.default_rng(1).permutation(14)
    store = imported(kind, source, options, tmp_path / "s.zarr", CELLS[order])
    assert np.array_equal(store.read(np.arange(14)), PIXELS[order + 1])
    assert store.cells["cell_id"].to_list() == CELLS["cell_id"][order].to_list()
    assert store.dtype == np.uint16


def test_every_row_and_every_image_is_accounted_for(kind: str, tmp_path: Path) -> None:
    store = imported(kind, *WRITERS[kind](tmp_path / "crops"), tmp_path / "s.zarr")
    assert store.account.adds_up
    assert (store.account.rows, store.account.dropped) == (15, {WITHOUT_IMAGE: 1})
    assert store.provenance[WITHOUT_ROW] == 1
    assert pl.read_parquet(store.path / "dropped.parquet")["cell_id"].to_list() == ["c15"]
    assert store.damage() == []


def test_equal_inputs_give_equal_bytes_wherever_they_lie(kind: str, tmp_path: Path, bytes_of: Any) -> None:
    source, options = WRITERS[kind](tmp_path / "crops")
    one = imported(kind, source, options, tmp_path / "one.zarr")
    moved = source.rename(tmp_path / f"moved{source.suffix}")
    two = imported(kind, moved, options, tmp_path / "two.zarr")
    assert bytes_of(one.path) == bytes_of(two.path)


def test_other_pixels_do_not_go_into_a_store_that_is_there(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(kind, *WRITERS[kind](tmp_path / "crops"), tmp_path / "s.zarr")
    monkeypatch.setitem(globals(), "PIXELS", PIXELS[::-1])
    with pytest.raises(ContrascopeError, match="other inputs"):
        imported(kind, *WRITERS[kind](tmp_path / "others"), tmp_path / "s.zarr")


@pytest.mark.parametrize(
    "garbage", [b"", b"\x00" * 9000, b"\x93NUMPY\x01\x00", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04 what"]
)
def test_garbage_is_refused_in_a_sentence(kind: str, garbage: bytes, tmp_path: Path) -> None:
    source, options = WRITERS[kind](tmp_path / "crops")
    for name in ("junk.npy", "junk.npz", "junk.h5sc", "junk"):
        (tmp_path / name).write_bytes(garbage)
        with pytest.raises(ContrascopeError):
            imported(kind, tmp_path / name, options, tmp_path / "s.zarr")
    with pytest.raises(ContrascopeError):
        imported(kind, tmp_path / "none" / source.name, options, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_an_option_that_is_none_of_its_own_is_refused(kind: str, tmp_path: Path) -> None:
    source, options = WRITERS[kind](tmp_path / "crops")
    with pytest.raises(ContrascopeError, match="no option colour"):
        imported(kind, source, options | {"colour": 1}, tmp_path / "s.zarr")
