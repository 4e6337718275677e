"""A step of training with freed memory kept (contrascope.allocator) and without, in turn, each in a process of its own.

    python perf/step.py [STEPS]        20 a process unless told; three processes of each kind

Printed are milliseconds a step (the median), cells a second, pages that the system had to map a step, and peak memory.
The step is that of mcvae at 64 px, 4 channels and 128 cells: loss, gradient, Adam; no reading.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from contrascope.allocator import keep_freed_memory
from contrascope.config import training_settings
from contrascope.models.contrastive import in_channels_last
from contrascope.models.objective import objective
from contrascope.models.variants import build_model
from contrascope.vocabulary import Batch

CELLS, WARM, TURNS = 128, 5, 3


def main(steps: int) -> None:
    """Take turns, and compare."""
    found: dict[str, list[dict[str, float]]] = {"kept": [], "given back": []}
    for _ in range(TURNS):
        for how, each in found.items():
            command = [sys.executable, __file__, "measure", how, str(steps)]
            each.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    middle = {how: {key: statistics.median(run[key] for run in each) for key in each[0]} for how, each in found.items()}
    for how, run in middle.items():
        print(
            f"{how:>10}: {run['ms']:6.1f} ms a step, {CELLS / run['ms'] * 1000:5.0f} cells/s, "
            f"{run['pages']:8,.0f} pages mapped a step, peak {run['peak']:,.0f} MiB"
        )
    print(f"Kept, a step takes {middle['kept']['ms'] / middle['given back']['ms']:.2f} of the time.")


def measure(how: str, steps: int) -> None:
    """Some steps on random cells."""
    if how == "kept":
        assert keep_freed_memory(), "this C library cannot be told"
    settings, random = training_settings(10_000), torch.Generator().manual_seed(0)
    model = in_channels_last(build_model("mcvae", settings, channels=4, perturbations=28)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    images = (2 * torch.rand(CELLS, 4, 64, 64, generator=random) - 1).contiguous(memory_format=torch.channels_last)
    rows = torch.arange(CELLS)
    batch = Batch(images, torch.where(rows < CELLS // 2, rows % 28 + 1, 0), rows)

    def step() -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = objective(model, batch, generator=random).total(beta=1.0, wasserstein_weight=8.0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - start

    for _ in range(WARM):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    times = [step() for _ in range(steps)]
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = (used.ru_minflt - before) / steps
    print(json.dumps({"ms": 1000 * statistics.median(times), "pages": pages, "peak": used.ru_maxrss / 1024}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", how, steps]:
            measure(how, int(steps))
        case steps:
            main(int(steps[0]) if steps else 20)
