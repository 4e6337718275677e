"""Cells embedded a second: contrascope, and the same encoders as they are commonly applied, side by side.

    python perf/embed.py [CELLS]             16,000 cells of 4 x 100 x 100 uint16 unless told, resized to 64 x 64
    python perf/embed.py memory [CELLS ...]  peak memory while stores of these sizes are embedded into a folder

The baseline reads one cell at a time from an LMDB behind a DataLoader with two worker processes, resizes batch by
batch, and encodes in float32 with channels before rows. Both take turns, and must give the same embedding but for
rounding: posterior means of a cell as it lies. Timed beside are the preset `auto`, which averages over eight ways in
which it can lie and compares it with controls, and a model with one encoder for both spaces. Core-seconds tell more
than cells/s on a machine that is busy.

Memory is that of a process of its own. Its cells have 4 x 16 x 16 pixels and one model for all sizes; 20,000 and
200,000 unless told.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from read import OneByOne, core_seconds, peak, write, written
from torch.nn import functional as F
from torch.utils.data import DataLoader

import contrascope as cs
from contrascope.training.run import Run

TURNS, BATCH = 3, 512
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def ours(store: cs.CropStore, run: Run) -> np.ndarray:
    """(N, S) salient means."""
    return cs.embed(store, run, baselines=False).obsm["salient"]


def plainly(store: cs.CropStore, environment: Path, run: Run) -> np.ndarray:
    """The same of the baseline; it does both spaces, as contrascope does."""
    model = run.untrained(seed=0)
    model.load_state_dict(run.model.state_dict())
    model.to(DEVICE, memory_format=torch.contiguous_format).eval()
    dataset = OneByOne(environment, pd.DataFrame({"label": store.labels}), np.float32)
    found = []
    with torch.no_grad():
        for images, _ in DataLoader(dataset, batch_size=BATCH, num_workers=2):
            x = transformed(images.to(DEVICE), run)
            found.append([encoder(x).chunk(2, dim=1)[0] for encoder in model.encoders.values()][1])
    return torch.cat(found).cpu().numpy()


def transformed(images: torch.Tensor, run: Run) -> torch.Tensor:
    """What the run's transform gives, by torch's own operations."""
    measured = {name: values for name, values in run.transform.state().items() if name != "size"}
    of = {name: torch.tensor(values, device=DEVICE)[:, None, None] for name, values in measured.items()}
    size = (run.settings.image_size,) * 2
    x = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    return (torch.asinh((x - of["offset"]) / of["cofactor"]) - of["center"]) / of["spread"]


def timed(embedding: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """Seconds, core-seconds, and what was found."""
    began, cores = time.perf_counter(), core_seconds()
    found = embedding()
    return time.perf_counter() - began, core_seconds() - cores, found


def speed(cells: int) -> None:
    """Take turns and print medians."""
    with tempfile.TemporaryDirectory() as name:
        store, environment = written(Path(name), cells)
        (Path(name) / "few").mkdir()
        few, _ = written(Path(name) / "few", 400)
        settings = {"model": "mcvae", "epochs": 1, "batch_size": 128}
        run = cs.fit(few, out=Path(name) / "run", views=1, salient_reference="origin", **settings)
        from_all_sides = cs.fit(few, out=Path(name) / "all", **settings)
        shared = cs.fit(
            few, out=Path(name) / "shared", views=1, salient_reference="origin", encoders="shared", **settings
        )
        seconds = []
        for _ in range(TURNS):
            (*fast, salient), (*plain, expected) = (
                timed(lambda: ours(store, run)),
                timed(lambda: plainly(store, environment, run)),
            )
            agreement = np.corrcoef(salient.ravel(), expected.ravel())[0, 1]
            assert agreement > 0.99, f"the two embeddings correlate at {agreement:.3f} only"
            seconds.append((fast, plain))
        around, together = (timed(lambda run=run: ours(store, run))[0] for run in (from_all_sides, shared))
    (fast, work), (plain, plain_work) = np.median(seconds, axis=0) / cells
    print(f"{cells:,} cells, medians of {TURNS} turns, {torch.get_num_threads()} threads, {DEVICE}")
    print(f"  contrascope {1 / fast:8,.0f} cells/s {work * 1e6:8,.0f} core-microseconds a cell")
    print(f"  one by one  {1 / plain:8,.0f} cells/s {plain_work * 1e6:8,.0f} core-microseconds a cell")
    print(f"  contrascope {cells / around:8,.0f} cells/s from all sides, compared with controls")
    print(f"  contrascope {cells / together:8,.0f} cells/s by one encoder for both spaces")
    print(f"  contrascope is {plain / fast:.1f} times as fast, at {plain_work / work:.1f} times less work")
    print(f"  peak memory {peak() / 1024:.2f} GiB")


def memory(sizes: list[int]) -> None:
    """Peak memory of embedding stores of these sizes, each in a process of its own."""
    # This process stays small: what it holds would count as the peak of those that it starts.
    with tempfile.TemporaryDirectory() as name:
        for cells in sizes:
            again("write", f"{name}/{cells}.zarr", cells)
        again("train", f"{name}/{min(sizes)}.zarr", f"{name}/run")
        for cells in sizes:
            again("fill", f"{name}/{cells}.zarr", f"{name}/run", f"{name}/{cells}.out.zarr")


def again(what: str, *arguments: object) -> None:
    """This script in a process of its own."""
    subprocess.run([sys.executable, __file__, what, *map(str, arguments)], check=True)


def fill(path: Path, run: Path, out: Path) -> None:
    """Embed into a folder, and say what memory it took."""
    store = cs.open_store(path)
    began = time.perf_counter()
    cs.embed(store, cs.open_run(run), out=out)
    print(f"{len(store):9,} cells: peak {peak():,.0f} MiB, {len(store) / (time.perf_counter() - began):,.0f} cells/s")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["memory", *sizes]:
            memory([int(size) for size in sizes] or [20_000, 200_000])
        case ["write", path, cells]:
            write(Path(path), int(cells))
        case ["train", path, out]:
            cs.fit(cs.open_store(path), out=out, epochs=1, batch_size=512, image_size=16)
        case ["fill", path, run, out]:
            fill(Path(path), Path(run), Path(out))
        case arguments:
            speed(int(arguments[0]) if arguments else 16_000)
