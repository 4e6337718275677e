"""A disk that is full and a folder that is read-only are said in one paragraph, and nothing looks whole that is not."""

from __future__ import annotations

import os
import re
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contrascope.errors import StoreError
from contrascope.screen.screen import Screen, open_screen
from contrascope.store import shards
from contrascope.store.crops import extract_crops
from contrascope.store.store import open_store

BytesOf = Callable[[Path], dict[str, bytes]]
WriteScreen = Callable[..., Path]
NOBODY = 65534


@pytest.fixture
def screen(
    tmp_path: Path, write_screen: WriteScreen, toy_cells: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> Screen:
    """A toy screen of two shards, whose cells have so much to say that their table is the longest file."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 16 * 2 * 16 * 16 * 2)
    notes = [np.random.default_rng(i).bytes(600).hex() for i in range(toy_cells.height)]
    return open_screen(write_screen(tmp_path, cells=toy_cells.with_columns(pl.Series("notes", notes))))


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The system refuses to write on at this many bytes, to Python and to the libraries beneath it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def without_privilege() -> Iterator[None]:
    """Root may write anywhere: for a while it is somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can look into, and only its owner can write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write into a folder or those below it."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        with without_privilege():
            yield
    finally:
        for path in folders:
            path.chmod(0o755)


def refusal(screen: Screen, out: Path) -> str:
    with pytest.raises(StoreError) as caught:
        extract_crops(screen, out)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_wherever_there_is_no_room_it_is_said_and_gone_on_from(
    screen: Screen, tmp_path: Path, bytes_of: BytesOf
) -> None:
    """Room for ever longer files: first not even for the claim, in the end for all but the longest."""
    whole = bytes_of(extract_crops(screen, tmp_path / "whole.zarr").path)
    longest, failed = max(map(len, whole.values())), set()
    for size in [10, 100, *range(1000, longest, 2000), longest - 1]:
        out = tmp_path / f"{size}.zarr"
        with no_file_longer_than(size):
            message = refusal(screen, out)
        # Parquet's footer is written by a library that has its own words for it.
        assert re.search("cannot be written: .*(File too large|parquet).*Make room", message)
        failed.add(Path(message.split(" cannot be")[0]).name)
        with pytest.raises(StoreError, match="cannot be opened"):
            open_store(out)
        assert not list(out.rglob(".*"))
        extract_crops(screen, out)
        assert bytes_of(out) == whole
    assert failed >= {"ingest.json", "0", "tiles.parquet", "cells.parquet"}


@pytest.mark.filterwarnings("ignore")  # what Dask says of its processes
@pytest.mark.slow
def test_workers_without_room_say_so_too(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: BytesOf
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 2**20)
    whole = bytes_of(extract_crops(open_screen(tiny_screen), tmp_path / "whole.zarr").path)
    out = tmp_path / "s.zarr"
    with no_file_longer_than(100_000), pytest.raises(StoreError, match=r"images/c/\d+/0/0/0 cannot be written"):
        extract_crops(open_screen(tiny_screen), out, workers=2)
    assert not (out / "zarr.json").exists()
    assert bytes_of(extract_crops(open_screen(tiny_screen), out).path) == whole


def test_a_folder_that_is_read_only_is_said(public: Path, write_screen: WriteScreen) -> None:
    screen = open_screen(write_screen(public))
    with read_only(public):
        assert "s.zarr cannot be made: Permission denied" in refusal(screen, public / "s.zarr")
    (public / "s.zarr").mkdir()
    with read_only(public / "s.zarr"):
        assert "ingest.json cannot be written: Permission denied" in refusal(screen, public / "s.zarr")
    assert not list((public / "s.zarr").iterdir())


def test_a_store_that_is_read_only_is_opened_if_it_is_sound_and_left_as_it_is_if_not(
    public: Path, write_screen: WriteScreen, bytes_of: BytesOf
) -> None:
    screen = open_screen(write_screen(public))
    store = extract_crops(screen, public / "s.zarr")
    with read_only(store.path):
        assert len(extract_crops(screen, store.path)) == len(store)
    shard = store.path / shards.shard_name(0)
    shard.write_bytes(shard.read_bytes()[:-1])
    before = bytes_of(store.path)
    with read_only(store.path):
        assert "journal.jsonl cannot be written: Permission denied" in refusal(screen, store.path)
    assert bytes_of(store.path) == before
