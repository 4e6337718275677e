"""Stages of the line that hold too many cells for memory give what they give in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrascope import pipeline
from contrascope.pipeline import Line
from contrascope.screen.screen import open_screen

SMALL = {
    "training.epochs": 1,
    "training.image_size": 16,
    "training.background_size": 4,
    "training.salient_size": 3,
}


def to_profiles(screen: Path, out: Path, **changes: object) -> Line:
    line = Line(open_screen(screen, SMALL | changes), out, lambda text: None)
    line.store()
    line.run()
    line.cells()
    line.profiles()
    return line


def test_a_huge_screen_is_embedded_into_a_folder_and_its_profiles_come_from_sums(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = to_profiles(tiny_screen, tmp_path / "small")
    monkeypatch.setattr(pipeline, "CELLS_IN_MEMORY", 10)
    huge = to_profiles(tiny_screen, tmp_path / "huge")
    folder = tmp_path / "huge" / "embedding"
    assert {path.name for path in folder.iterdir()} == {"cells.zarr", "cells.sums.zarr"}
    np.testing.assert_array_equal(huge.cells_now.obsm["salient"], small.cells_now.obsm["salient"])
    for by in ("guide", "perturbation"):
        expected, found = small.profiles_now[by], huge.profiles_now[by]
        assert found.obs_names.tolist() == expected.obs_names.tolist()
        np.testing.assert_allclose(found.obsm["salient"], expected.obsm["salient"], rtol=1e-8, atol=1e-10)
    before = (folder / "cells.zarr" / "zarr.json").stat().st_mtime_ns
    to_profiles(tiny_screen, tmp_path / "huge")
    assert (folder / "cells.zarr" / "zarr.json").stat().st_mtime_ns == before
    again = to_profiles(tiny_screen, tmp_path / "huge", **{"training.seed": 1})
    assert not np.array_equal(again.cells_now.obsm["salient"], small.cells_now.obsm["salient"])
