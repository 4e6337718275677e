"""Shards: the files that hold the images, each a pure function of the crops in it.

A shard is encoded in memory by TensorStore, hashed, and written in one move, so that what lies on disk is
whole and its checksum is that of the bytes we meant.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import tensorstore as ts

from contrascope.store.files import write_bytes

SHARD_BYTES = 64 * 2**20
"""Size of a shard before compression, about: large enough to stream, small enough to hold in memory."""


def cells_per_shard(shape: tuple[int, int, int], dtype: np.dtype, cells: int) -> int:
    """How many cells of (C, H, W) share a shard: a power of two that fills about ``SHARD_BYTES``."""
    fit = max(1, SHARD_BYTES // int(np.prod(shape) * dtype.itemsize))
    return int(min(2 ** int(np.log2(fit)), 2 ** int(np.ceil(np.log2(max(cells, 1))))))


def array_metadata(cells: int, shape: tuple[int, int, int], dtype: np.dtype, per_shard: int) -> dict:
    """Zarr v3 metadata of the images: (N, C, H, W), a cell a chunk, ``per_shard`` cells a shard."""
    inner = [
        {"name": "bytes", "configuration": {"endian": "little"}} if dtype.itemsize > 1 else {"name": "bytes"},
        {
            "name": "blosc",
            "configuration": {
                "cname": "lz4",
                "clevel": 5,
                # Bits pack a tenth better than bytes, but take more than twice as long to come back. A byte alone
                # has nothing to be shuffled with.
                "shuffle": "shuffle" if dtype.itemsize > 1 else "bitshuffle",
                "typesize": dtype.itemsize,
                "blocksize": 0,
            },
        },
        {"name": "crc32c"},
    ]
    sharding = {
        "chunk_shape": [1, *shape],
        "codecs": inner,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [cells, *shape],
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [per_shard, *shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "dimension_names": ["cell", "channel", "y", "x"],
    }


def shard_name(index: int) -> str:
    """Path of a shard inside the store."""
    return f"images/c/{index}/0/0/0"


def encode_shard(crops: np.ndarray, per_shard: int) -> bytes:
    """The bytes of a shard.

    Args:
        crops: (B, C, H, W), B <= ``per_shard``; fewer only in the last shard.
        per_shard: Cells in a full shard.
    """
    metadata = array_metadata(len(crops), crops.shape[1:], crops.dtype, per_shard)
    # Chunks equal to the fill value are stored too, so that a missing chunk always means damage.
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "memory"},
        "metadata": metadata,
        "create": True,
        "store_data_equal_to_fill_value": True,
    }
    array = ts.open(spec, context=ts.Context()).result()
    array.write(crops).result()
    written = array.kvstore
    assert written is not None
    return bytes(written.read("c/0/0/0/0").result().value)


def write_shard(store: Path, index: int, crops: np.ndarray, per_shard: int) -> tuple[str, int]:
    """Write shard ``index``; returns its SHA-256 and its size in bytes."""
    data = encode_shard(crops, per_shard)
    write_bytes(store / shard_name(index), data)
    return hashlib.sha256(data).hexdigest(), len(data)
