"""What the convolutions of a step of training cost by themselves, one by one: the bound of how fast training can be.

    OMP_NUM_THREADS=1 python perf/layers.py      mcvae, conv5 at 64 px, 4 channels, 128 cells

Each layer is timed forth, back to its input and back to its weights: as contrascope has it, in bfloat16 laid out as
(H, W, C), and as published, in float32 laid out as (C, H, W). Printed are milliseconds and GFLOP/s, the best of some
turns; then what all layers of two encoders and a decoder take together, and what they would take if each ran as fast as
the fastest of its kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from contrascope.allocator import keep_freed_memory

CELLS, CHANNELS, TURNS, ROUNDS = 128, 4, 5, 4
KINDS = {
    "bfloat16": (torch.bfloat16, torch.channels_last),
    "float32": (torch.float32, torch.contiguous_format),
}


class Layer(NamedTuple):
    """A 3 x 3 convolution, by what goes into it.

    Attributes:
        before, after: Channels that come in and go out.
        side: Of what comes in.
        stride: 1 or 2.
        doubles: Whether it is a transposed one, which makes the side larger by its stride.
        times: How often a step has it.
        first: Whether nothing wants the gradient of its input.
    """

    before: int
    after: int
    side: int
    stride: int
    doubles: bool
    times: int
    first: bool = False

    @property
    def gflop(self) -> float:
        """Of one direction, all cells."""
        smaller = self.side if self.doubles else self.side // self.stride
        return 2e-9 * 9 * self.before * self.after * smaller**2 * CELLS


LAYERS = [
    Layer(CHANNELS, 32, 64, 2, False, 2, first=True),
    Layer(32, 32, 32, 1, False, 3),
    Layer(32, 64, 32, 2, False, 2),
    Layer(64, 64, 16, 1, False, 3),
    Layer(64, 64, 16, 2, False, 2),
    Layer(64, 64, 8, 2, True, 1),
    Layer(64, 32, 16, 2, True, 1),
    Layer(32, CHANNELS, 32, 2, True, 1),
]
"""Of two encoders and a decoder, whose convolutions of stride 1 are those of the encoders."""


def ways(layer: Layer, dtype: torch.dtype, layout: torch.memory_format) -> dict[str, Callable[[], object]]:
    """Forth, back to the input, back to the weights."""
    g = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g).to(dtype).contiguous(memory_format=layout)

    shape = (layer.before, layer.after) if layer.doubles else (layer.after, layer.before)
    x, weight = drawn(CELLS, layer.before, layer.side, layer.side), drawn(*shape, 3, 3)
    bias = torch.zeros(layer.after, dtype=dtype)
    more = [layer.stride - 1] * 2 if layer.doubles else [0, 0]
    how = ([layer.stride] * 2, [1, 1], [1, 1], layer.doubles, more, 1)
    of_made = torch.randn_like(torch.ops.aten.convolution(x, weight, bias, *how))

    def back(*wanted: bool) -> object:
        return torch.ops.aten.convolution_backward(of_made, x, weight, None, *how, [*wanted, False])

    found: dict[str, Callable[[], object]] = {"forth": lambda: torch.ops.aten.convolution(x, weight, bias, *how)}
    return (
        found | ({} if layer.first else {"input": lambda: back(True, False)}) | {"weights": lambda: back(False, True)}
    )


def milliseconds(action: Callable[[], object]) -> float:
    """Of one call, at best."""
    best = float("inf")
    for _ in range(ROUNDS):
        action()
        began = time.perf_counter()
        for _ in range(TURNS):
            action()
        best = min(best, (time.perf_counter() - began) / TURNS)
    return 1000 * best


def main() -> None:
    """Print a table for each kind of number."""
    keep_freed_memory()  # else what a layer writes is mapped anew each time, and that would be timed
    print(f"{CELLS} cells, {torch.get_num_threads()} thread(s); ms (GFLOP/s)")
    for name, kind in KINDS.items():
        total, work, fastest = 0.0, 0.0, 0.0
        print(f"\n{name:36s}{'forth':>14s}{'back to input':>16s}{'to weights':>14s}")
        for layer in LAYERS:
            took = {way: milliseconds(action) for way, action in ways(layer, *kind).items()}
            total += layer.times * sum(took.values())
            work += layer.times * layer.gflop * len(took)
            fastest = max(fastest, *(1000 * layer.gflop / ms for ms in took.values()))
            what = "transposed" if layer.doubles else "convolution"
            label = f"{layer.times} x {what} {layer.before} -> {layer.after}, stride {layer.stride}"
            cells = [
                f"{took[way]:6.2f} ({1000 * layer.gflop / took[way]:4.0f})" if way in took else ""
                for way in ("forth", "input", "weights")
            ]
            print(f"{label:36s}{cells[0]:>14s}{cells[1]:>16s}{cells[2]:>14s}")
        print(
            f"all of a step {total:.0f} ms for {work:.0f} GFLOP, {work / total * 1000:.0f} GFLOP/s: "
            f"{CELLS / total * 1000:,.0f} cells/s if there were nothing else; "
            f"{fastest * CELLS / work:,.0f} if all ran at {fastest:.0f} GFLOP/s"
        )


if __name__ == "__main__":
    main()
