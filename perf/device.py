"""What a device reaches in training: from data that lie on it, and from a store, beside what it reaches at best.

    python perf/device.py [CELLS] [BATCH]     20,000 cells of 4 x 100 x 100 uint16, 2,048 a batch, unless told

The device is a GPU where there is one. Its best is measured too: a large product of matrices in the precision that
training has, and a copy of memory. A step is that of mcvae at 64 px: transform, loss, gradient, Adam. Its arithmetic
is counted by torch; of its traffic, only what cannot be less is: raw pixels once, and weights, gradients and both
moments of Adam as they are read and written.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
from read import written
from torch.utils.flop_counter import FlopCounterMode

import contrascope as cs
from contrascope.allocator import keep_freed_memory
from contrascope.config import TrainingSettings, training_settings
from contrascope.models.contrastive import in_channels_last
from contrascope.models.objective import objective
from contrascope.models.precision import in_bfloat16
from contrascope.models.variants import build_model
from contrascope.sampling.transforms import measured_transform
from contrascope.vocabulary import Batch

PAPER = 62e6
"""Cells that the paper's training saw."""
WARM, STEPS = 3, 10
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds(action: Callable[[], object], times: int) -> float:
    """Of one of so many, after some that do not count."""
    for counted in (False, True):
        began = time.perf_counter()
        for _ in range(times if counted else WARM):
            action()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - began) / times


def at_best(dtype: torch.dtype) -> tuple[float, float]:
    """FLOP/s of a product of matrices, and bytes/s of a copy, read and written."""
    n = 8192 if DEVICE.type == "cuda" else 2048
    one, other = (torch.randn(n, n, device=DEVICE).to(dtype) for _ in range(2))
    here = torch.empty(2**30 if DEVICE.type == "cuda" else 2**28, dtype=torch.uint8, device=DEVICE)
    there = torch.empty_like(here)
    return 2 * n**3 / seconds(lambda: one @ other, STEPS), 2 * len(here) / seconds(lambda: there.copy_(here), STEPS)


class Step(NamedTuple):
    """A step of training, and the bytes that must come and go for it."""

    take: Callable[[], None]
    least: int


def step_on(store: cs.CropStore, settings: TrainingSettings) -> Step:
    """On a batch of raw pixels that lies on the device."""
    perturbations = len(store.perturbations)
    network = build_model("mcvae", settings, channels=len(store.channels), perturbations=perturbations)
    model = in_channels_last(network).to(DEVICE).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    rows = torch.arange(settings.batch_size)
    m = torch.where(rows % 2 == 0, 0, rows % perturbations + 1)
    images = torch.from_numpy(store.read((rows % len(store)).numpy()))
    batch = Batch(*(part.to(DEVICE) for part in (images, m, rows)))
    transform = measured_transform(store, rows.numpy() % len(store), size=settings.image_size, seed=0).to(DEVICE)
    random = torch.Generator(DEVICE).manual_seed(0)
    bf16 = in_bfloat16(settings.precision, DEVICE.type)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16) if bf16 else nullcontext():
            terms = objective(model, transform.batch(batch), generator=random)
            loss = terms.total(beta=1.0, wasserstein_weight=settings.wasserstein_weight).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # Of weights and both moments what was and what will be, and the gradient.
    return Step(step, batch.images.nbytes + 7 * sum(p.nbytes for p in model.parameters()))


def main() -> None:
    """Measure and print."""
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    settings = training_settings(cells, batch_size=int(sys.argv[2]) if len(sys.argv) > 2 else 2_048)
    bf16 = in_bfloat16(settings.precision, DEVICE.type)
    keep_freed_memory()  # as a training does
    flops, bandwidth = at_best(torch.bfloat16 if bf16 else torch.float32)
    with tempfile.TemporaryDirectory() as name:
        store, _ = written(Path(name), cells)
        step = step_on(store, settings)
        with FlopCounterMode(display=False) as counter:
            step.take()
        resident = seconds(step.take, STEPS)
        run = cs.fit(store, model="mcvae", out=Path(name) / "run", epochs=2, batch_size=settings.batch_size)
    rate, fed = settings.batch_size / resident, run.facts["outcome"]["cells_per_second"]
    reached = counter.get_total_flops() / resident
    what = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{what}, {'bf16' if bf16 else 'fp32'}, {settings.batch_size:,} cells a batch")
    print(f"  at best      {flops / 1e12:8.2f} TFLOP/s in a product of matrices, {bandwidth / 1e9:,.0f} GB/s copied")
    print(
        f"  on the device {rate:8,.0f} cells/s, {reached / 1e12:.2f} TFLOP/s = {reached / flops:.0%} of that, and at "
        f"least {step.least / resident / bandwidth:.1%} of the bandwidth"
    )
    print(f"  from a store {fed:9,.0f} cells/s with validations, logs and files; {cells:,} cells, 2 epochs")
    print(f"  62 million cells at that rate: {PAPER / fed / 60:,.0f} minutes")
    if DEVICE.type == "cuda":
        print(f"  peak memory of the device {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
