"""What a store says of itself is believed where it adds up, and what is none is told by what it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import StoreError
from contrascope.store.arrays import store_from_arrays
from contrascope.store.description import TABLES, Account, facts, remedy
from contrascope.store.places import Folder, place_of
from contrascope.store.store import CropStore, open_store


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    names = ["control", "A"] * 4
    cells = pl.DataFrame({"guide": names, "perturbation": names, "control": [name == "control" for name in names]})
    path = tmp_path_factory.mktemp("sound") / "s.zarr"
    return store_from_arrays(np.zeros((8, 2, 4, 4), np.uint16), cells, path, channels=["a", "b"], pixel_size_um=0.5)


@pytest.fixture
def copied(sound: CropStore, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.path, tmp_path / "copy.zarr"))


def changed(store: Path, **values: Any) -> Folder:
    """A store that says these things of itself; what is None it does not say."""
    group = json.loads((store / "zarr.json").read_text())
    said = group["attributes"]["contrascope"] | values
    group["attributes"]["contrascope"] = {name: value for name, value in said.items() if value is not None}
    (store / "zarr.json").write_text(json.dumps(group))
    return Folder(store)


def test_what_is_no_store_is_refused(tmp_path: Path, copied: Path) -> None:
    zarr.create_group(tmp_path / "group.zarr", zarr_format=3)
    (tmp_path / "file").write_text("x")
    for path, words in (
        (tmp_path / "nowhere", "no store"),
        (tmp_path / "file", "no store"),
        (tmp_path / "group.zarr", "no store of contrascope"),
    ):
        with pytest.raises(StoreError, match=words):
            open_store(path)
    (copied / "zarr.json").unlink()
    (copied / "ingest.json").write_text("{}")
    with pytest.raises(StoreError, match="not finished"):
        open_store(copied)


def test_a_run_in_the_place_of_a_store_is_told_from_one(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(StoreError, match=r"is a run, where a store was needed\. Name the store first, then the run"):
        open_store(tmp_path)


def test_a_sound_store_says_what_it_was_made_of_and_has_its_files(sound: CropStore) -> None:
    said = facts(place_of(sound.path))
    assert (said["channels"], said["dtype"], said["pixel_size_um"]) == (["a", "b"], "uint16", 0.5)
    assert Account(**said["account"]) == Account(rows=8, stored=8, dropped={})
    assert all(place_of(sound.path).has(name) for name in TABLES)


@pytest.mark.parametrize("key", ["name", "account", "channels", "dtype", "fingerprint", "shard_cells", "provenance"])
def test_a_store_that_lacks_a_fact_is_damaged_and_the_fact_is_named(key: str, copied: Path) -> None:
    with pytest.raises(StoreError, match=f"is damaged: it lacks {key}"):
        facts(changed(copied, **{key: None}))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": 1}, "has store format 1, this version reads 2"),
        ({"format": None}, "holds embedded cells or profiles, and no crops"),
        ({"account": {"rows": 9, "stored": 8, "dropped": {}}}, "its account does not add up"),
        ({"account": {"rows": 8, "stored": 8}}, "its account does not add up"),
        ({"shard_cells": 0}, "is damaged"),
    ],
)
def test_a_store_of_another_format_or_that_contradicts_itself_is_refused(
    values: dict[str, Any], words: str, copied: Path
) -> None:
    with pytest.raises(StoreError, match=words):
        facts(changed(copied, **values))


def test_a_description_that_is_cut_short_is_damaged(copied: Path) -> None:
    (copied / "zarr.json").write_bytes((copied / "zarr.json").read_bytes()[:-30])
    with pytest.raises(StoreError, match=r"zarr\.json is damaged"):
        facts(Folder(copied))


def test_a_folder_that_a_screen_filled_leads_to_its_store(tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text("{}")
    with pytest.raises(StoreError, match=rf"Its store is {tmp_path}/cells\.zarr"):
        facts(Folder(tmp_path))


@given(
    stored=st.integers(0, 10**7),
    dropped=st.dictionaries(st.sampled_from(["at the edge", "bad tile"]), st.integers(1, 10**5)),
)
def test_an_account_adds_up_where_no_row_is_missing(stored: int, dropped: dict[str, int]) -> None:
    rows = stored + sum(dropped.values())
    account = Account(rows, stored, dropped)
    assert account.adds_up
    assert not Account(rows + 1, stored, dropped).adds_up
    assert str(account).startswith(f"{rows:,} cells in the table = {stored:,} stored")
    assert all(f"{n:,} dropped: {reason}" in str(account) for reason, n in dropped.items())


def test_files_that_cannot_be_made_again_where_they_lie_are_copied_there(sound: CropStore) -> None:
    assert "extract the crops again" in remedy(place_of(sound.path))
    assert "copy those files there again" in remedy(place_of("memory://bucket/cells.zarr"))
