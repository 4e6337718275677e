"""Cells that importers are tried on: 20 of 2 channels, 12 x 10 pixels, a third of them controls."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, (20, 2, 12, 10), np.uint16)


@pytest.fixture
def labels() -> pl.DataFrame:
    n = range(20)
    return pl.DataFrame(
        {
            "cell_id": [f"c{i}" for i in n],
            "plate": ["P_1"] * 20,
            "well": [f"A{1 + i // 10}" for i in n],
            "tile": [i // 5 for i in n],
            "guide": [f"g{i % 6}" for i in n],
            "perturbation": [("nontargeting", "GENE1", "GENE2")[i % 3] for i in n],
            "note": [i / 2 for i in n],
        }
    )
