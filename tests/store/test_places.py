"""A folder gives the bytes of its files, as slices of the whole would be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import StoreError
from contrascope.store.places import Folder, Place, place_of

FILES = {f"images/c/{i}": np.random.default_rng(i).bytes(size) for i, size in enumerate((0, 1, 40, 5000))}
PARTS = st.lists(st.tuples(st.integers(0, 5100), st.integers(0, 5100)), max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("place") / "cells [1].zarr"
    for name, content in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@given(wanted=st.lists(st.tuples(st.sampled_from(list(FILES)), PARTS), max_size=4))
def test_pieces_come_in_the_order_asked_for_and_end_where_their_file_does(
    folder: Path, wanted: list[tuple[str, list[tuple[int, int]]]]
) -> None:
    expected = [FILES[name][start : start + size] for name, parts in wanted for start, size in parts]
    assert list(Folder(folder).pieces(wanted)) == expected


@given(names=st.lists(st.sampled_from(list(FILES)), max_size=4), size=st.integers(1, 6000))
def test_tails_are_the_last_bytes_or_all_there_are(folder: Path, names: list[str], size: int) -> None:
    assert Folder(folder).tails(names, size) == [FILES[name][-size:] for name in names]


def test_whole_files_are_read_and_told_by_their_digests(folder: Path) -> None:
    place = Folder(folder)
    for name, content in FILES.items():
        assert place.has(name)
        assert place.read(name) == content
        assert place.sha256(name) == hashlib.sha256(content).hexdigest()
    assert not place.has("images/c"), "a folder is no file"
    assert not place.has("images/c/9")


@pytest.mark.parametrize(
    "read",
    [
        lambda place: place.read("nowhere"),
        lambda place: place.tails(["nowhere"], 4),
        lambda place: list(place.pieces([("nowhere", [(0, 1)])])),
        lambda place: place.sha256("nowhere"),
        lambda place: place.table("nowhere", None),
    ],
)
def test_a_file_that_is_not_there_is_an_error_of_the_system(read: object, folder: Path) -> None:
    with pytest.raises(OSError):
        read(Folder(folder))  # type: ignore[operator]


def test_of_a_table_the_columns_that_are_wanted_are_read(folder: Path) -> None:
    table = pl.DataFrame({"cell_id": ["a", "b"], "y": [1.5, 2.5], "guide": ["g", None]})
    table.write_parquet(folder / "cells.parquet")
    place = Folder(folder)
    assert place.columns("cells.parquet") == table.columns
    assert place.table("cells.parquet", None).equals(table)
    assert place.table("cells.parquet", ["guide", "y"]).equals(table.select("guide", "y"))


def test_a_relative_path_stays_the_place_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(folder.parent)
    place = place_of(folder.name)
    monkeypatch.chdir(tmp_path)
    assert place.has("images/c/2")
    assert str(place) == str(folder)


def test_a_url_and_a_folder_give_the_same_bytes(folder: Path) -> None:
    server = MemoryFileSystem()
    server.pipe({f"/place/cells.zarr/{name}": content for name, content in FILES.items()})
    wanted = [(name, [(2, 30), (0, 9), (4990, 20)]) for name in FILES if len(FILES[name]) > 1]

    def said(place: Place) -> list[object]:
        return [
            [place.has(name) for name in (*FILES, "images/c/9")],
            [place.read(name) for name in FILES],
            [place.sha256(name) for name in FILES],
            place.tails(list(FILES)[1:], 16),
            list(place.pieces(wanted)),
        ]

    try:
        assert said(place_of("memory://place/cells.zarr")) == said(Folder(folder))
    finally:
        server.rm("/place", recursive=True)


def test_a_url_of_a_kind_that_nobody_knows_is_no_folder() -> None:
    with pytest.raises(StoreError, match="nonsense://bucket"):
        place_of("nonsense://bucket/cells.zarr")
