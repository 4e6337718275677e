"""Stores of random crops, small enough to train on in a fifth of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.fit import fit
from contrascope.training.run import Run

SMALL = {
    "image_size": 16,
    "background_size": 4,
    "salient_size": 3,
    "batch_size": 32,
    "epochs": 2,
    "precision": "fp32",
    "split": (0.7, 0.2, 0.1),
}


@pytest.fixture(scope="session")
def make_store() -> Callable[..., CropStore]:
    def make(path: Path, *, n: int = 120, seed: int = 0, dtype: str = "uint16", **changes: Any) -> CropStore:
        channels = changes.pop("channels", ["DNA", "Actin"])
        images = np.random.default_rng(seed).integers(100, 1000, (n, len(channels), 16, 16)).astype(dtype)
        images = changes.pop("images", images)
        control = np.arange(n) % 3 == 0
        name = np.where(control, "nontargeting", np.array(["a", "b"])[np.arange(n) % 2])
        columns = {"guide": name, "perturbation": name, "control": control} | changes.pop("columns", {})
        cells = pl.DataFrame(columns)
        return store_from_arrays(images, cells, path / "cells.zarr", channels=channels, **changes)

    return make


@pytest.fixture(scope="session")
def store(make_store: Callable[..., CropStore], tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def train() -> Callable[..., Run]:
    """``fit`` with settings for a test: two epochs of five small batches."""

    def train(store: CropStore, out: Path, *, model: str = "mcvae", **changes: Any) -> Run:
        return fit(store, model=model, out=out, **(SMALL | changes))

    return train


@pytest.fixture(scope="session")
def run(store: CropStore, train: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(store, tmp_path_factory.mktemp("runs") / "mcvae")
