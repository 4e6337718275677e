"""A shard is a pure function of its crops, and any reader of Zarr finds them in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contrascope.store import shards
from contrascope.store.shards import array_metadata, cells_per_shard, encode_shard, shard_name, write_shard

DTYPES = ("uint8", "uint16", "float32")
SHAPES = hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=6)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), shape=SHAPES, per_shard=st.sampled_from([1, 2, 4]))
def test_zarr_reads_what_was_written(
    data: st.DataObject, dtype: str, shape: tuple[int, ...], per_shard: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    images = data.draw(hnp.arrays(dtype, shape))
    folder = tmp_path_factory.mktemp("shards")
    for index, start in enumerate(range(0, len(images), per_shard)):
        write_shard(folder, index, images[start : start + per_shard], per_shard)
    metadata = array_metadata(len(images), images.shape[1:], images.dtype, per_shard)  # type: ignore[arg-type]
    (folder / "images/zarr.json").write_text(json.dumps(metadata))
    array = zarr.open_array(folder / "images", mode="r")
    assert array.dtype == dtype
    assert array.chunks[0] == 1
    assert np.array_equal(array[:], images, equal_nan=dtype == "float32")


def test_equal_crops_are_equal_bytes_and_their_name_is_their_checksum(tmp_path: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 999, (3, 2, 8, 9), np.uint16)
    assert encode_shard(crops, 4) == encode_shard(crops.copy(order="F"), 4)
    assert encode_shard(crops, 4) != encode_shard(crops[::-1].copy(), 4)
    digest, size = write_shard(tmp_path, 7, crops, 4)
    path = tmp_path / shard_name(7)
    assert path.stat().st_size == size == len(encode_shard(crops, 4))
    assert path.read_bytes() == encode_shard(crops, 4)
    assert len(digest) == 64


def test_cells_of_zeros_are_stored_too() -> None:
    crops = np.zeros((2, 1, 4, 4), np.uint8)
    assert len(encode_shard(crops, 2)) > len(encode_shard(crops[:1], 1)) > 16 + 4


@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 1024), st.integers(1, 1024)),
    dtype=st.sampled_from(DTYPES),
    cells=st.integers(1, 10**8),
)
def test_a_shard_is_a_power_of_two_cells_of_about_its_size(shape: tuple[int, int, int], dtype: str, cells: int) -> None:
    n, size = cells_per_shard(shape, np.dtype(dtype), cells), int(np.prod(shape)) * np.dtype(dtype).itemsize
    assert n & (n - 1) == 0
    assert n == 1 or n * size <= shards.SHARD_BYTES
    assert n < 2 * cells
    assert n >= cells or 2 * n * size > shards.SHARD_BYTES
