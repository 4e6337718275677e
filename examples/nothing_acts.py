"""How often is a perturbation that does nothing called, where the model was trained on its very cells?

    python examples/nothing_acts.py DEMO OUT [SEEDS]      DEMO: what `contrascope demo` wrote; 3 seeds unless told

Takes the demo's cells that nothing was done to, controls and the inert genes IOTA, deals them at random to 8
perturbations of 4 guides and to 12 control guides, within each batch, trains on them by the preset ``auto``, and asks
``hits`` and ``novelty``: of cells that were trained on, of the others, and of an untrained network. Chance is .05.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from anndata import AnnData

import contrascope as cs
from contrascope.benchmarks.hits_table import is_perturbation
from contrascope.benchmarks.novelty import NORM

PERTURBATIONS, GUIDES, CONTROL_GUIDES = 8, 4, 12
SPACES = ("background", "salient", "untrained")


def dealt(store: cs.CropStore, out: Path, seed: int) -> cs.CropStore:
    """A store of the cells that nothing was done to, each with a label by chance."""
    cells = store.cells[:].to_pandas()
    rows = np.flatnonzero(cells["control"] | cells["perturbation"].str.startswith("IOTA"))
    cells, random = cells.iloc[rows].reset_index(drop=True), np.random.default_rng(seed)
    perturbed = [f"G{p}_{g}" for p in range(PERTURBATIONS) for g in range(GUIDES)]
    names = np.array([*perturbed, *(f"nt_{g}" for g in range(CONTROL_GUIDES))])
    share = np.concatenate(
        [np.full(len(perturbed), 0.5 / len(perturbed)), np.full(CONTROL_GUIDES, 0.5 / CONTROL_GUIDES)]
    )
    guide = random.choice(names, size=len(cells), p=share)
    table = pd.DataFrame({"guide": guide, "perturbation": [name.rsplit("_", 1)[0] for name in guide]})
    table["control"] = table["perturbation"] == "nt"
    table[["plate", "well", "tile", "batch"]] = cells[["plate", "well", "tile", "batch"]].astype(str)
    return cs.store_from_arrays(store.read(rows), pl.from_pandas(table), out, channels=store.channels)


def called(cells: AnnData, of: str, seed: int) -> list[dict[str, object]]:
    """Share of perturbations with p <= .05, by each test."""
    hits = cs.benchmark(cells, "hits", spaces=SPACES, seed=seed).table
    novelty = cs.benchmark(cells, "novelty", spaces=SPACES, seed=seed).table
    found = []
    for space in SPACES:
        mine = hits[is_perturbation(hits) & (hits["space"] == space)]
        effect = novelty[(novelty["metric"] == NORM) & (novelty["space"] == space)]
        tests = {"cells": mine["p_cells"], "guides": mine["p_guides"], "novelty": effect["p"]}
        tests["held-out"] = mine["p_held_out"]  # of all cells alone, as both parts are needed
        both = (mine["q_cells"] <= 0.05) & (mine["q_guides"] <= 0.05)
        shares = {name: float((p.dropna() <= 0.05).mean()) for name, p in tests.items()}
        found.append({"of": of, "space": space} | shares | {"hits": float(both.mean())})
    return found


def main(demo: Path, out: Path, seeds: int) -> None:
    """Print the shares, means over seeds and each."""
    store, rows = cs.open_store(demo / "analysis" / "cells.zarr"), []
    for seed in range(seeds):
        null = dealt(store, out / f"cells{seed}.zarr", seed)
        run = cs.fit(null, out=out / f"run{seed}", seed=seed)
        cells = cs.embed(null, run)
        trained = (cells.obs["split"] == "train").to_numpy()
        for of, some in (("trained on", trained), ("held out", ~trained), ("all", np.ones(len(trained), bool))):
            rows += [{"seed": seed} | row for row in called(cells[some].copy(), of, seed)]
        table = pd.DataFrame(rows)
        print(table.drop(columns="seed").groupby(["of", "space"], sort=False).mean().round(3).to_string(), flush=True)
    print(table.round(3).to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3)
