"""Checkpoints: whatever Lightning gives comes back the same, from a file that holds no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrascope.training.checkpoint import SafeCheckpoints

plain = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=5)
keys = st.text(max_size=5) | st.integers(0, 100)
trees = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))


def round_trip(value: dict[str, Any], path: Path) -> dict[str, Any]:
    io = SafeCheckpoints()
    io.save_checkpoint(value, path)
    return io.load_checkpoint(path)


@given(st.dictionaries(keys, trees, max_size=4))
def test_what_is_saved_comes_back(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    assert round_trip(value, tmp_path_factory.mktemp("checkpoint") / "c.safetensors") == value


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_keep_their_type_shape_and_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    whole = torch.arange(24).reshape(2, 3, 4).to(dtype)
    saved = {"state": {0: {"whole": whole, "turned": whole.transpose(0, 2), "again": whole, "one": whole[0, 0, 1]}}}
    back = round_trip(saved, tmp_path / "c.safetensors")["state"][0]
    for name, tensor in saved["state"][0].items():
        assert back[name].dtype == dtype
        assert torch.equal(back[name], tensor)


def test_tensors_lie_in_memory_as_they_did(tmp_path: Path) -> None:
    channels_last = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    back = round_trip({"exp_avg": channels_last}, tmp_path / "c.safetensors")["exp_avg"]
    assert back.stride() == channels_last.stride()
    assert torch.equal(back, channels_last)


def test_the_file_is_safetensors_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    round_trip({"a": torch.ones(3), "b": [1, {"c": None}]}, tmp_path / "c.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    assert (tmp_path / "c.safetensors").read_bytes()[8:9] == b"{"


def test_what_json_cannot_hold_is_refused_and_the_former_file_stays(tmp_path: Path) -> None:
    io, path = SafeCheckpoints(), tmp_path / "c.safetensors"
    io.save_checkpoint({"step": 1}, path)
    with pytest.raises(TypeError, match="cannot hold a PosixPath"):
        io.save_checkpoint({"step": 2, "where": Path()}, path)
    assert io.load_checkpoint(path) == {"step": 1}
