"""What tests of features share: the planted outlines of cells, and a store of few cells without a screen."""

from __future__ import annotations

from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
from scipy import ndimage

from contrascope.config import FeatureSettings
from contrascope.features.plan import Plan, plan_for
from contrascope.screen import synthetic
from contrascope.screen.simulation import shapes
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore


class Planted(NamedTuple):
    """(H, W) bool of what was painted in a crop."""

    nucleus: np.ndarray
    cell: np.ndarray


@pytest.fixture(scope="session")
def planted(tiny_store: CropStore) -> dict[str, Planted]:
    """Cell -> where its light lay in a crop of the tiny screen, before the microscope; painted again from its seed."""
    design = synthetic.design_screen(synthetic.preset_named("tiny"), np.random.default_rng([0, 0]))
    half, found = tiny_store.crop_size[0] // 2, {}
    window = slice(shapes.CENTRE - half, shapes.CENTRE + half)
    for place in synthetic._tiles(design):
        rng = np.random.default_rng([0, 4, *place.key])
        seen: dict[str, np.ndarray] = {}
        with (
            mock.patch.object(synthetic, "paint_cells", _keeping(seen, "patches", synthetic.paint_cells)),
            mock.patch.object(synthetic, "place_cells", _keeping(seen, "places", synthetic.place_cells)),
        ):
            _, table, _ = synthetic._grown(design, place, rng)
        inside = ((seen["places"] >= 0) & (seen["places"] <= design.preset.tile_size - 1)).all(axis=1)
        for cell_id, patch in zip(table["UID"], seen["patches"][inside], strict=True):
            found[cell_id] = Planted(_bright(patch[0])[window, window], _lit(patch[1])[window, window])
    return found


def _keeping(seen: dict[str, np.ndarray], name: str, function):  # type: ignore[no-untyped-def]
    def keep(*args, **options):  # type: ignore[no-untyped-def]
        seen[name] = function(*args, **options)
        return seen[name]

    return keep


def _lit(light: np.ndarray) -> np.ndarray:
    """Where there is any light, but for the soft outer half of the edge."""
    return ndimage.binary_erosion(ndimage.binary_fill_holes(light > 0))


def _bright(dna: np.ndarray) -> np.ndarray:
    """Where DNA is: 95 % of its light lies there, the rest in the whole cell."""
    return dna > 0.15 * np.percentile(dna[dna > 0.3 * dna.max()], 95)


@pytest.fixture(scope="session")
def plan(tiny_store: CropStore) -> Plan:
    """How the tiny screen is measured, fast."""
    return plan_for(tiny_store, FeatureSettings(features="fast"))


@pytest.fixture(scope="session")
def few(tiny_store: CropStore, tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """A store of 20 cells and 3 crops without any nucleus, of two channels, that knows no reference channel."""
    rows = np.arange(23) * 10
    images = tiny_store.read(rows)[:, [0, 3]]
    images[[4, 9, 17], 0] = np.random.default_rng(0).poisson(120, (3, *images.shape[2:]))
    cells = tiny_store.cells[rows].select("plate", "well", "tile", "cell_id", "guide", "perturbation", "control")
    out = tmp_path_factory.mktemp("few") / "cells.zarr"
    return store_from_arrays(images, cells, out, channels=["DAPI", "Actin"])
