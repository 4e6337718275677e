"""bfloat16 is computed in where the hardware has it, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from contrascope.embedding import embed
from contrascope.models import precision
from contrascope.models.precision import in_bfloat16
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.fit import fit

SMALL = {"image_size": 16, "background_size": 4, "salient_size": 3, "batch_size": 16, "epochs": 1, "model": "mcvae"}


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    precision._has_bfloat16.cache_clear()
    yield
    precision._has_bfloat16.cache_clear()


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def has(*, one_dnn: bool = True, **instructions: bool) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True} | instructions, raising=False)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: one_dnn, raising=False)

    return has


@pytest.fixture
def store(tmp_path: Path) -> CropStore:
    images = np.random.default_rng(0).integers(100, 1000, (90, 2, 16, 16)).astype(np.uint16)
    name = np.where(np.arange(90) % 3 == 0, "nontargeting", "a")
    cells = pl.DataFrame({"guide": name, "perturbation": name, "control": name == "nontargeting"})
    return store_from_arrays(images, cells, tmp_path / "cells.zarr", channels=["DNA", "Actin"])


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ({}, False),
        ({"avx512_f": True, "avx512_bw": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_a_cpu_is_asked_for_its_instructions(
    cpu: Callable[..., None], instructions: dict[str, bool], expected: bool
) -> None:
    cpu(**instructions)
    assert in_bfloat16("bf16", "cpu") == expected
    assert not in_bfloat16("fp32", "cpu")


@pytest.mark.parametrize("has", [True, False])
def test_an_older_torch_is_asked_in_its_own_words(
    cpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    cpu()
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert in_bfloat16("bf16", "cpu") == has


def test_a_limit_that_one_dnn_was_given_counts(cpu: Callable[..., None]) -> None:
    cpu(avx512_bf16=True, one_dnn=False)
    assert not in_bfloat16("bf16", "cpu")


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_that_would_emulate_it_is_not_asked_to(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or has)
    assert in_bfloat16("bf16", "cuda") == has
    assert not in_bfloat16("bf16", "mps")


def test_without_it_a_run_is_that_of_float32(store: CropStore, cpu: Callable[..., None], tmp_path: Path) -> None:
    cpu()
    asked, plain = (fit(store, out=tmp_path / name, precision=name, **SMALL) for name in ("bf16", "fp32"))
    assert asked.facts["outcome"]["precision"] == plain.facts["outcome"]["precision"] == "fp32"
    for name, weight in load_file(plain.path / "weights.safetensors").items():
        assert torch.equal(load_file(asked.path / "weights.safetensors")[name], weight), name
    np.testing.assert_array_equal(embed(store, asked).obsm["salient"], embed(store, plain).obsm["salient"])


def test_a_cpu_without_it_trains_and_embeds(store: CropStore, tmp_path: Path) -> None:
    """As on a laptop: the very instructions are taken away."""
    program = (
        "import sys, numpy as np, contrascope as cs\n"
        f"run = cs.fit(cs.open_store(sys.argv[1]), out=sys.argv[2], **{SMALL})\n"
        "assert np.isfinite(cs.embed(cs.open_store(sys.argv[1]), run).obsm['salient']).all()\n"
        "print(run.facts['outcome']['precision'])\n"
    )
    command = [sys.executable, "-c", program, str(store.path), str(tmp_path / "run")]
    limited = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    said = subprocess.run(command, env=limited, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split()[-1] == "fp32"
