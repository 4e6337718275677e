"""The command says what the function does: names, columns and options are passed on, mistakes answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contrascope.commands.import_crops import import_crops
from contrascope.errors import SettingsError
from contrascope.store.store import CropStore


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    np.save(tmp_path / "crops.npy", np.arange(6 * 8 * 9 * 2, dtype=np.uint16).reshape(6, 8, 9, 2))
    pl.DataFrame({"sgRNA": ["a", "b"] * 3, "gene": ["nt", "G"] * 3}).write_csv(tmp_path / "cells.csv")
    return tmp_path / "crops.npy"


def test_a_command_line_makes_a_store(crops: Path) -> None:
    facts, text = import_crops(
        crops,
        crops.parent / "cells.zarr",
        "arrays",
        cells=crops.parent / "cells.csv",
        column=["guide=sgRNA", "perturbation=gene"],
        control=["nt"],
        channels="DAPI,GFP",
        settings=["axes=NHWC"],
    )
    store = CropStore(crops.parent / "cells.zarr")
    counts = {"rows": 6, "stored": 6, "dropped": {}, "images_without_row": 0}
    assert facts == {"store": str(store.path), "notes": []} | counts
    assert "6 cells in the table = 6 stored" in text
    assert store.channels == ["DAPI", "GFP"]
    assert np.array_equal(store.read(np.arange(6)), np.load(crops).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("wrong", ["axes", "axes=", "=NHWC", "axes=[", "out=x", "axes=3"])
def test_an_option_that_is_not_understood_is_answered(wrong: str, crops: Path) -> None:
    with pytest.raises(SettingsError):
        import_crops(
            crops, crops.parent / "s.zarr", "arrays", cells=crops.parent / "cells.csv", channels="a,b", settings=[wrong]
        )
