"""What the tests of embedding share: a store of noise, some chunks long, and a run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.fit import fit
from contrascope.training.run import Run

N = 2_500
"""Three chunks, the last one smaller."""
SMALL: dict[str, Any] = {
    "image_size": 16,
    "background_size": 4,
    "salient_size": 3,
    "batch_size": 512,
    "epochs": 1,
    "precision": "fp32",
    "split": (0.7, 0.2, 0.1),
    "views": 1,
    "salient_reference": "origin",
}
"""Posterior means as they are, which a loop can follow; ``test_cell_encoder.py`` has the others."""


def cell_table(n: int) -> pl.DataFrame:
    """A table with every kind of column that AnnData takes."""
    rng, number = np.random.default_rng(0), np.arange(n)
    guide = rng.integers(0, 12, n)
    texts = {"note": [f"note {i}" for i in range(n)], "phase": [None if i % 7 == 0 else "GM"[i % 2] for i in range(n)]}
    return pl.DataFrame(
        {
            "cell_id": [f"cell {i}" for i in range(n)],
            "guide": [f"g{g:02d}" for g in guide],
            "perturbation": [f"P{g // 3}" for g in guide],
            "control": guide < 3,
            "batch": [f"b{i}" for i in 4 * number // n],
            "tile": number // 50,
            "area": number.astype(np.int32),
            "depth": [None if i % 5 == 0 else i for i in range(n)],
            "brightness": rng.random(n).astype(np.float32),
        }
        | texts
    )


@pytest.fixture(scope="session")
def long_store(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    images = np.random.default_rng(0).integers(100, 1000, (N, 2, 20, 20)).astype(np.uint16)
    path = tmp_path_factory.mktemp("long") / "cells.zarr"
    return store_from_arrays(images, cell_table(N), path, channels=["DNA", "Actin"])


@pytest.fixture(scope="session")
def long_run(long_store: CropStore, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(long_store, model="mcvae", out=tmp_path_factory.mktemp("long") / "mcvae", **SMALL)


@pytest.fixture(scope="session")
def folder(long_store: CropStore, long_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, embedded into a folder. Read only."""
    from contrascope.embedding import embed

    path = tmp_path_factory.mktemp("long") / "embedded.zarr"
    return embed(long_store, long_run, uncertainty=True, error=True, out=path)
