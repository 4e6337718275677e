"""A file of ours is whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from contrascope.errors import StoreError
from contrascope.store import files
from contrascope.store.files import json_bytes, read_json, sha256, write_bytes, write_json, write_parquet

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values=JSON)
def test_what_is_written_is_read_back(values: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "values.json"
    write_json(path, values)
    assert read_json(path) == values
    assert path.read_bytes() == json_bytes(values)


def test_equal_values_are_equal_bytes_whatever_their_order() -> None:
    assert json_bytes({"b": [1.5, "ü"], "a": None}) == json_bytes({"a": None, "b": [1.5, "ü"]})


def test_folders_are_made_on_the_way_and_nothing_is_left_beside(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a/b/c.bin", b"abc")
    assert [p.name for p in (tmp_path / "a/b").iterdir()] == ["c.bin"]
    assert sha256(tmp_path / "a/b/c.bin") == hashlib.sha256(b"abc").hexdigest()


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "kept.json"
    write_json(path, "before")
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StoreError, match=r"kept\.json cannot be written: No space left"):
        write_json(path, "after")
    assert read_json(path) == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for write in (lambda path: write_json(path, 1), lambda path: write_parquet(path, pl.DataFrame({"a": [1]}))):
        with pytest.raises(StoreError, match="cannot be written"):
            write(tmp_path / "taken/new")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"{'a': 1}"])
def test_json_that_is_damaged_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.json is damaged"):
        read_json(tmp_path / "x.json")


def test_a_table_is_read_back_with_its_types(tmp_path: Path) -> None:
    table = pl.DataFrame({"ü": ["a", None], "n": [1, 2], "x": [0.5, None]}, schema_overrides={"n": pl.UInt8})
    write_parquet(tmp_path / "t [1].parquet", table)
    assert pl.read_parquet(tmp_path / "t [1].parquet", glob=False).equals(table)
    assert [p.name for p in tmp_path.iterdir()] == ["t [1].parquet"]


def test_weights_that_find_no_space_are_said_and_leave_nothing_half_written(tmp_path: Path) -> None:
    said = r"weights cannot be written: No space left.*Make room"
    with pytest.raises(StoreError, match=said), files.appearing(tmp_path / "weights"):
        raise SafetensorError("No space left on device")
    assert not list(tmp_path.iterdir())
