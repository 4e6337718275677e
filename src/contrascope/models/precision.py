"""How numbers are computed: whether a device has bfloat16 or only pretends to, and GPUs that give the same twice.

Where the hardware has no such arithmetic, bfloat16 is converted back and forth for every number: a step of training
then takes 2.4 times as long as in float32 on a CPU with AVX-512, and ten times on one with AVX2 (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

import torch

_ON_CPU = ("avx512_bf16", "amx_bf16")
"""Instructions of x86 that multiply it. On ARM nothing was measured, so nothing is promised."""


def in_bfloat16(precision: Literal["bf16", "fp32"], device: str) -> bool:
    """Whether what is to be computed in ``bf16`` is, on this device.

    Args:
        precision: Of the settings.
        device: Its type, as torch names it.
    """
    return precision == "bf16" and _has_bfloat16(device)


def device_type() -> Literal["cuda", "cpu"]:
    """Of what trains and embeds here, as torch and Lightning name it. No Mac's GPU: none has ever been tried."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def repeatable() -> Iterator[None]:
    """Inside, NVIDIA's convolutions sum in the same order each time, and float32 is not shortened to 19 bits."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    cudnn.deterministic, cudnn.allow_tf32 = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.allow_tf32 = before


@lru_cache
def _has_bfloat16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    # oneDNN may have been told to use less than the CPU has, by ONEDNN_MAX_CPU_ISA.
    may = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)()
    return bool(may) and any(_instructions().get(name) for name in _ON_CPU)


def _instructions() -> Mapping[str, object]:
    """What the CPU has, by the names that torch has for it."""
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    # A torch that is older than that function has one for each.
    ask = {"avx512_bf16": "_is_avx512_bf16_supported", "amx_bf16": "_is_amx_tile_supported"}
    return {name: getattr(torch.cpu, function, lambda: False)() for name, function in ask.items()}
