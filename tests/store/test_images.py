"""Cells read at random are those that any reader of Zarr finds in the same files."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contrascope.store import images, memory
from contrascope.store.images import StoredImages
from contrascope.store.places import Folder
from contrascope.store.shards import array_metadata, encode_shard, shard_name, write_shard

SHAPES = hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=6)
PIXELS = np.random.default_rng(0).integers(0, 999, (300, 2, 6, 9), np.uint16)


def written(folder: Path, pixels: np.ndarray, per_shard: int) -> StoredImages:
    for index, start in enumerate(range(0, len(pixels), per_shard)):
        write_shard(folder, index, pixels[start : start + per_shard], per_shard)
    metadata = array_metadata(len(pixels), pixels.shape[1:], pixels.dtype, per_shard)  # type: ignore[arg-type]
    (folder / "images/zarr.json").write_text(json.dumps(metadata))
    return StoredImages(Folder(folder), pixels.dtype, per_shard)


@given(data=st.data(), dtype=st.sampled_from(["uint8", "uint16", "float32"]), shape=SHAPES, per_shard=st.integers(1, 4))
def test_they_are_what_zarr_reads(
    data: st.DataObject, dtype: str, shape: tuple[int, ...], per_shard: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("images")
    stored = written(folder, data.draw(hnp.arrays(dtype, shape)), per_shard)
    rows = data.draw(hnp.arrays(np.int64, st.integers(0, 9), elements=st.integers(0, shape[0] - 1)))
    theirs = zarr.open_array(folder / "images", mode="r")[:][rows]
    ours = stored.ask(rows).result()
    assert ours.dtype == theirs.dtype == dtype
    np.testing.assert_array_equal(ours, theirs)


def test_many_batches_at_once_do_not_mix(tmp_path: Path) -> None:
    stored, rng = written(tmp_path, PIXELS, 16), np.random.default_rng(1)
    wanted = [rng.integers(0, len(PIXELS), n) for n in rng.integers(1, 500, 40)]
    for rows, asked in [(rows, stored.ask(rows)) for rows in wanted]:
        np.testing.assert_array_equal(asked.result(), PIXELS[rows])


@given(data=st.data())
def test_batches_that_are_kept_do_not_change_while_others_are_read(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stored, kept = written(tmp_path_factory.mktemp("images"), PIXELS[:40], 16), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_LENT", range(1, 2**20))
        for rows in data.draw(st.lists(hnp.arrays(np.int64, st.integers(1, 9), elements=st.integers(0, 39)))):
            asked = stored.ask(rows)
            if data.draw(st.booleans()):
                kept.append((rows, torch.from_numpy(asked.result())[:, 1]))
        for rows, images in kept:
            np.testing.assert_array_equal(images, PIXELS[rows, 1])


def test_the_memory_of_a_batch_that_nobody_waited_for_is_not_used_before_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_LENT", range(1, 2**20))
    stored, asked, going, decode = (
        written(tmp_path, PIXELS, 16),
        threading.Event(),
        threading.Event(),
        images.blosc_decode,
    )

    def slow(*given: object, **how: object) -> None:
        asked.set()
        assert going.wait(60)
        decode(*given, **how)

    monkeypatch.setattr(images, "blosc_decode", slow)
    stored.ask(np.arange(9))
    assert asked.wait(60)
    monkeypatch.setattr(images, "blosc_decode", decode)
    later = stored.ask(np.arange(20, 29)).result()
    going.set()
    stored.ask(np.arange(50)).result()
    np.testing.assert_array_equal(later, PIXELS[20:29])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_too(tmp_path: Path) -> None:
    stored = written(tmp_path, PIXELS, 16)
    stored.ask(np.arange(200)).result()
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=lambda: theirs.send(stored.ask(np.arange(200)).result()))
    child.start()
    assert ours.poll(60)
    np.testing.assert_array_equal(ours.recv(), PIXELS[:200])
    child.join()


def test_an_index_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, checked = written(tmp_path, PIXELS, 64), []
    is_sound, index = images._is_sound, images._index
    monkeypatch.setattr(images, "_is_sound", lambda data: checked.append("bytes") or is_sound(data))
    monkeypatch.setattr(images, "_index", lambda data: checked.append("index") or index(data))
    for _ in range(3):
        stored.ask(np.arange(10)).result()
    assert checked.count("index") == 1
    assert checked.count("bytes") == 30 + 1


def test_a_cell_that_its_shard_lacks_is_no_cell_of_zeros(tmp_path: Path) -> None:
    stored = written(tmp_path, PIXELS[:8], 4)
    (tmp_path / shard_name(1)).write_bytes(encode_shard(PIXELS[4:6], 4))
    np.testing.assert_array_equal(stored.ask(np.arange(6)).result(), PIXELS[:6])
    with pytest.raises(ValueError, match=r"cell 7 .*is not there"):
        stored.ask(np.array([0, 7])).result()


def test_a_shard_of_other_crops_is_refused(tmp_path: Path) -> None:
    stored = written(tmp_path, PIXELS[:8], 4)
    (tmp_path / shard_name(1)).write_bytes(encode_shard(PIXELS[:4, :1], 4))
    with pytest.raises(ValueError, match="108 bytes of pixels where 216"):
        stored.ask(np.array([0, 7])).result()


def test_metadata_of_other_crops_are_refused(tmp_path: Path) -> None:
    written(tmp_path, PIXELS[:8], 4)
    for dtype, per_shard in ((np.dtype("uint8"), 4), (PIXELS.dtype, 8)):
        with pytest.raises(ValueError, match="does not describe"):
            StoredImages(Folder(tmp_path), dtype, per_shard)
