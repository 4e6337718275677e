"""A store gives back what was put in, to us and to others, and knows when it is damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zarr

from contrascope.errors import StoreError
from contrascope.store import shards
from contrascope.store.arrays import store_from_arrays
from contrascope.store.damage import damage_report
from contrascope.store.store import CropStore, open_store

SHARD = "images/c/1/0/0/0"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """16 cells of two wells in 4 shards."""
    images = np.random.default_rng(0).integers(0, 999, (16, 2, 8, 8), np.uint16)
    names = [("control", "B", "A")[i % 3] for i in range(16)]
    cells = pl.DataFrame({"guide": names, "perturbation": names, "control": [name == "control" for name in names]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 4 * images[0].nbytes)
        return store_from_arrays(images, cells, tmp_path_factory.mktemp("small") / "s.zarr", channels=["a", "b"])


@pytest.fixture
def copied(small: CropStore, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.path, tmp_path / "copy.zarr"))


def flip(path: Path, place: float, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)


def test_zarr_reads_the_same_images(tiny_store: CropStore) -> None:
    group = zarr.open_group(tiny_store.path, mode="r")
    images = group["images"]
    assert isinstance(images, zarr.Array)
    rows = np.arange(0, len(tiny_store), 7)
    assert np.array_equal(images.oindex[rows], tiny_store.read(rows))
    assert group.attrs["contrascope"]["channels"] == tiny_store.channels
    assert images.metadata.dimension_names == ("cell", "channel", "y", "x")


def test_cells_come_in_the_order_asked_for_and_as_often(tiny_store: CropStore) -> None:
    rows = np.array([5, 3, 3, 300, 0])
    images = tiny_store.read(rows)
    assert all(
        np.array_equal(image, tiny_store.read(np.array([row]))[0]) for image, row in zip(images, rows, strict=True)
    )
    assert tiny_store.read(np.array([], dtype=np.int64)).shape == (0, 4, 64, 64)


def test_a_row_that_is_not_there_is_no_damage(small: CropStore) -> None:
    for row in (16, -1, 10**9):
        with pytest.raises(IndexError):
            small.read(np.array([row]))


def test_a_mask_is_not_taken_for_rows(small: CropStore) -> None:
    mask = np.arange(16) % 2 == 0
    with pytest.raises(IndexError, match="flatnonzero"):
        small.read(mask)


def test_labels_need_no_more_of_the_table_than_they_say(small: CropStore) -> None:
    store = open_store(small.path)
    assert np.array_equal(store.labels, small.labels)
    assert "cells" not in vars(store)


def test_the_account_adds_up(tiny_store: CropStore, tiny_screen: Path) -> None:
    account = tiny_store.account
    assert account.rows == pl.read_parquet(tiny_screen.parent / "cells.parquet").height
    assert account.rows == account.stored + sum(account.dropped.values())
    assert account.stored == len(tiny_store) == tiny_store.cells.height
    assert f"{account.rows} cells in the table = {account.stored} stored" in str(account)


def test_label_0_is_control_and_the_others_are_in_the_order_of_their_names(small: CropStore) -> None:
    assert small.perturbations == ["A", "B"]
    names = np.array(["control", *small.perturbations])
    assert names[small.labels].tolist() == small.cells["perturbation"].to_list()


def test_a_perturbation_that_is_control_in_some_cells_only_has_both_labels(tmp_path: Path) -> None:
    cells = pl.DataFrame({"guide": list("abcd"), "perturbation": ["X"] * 4, "control": [True, False] * 2})
    store = store_from_arrays(np.zeros((4, 1, 4, 4), np.uint8), cells, tmp_path / "s.zarr", channels=["a"])
    assert store.labels.tolist() == [0, 1, 0, 1]


def test_a_sound_store_has_no_damage(tiny_store: CropStore, small: CropStore) -> None:
    for store in (tiny_store, small):
        assert store.damage() == []
        damage_report(store.path)


def test_any_flipped_bit_of_a_cell_is_noticed_when_the_cell_is_read(copied: Path) -> None:
    sound = (copied / SHARD).read_bytes()
    rows, pixels = np.arange(4, 8), open_store(copied).read(np.arange(4, 8))
    noticed = 0
    for place in np.linspace(0, 0.999, 60):
        (copied / SHARD).write_bytes(sound)
        flip(copied / SHARD, place)
        try:
            assert np.array_equal(open_store(copied).read(rows), pixels)
        except StoreError as error:
            assert "verify" in str(error)
            noticed += 1
    assert noticed > 55


@pytest.mark.parametrize("harm", [lambda p: p.unlink(), lambda p: p.write_bytes(b""), lambda p: flip(p, 0.5)])
@pytest.mark.parametrize("name", ["cells.parquet", "dropped.parquet", "tiles.parquet", "images/zarr.json", SHARD])
def test_verify_names_the_file_that_is_damaged(name: str, harm: Callable[[Path], None], copied: Path) -> None:
    store = open_store(copied)
    harm(copied / name)
    with pytest.raises(StoreError, match=name):
        damage_report(store.path)


@pytest.mark.parametrize("name", ["cells.parquet", "images/zarr.json", SHARD])
@pytest.mark.parametrize("harm", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:50])])
def test_a_damaged_file_that_is_read_is_an_error_of_the_store(
    name: str, harm: Callable[[Path], None], copied: Path
) -> None:
    harm(copied / name)
    with pytest.raises(StoreError, match="damaged"):
        store = open_store(copied)
        assert store.cells.height == 16
        store.read(np.arange(16))


def test_a_store_may_be_moved_and_opened_by_a_relative_path(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = copied.rename(copied.parent / "my cells [2] 100% ü?#.zarr")
    monkeypatch.chdir(strange.parent)
    store = open_store(strange.name)
    assert store.cells.height == 16
    assert store.read(np.arange(16)).shape == (16, 2, 8, 8)
    assert store.damage() == []
