"""A store's channels, white levels and nuclei are known before a cell is measured."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.config import FeatureSettings
from contrascope.errors import SettingsError, StoreError
from contrascope.features.plan import Plan, plan_for
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore


def test_nuclei_are_looked_for_in_the_reference_channel_and_cells_in_all_others(plan: Plan) -> None:
    assert plan.channels[plan.anatomy.nucleus] == "DAPI"
    assert [plan.channels[i] for i in plan.anatomy.cell] == ["Tubulin", "gH2AX", "Phalloidin"]


def test_the_size_of_nuclei_is_that_of_the_planted_ones(plan: Plan, planted: dict) -> None:  # type: ignore[type-arg]
    planted_size = np.median([2 * np.sqrt(cell.nucleus.sum() / np.pi) for cell in planted.values()])
    assert plan.anatomy.diameter == pytest.approx(planted_size, rel=0.1)


def test_one_pixel_in_a_thousand_is_above_the_white_level(plan: Plan, tiny_store: CropStore) -> None:
    scaled = plan.scaled(tiny_store.read(np.arange(len(tiny_store))))
    assert (scaled > 1).mean(axis=(0, 2, 3)) == pytest.approx([0.001] * 4, rel=0.05)


def test_a_store_without_a_reference_channel_asks_for_the_nucleus(few: CropStore) -> None:
    with pytest.raises(SettingsError, match=r"does not say in which channel.*--nucleus.*DAPI, Actin"):
        plan_for(few, FeatureSettings())
    assert plan_for(few, FeatureSettings(nucleus="DAPI")).anatomy.cell == (1,)


def test_a_channel_that_is_not_there_is_named(few: CropStore) -> None:
    with pytest.raises(SettingsError, match=r"no channel 'GFP'.*DAPI, Actin"):
        plan_for(few, FeatureSettings(nucleus="DAPI", cell=["GFP"]))


def test_a_dark_channel_is_named(few: CropStore, tmp_path) -> None:  # type: ignore[no-untyped-def]
    images = few.read(np.arange(len(few)))
    images[:, 1] = 0
    dark = store_from_arrays(images, few.cells, tmp_path / "dark.zarr", channels=["DAPI", "Actin"])
    with pytest.raises(StoreError, match="nothing to measure in Actin"):
        plan_for(dark, FeatureSettings(nucleus="DAPI"))


def test_crops_without_nuclei_are_refused(few: CropStore, tmp_path) -> None:  # type: ignore[no-untyped-def]
    noise = np.full((len(few), 2, 32, 32), 7, np.uint16)
    empty = store_from_arrays(noise, few.cells, tmp_path / "empty.zarr", channels=["DAPI", "Actin"])
    with pytest.raises(StoreError, match="No nucleus lies at the centre of any of 23 crops"):
        plan_for(empty, FeatureSettings(nucleus="DAPI"))
