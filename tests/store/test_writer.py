"""Whoever is interrupted goes on where they stopped, and nobody can tell afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from contrascope import progress
from contrascope.errors import StoreError
from contrascope.screen.readers.tiff import TiffReader
from contrascope.screen.screen import Screen, open_screen
from contrascope.store import shards, writer
from contrascope.store.crops import extract_crops, plan_store
from contrascope.store.store import CropStore, open_store
from contrascope.store.writer import StoreWriter, remove_store

BytesOf = Callable[[Path], dict[str, bytes]]
PER_SHARD = 32


class PowerCutError(Exception):
    """Power is gone."""


@pytest.fixture(scope="module")
def small_shards() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", PER_SHARD * 4 * 64 * 64 * 2)
        yield


@pytest.fixture(scope="module")
def screen(tiny_screen: Path, small_shards: None) -> Screen:
    return open_screen(tiny_screen)


@pytest.fixture(scope="module")
def whole(screen: Screen, tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """The store of an ingest that nobody interrupted."""
    return extract_crops(screen, tmp_path_factory.mktemp("whole") / "cells.zarr")


def stop_after(n: int) -> Callable[[str, int, int], None]:
    def listener(label: str, done: int, total: int) -> None:
        if done == n and label == "Cutting out cells":
            raise PowerCutError

    return listener


def interrupted(screen: Screen, out: Path, n: int) -> None:
    with pytest.raises(PowerCutError), progress.listening(stop_after(n)):
        extract_crops(screen, out)


def test_a_store_of_many_shards_is_the_store_of_one(whole: CropStore, tiny_store: CropStore) -> None:
    assert len(list(whole.path.glob("images/c/*/0/0/0"))) == -(-len(whole) // PER_SHARD) > 5
    rows = np.random.default_rng(0).permutation(len(whole))
    assert np.array_equal(whole.read(rows), tiny_store.read(rows))
    assert whole.cells.equals(tiny_store.cells)
    assert whole.tiles.equals(tiny_store.tiles)
    assert whole.fingerprint == tiny_store.fingerprint


@pytest.mark.parametrize("times", [(0,), (1,), (4,), (2, 1, 3)])
def test_an_ingest_that_was_interrupted_ends_in_the_same_bytes(
    times: tuple[int, ...], screen: Screen, whole: CropStore, tmp_path: Path, bytes_of: BytesOf
) -> None:
    for n in times:
        interrupted(screen, tmp_path / "s.zarr", n)
    extract_crops(screen, tmp_path / "s.zarr")
    assert bytes_of(tmp_path / "s.zarr") == bytes_of(whole.path)


def test_shards_that_are_done_are_not_cut_again(screen: Screen, tmp_path: Path) -> None:
    interrupted(screen, tmp_path / "s.zarr", 5)
    done = {p: p.stat().st_mtime_ns for p in (tmp_path / "s.zarr").glob("images/c/*/0/0/0")}
    extract_crops(screen, tmp_path / "s.zarr")
    assert len(done) == 5
    assert {p: p.stat().st_mtime_ns for p in done} == done


def test_a_reader_that_fails_halfway_leaves_what_can_be_gone_on_with(
    screen: Screen, whole: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: BytesOf
) -> None:
    read, calls = TiffReader.read, iter(range(9))

    def failing(self: TiffReader, key: Any) -> np.ndarray:
        if next(calls, None) is None:
            raise PowerCutError
        return read(self, key)

    monkeypatch.setattr(TiffReader, "read", failing)
    with pytest.raises(PowerCutError):
        extract_crops(screen, tmp_path / "s.zarr")
    monkeypatch.undo()
    extract_crops(screen, tmp_path / "s.zarr")
    assert bytes_of(tmp_path / "s.zarr") == bytes_of(whole.path)


@pytest.mark.parametrize("harm", ["cut journal", "cut shard", "missing shard", "flipped shard", "left over"])
def test_what_a_crash_left_half_written_is_written_again(
    harm: str, screen: Screen, whole: CropStore, tmp_path: Path, bytes_of: BytesOf
) -> None:
    out = tmp_path / "s.zarr"
    interrupted(screen, out, 4)
    journal, shard = out / "journal.jsonl", out / "images/c/2/0/0/0"
    if harm == "cut journal":
        journal.write_text(journal.read_text()[:-40])
    elif harm == "cut shard":
        shard.write_bytes(shard.read_bytes()[:-1])
    elif harm == "missing shard":
        shard.unlink()
    elif harm == "flipped shard":
        content = shard.read_bytes()
        shard.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    else:
        shard.with_name(".0.writing").write_bytes(b"half")
        (out / ".cells.parquet.writing").write_bytes(b"half")
    extract_crops(screen, out)
    assert bytes_of(out) == bytes_of(whole.path)


def test_a_crash_while_the_tables_are_written_does_no_harm(
    screen: Screen, whole: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: BytesOf
) -> None:
    def failing(path: Path, values: object) -> None:
        if path.name == "checksums.json":
            raise PowerCutError
        original(path, values)

    original = writer.write_json
    monkeypatch.setattr(writer, "write_json", failing)
    with pytest.raises(PowerCutError):
        extract_crops(screen, tmp_path / "s.zarr")
    monkeypatch.undo()
    with pytest.raises(StoreError, match="not finished"):
        open_store(tmp_path / "s.zarr")
    extract_crops(screen, tmp_path / "s.zarr")
    assert bytes_of(tmp_path / "s.zarr") == bytes_of(whole.path)


def test_an_unfinished_store_of_other_inputs_is_refused_and_left_untouched(
    screen: Screen, tiny_screen: Path, tmp_path: Path, bytes_of: BytesOf
) -> None:
    interrupted(screen, tmp_path / "s.zarr", 2)
    before = bytes_of(tmp_path / "s.zarr")
    with pytest.raises(StoreError, match="other inputs"):
        extract_crops(open_screen(tiny_screen, {"crop.size": 48}), tmp_path / "s.zarr")
    assert bytes_of(tmp_path / "s.zarr") == before


def test_the_size_of_shards_may_change_between_two_sittings(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: BytesOf
) -> None:
    interrupted(screen, tmp_path / "s.zarr", 7)
    monkeypatch.setattr(shards, "SHARD_BYTES", 4 * shards.SHARD_BYTES)
    store = extract_crops(screen, tmp_path / "s.zarr")
    assert bytes_of(store.path) == bytes_of(extract_crops(screen, tmp_path / "whole.zarr").path)
    assert store.damage() == []


def test_a_full_disk_is_said_and_gone_on_from(
    screen: Screen, whole: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: BytesOf
) -> None:
    calls = iter(range(3))

    def full(path: Path, data: bytes) -> None:
        if next(calls, None) is None:
            raise StoreError(f"{path} cannot be written: No space left on device.")
        original(path, data)

    original = shards.write_bytes
    monkeypatch.setattr(shards, "write_bytes", full)
    with pytest.raises(StoreError, match="No space"):
        extract_crops(screen, tmp_path / "s.zarr")
    monkeypatch.setattr(shards, "write_bytes", original)
    extract_crops(screen, tmp_path / "s.zarr")
    assert bytes_of(tmp_path / "s.zarr") == bytes_of(whole.path)


def test_a_folder_that_cannot_be_made_is_said(screen: Screen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def denied(self: Path, *args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    plan = plan_store(screen)
    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(StoreError, match="Permission denied"):
        StoreWriter(plan, tmp_path / "s.zarr")


def test_only_a_store_of_ours_is_removed(screen: Screen, tmp_path: Path) -> None:
    interrupted(screen, tmp_path / "s.zarr", 1)
    remove_store(tmp_path / "s.zarr")
    remove_store(tmp_path / "s.zarr")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").touch()
    with pytest.raises(StoreError, match="thesis"):
        remove_store(tmp_path / "thesis")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_a_journal_says_what_is_done(screen: Screen, tmp_path: Path) -> None:
    interrupted(screen, tmp_path / "s.zarr", 3)
    lines = [json.loads(line) for line in (tmp_path / "s.zarr/journal.jsonl").read_text().splitlines()]
    assert [line["shard"] for line in lines] == [0, 1, 2]
    todo = [index for index, _ in StoreWriter(plan_store(screen), tmp_path / "s.zarr").todo()]
    assert todo == list(range(3, -(-plan_store(screen).stored // PER_SHARD)))


def test_shards_hold_the_rows_they_say(screen: Screen, tmp_path: Path) -> None:
    plan = plan_store(screen)
    parts = [rows for _, rows in StoreWriter(plan, tmp_path / "s.zarr").todo()]
    cells = plan.cells.collect()
    assert pl.concat([cells[rows] for rows in parts]).equals(cells)
    assert {rows.stop - rows.start for rows in parts[:-1]} == {PER_SHARD}
