"""Numbers are those of cp_measure called on one object and channel at a time, and what they say is true."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pytest
from cp_measure.bulk import get_core_measurements, get_correlation_measurements
from skimage.draw import disk

from contrascope.features.measure import feature_names, greys_of, measured
from contrascope.features.plan import Plan
from contrascope.features.segment import Mask, segment
from contrascope.store.store import CropStore

CHANNELS = ("DAPI", "Tubulin", "gH2AX", "Phalloidin")
SHAPES = ("sizeshape", "zernike", "feret")


def one_at_a_time(pixels: np.ndarray, masks: dict[str, np.ndarray], greys: int) -> dict[str, float]:
    """cp_measure's own interface, and its names with object and channels in front."""
    found: dict[str, float] = {}
    core, pairs = get_core_measurements(), get_correlation_measurements()
    for thing, mask in masks.items():
        labels = mask.astype(int)
        for family, function in core.items():
            for c, channel in enumerate([""] if family in SHAPES else CHANNELS):
                image = np.clip(pixels[c], 0, 1) if family == "texture" else pixels[c]
                for name, values in function(labels, image).items():
                    found[f"{thing} {channel} {name}"] = float(values[0])
        for family, function in pairs.items():
            for a, b in combinations(range(len(CHANNELS)), 2):
                images, options = (pixels[a], pixels[b]), {}
                if family == "costes":
                    images, options = tuple(np.clip(i, 0, 1) for i in images), {"scale_max": greys}
                for name, values in function(*images, labels, **options).items():
                    found[f"{thing} {CHANNELS[a]} {CHANNELS[b]} {name}"] = float(values[0])
    return found


def name_in_cellprofiler(ours: str) -> str:
    """What stands in a CellProfiler table for a name of ``one_at_a_time``, written out case by case."""
    thing, *channels, name = ours.split(" ")
    parts = name.split("_")
    if len(channels) == 2:
        order = channels[::-1] if parts[-1] == "2" else channels
        feature = {"Pearson": "Correlation"}.get(parts[1], parts[1])
        return f"{thing}_Correlation_{feature}_{order[0]}_{order[1]}"
    if channels == [""]:
        return f"{thing}_AreaShape_{name}"
    if parts[0] in ("Intensity", "Granularity", "Location"):
        return f"{thing}_{name}_{channels[0]}"
    if parts[0] == "RadialDistribution":
        return "_".join([thing, *parts[:2], channels[0], *parts[2:]])
    return "_".join([thing, "Texture", parts[0], channels[0], *parts[1:]])


@pytest.mark.parametrize("row", [0, 57, 201, 330])
def test_numbers_equal_those_of_cp_measure_called_directly(row: int, tiny_store: CropStore, plan: Plan) -> None:
    pixels = plan.scaled(tiny_store.read(np.array([row])))[0]
    mask, greys = segment(pixels, plan.anatomy), greys_of(plan.white)
    ours = measured(pixels, mask, CHANNELS, "full", greys)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct = one_at_a_time(pixels, {"Cells": mask.cell, "Cytoplasm": mask.cytoplasm, "Nuclei": mask.nucleus}, greys)
    theirs = {name_in_cellprofiler(name): value for name, value in direct.items()}
    # cp_measure has Manders' overlap as well, but not in its lists.
    lacking = set(ours) - set(theirs)
    assert all(name.split("_")[2] in ("Overlap", "K") for name in lacking)
    assert set(theirs) <= set(ours)
    for name, value in theirs.items():
        # Textures of its two ways to compute them differ by 1e-5.
        tolerance = 1e-4 if "_Texture_" in name else 1e-9
        assert ours[name] == pytest.approx(value, rel=tolerance, abs=1e-9, nan_ok=True), name


def test_names_are_those_of_every_cell(tiny_store: CropStore, plan: Plan) -> None:
    pixels = plan.scaled(tiny_store.read(np.array([3])))[0]
    for which in ("fast", "full"):
        found = measured(pixels, segment(pixels, plan.anatomy), CHANNELS, which, 255)
        assert sorted(found) == feature_names(CHANNELS, which)


def test_no_feature_has_a_slash_in_its_name_and_no_two_channels_share_one() -> None:
    names = feature_names(("a/b", "a_b"), "full")
    assert "Cells_Intensity_MeanIntensity_a_b_" in names
    assert "Cells_Intensity_MeanIntensity_a_b" in names
    assert not [name for name in names if "/" in name]
    assert len(names) == len(feature_names(("DNA", "GFP"), "full"))


def test_a_drawn_cell_measures_what_was_drawn() -> None:
    nucleus, cell = np.zeros((2, 64, 64), bool)
    nucleus[disk((32, 30), 6)], cell[disk((32, 32), 15)] = True, True
    pixels = np.stack([nucleus * 0.5 + 0.1, cell * 0.25 + nucleus * 0.5])
    found = measured(pixels, Mask(nucleus, cell, "ok"), ("DNA", "GFP"), "fast", 255)
    assert found["Cells_AreaShape_Area"] == cell.sum()
    assert found["Cytoplasm_AreaShape_Area"] == cell.sum() - nucleus.sum()
    assert found["Nuclei_AreaShape_Center_X"] == pytest.approx(30)
    assert found["Nuclei_Intensity_MeanIntensity_DNA"] == pytest.approx(0.6)
    assert found["Cytoplasm_Intensity_MeanIntensity_GFP"] == pytest.approx(0.25)
    assert found["Cells_Correlation_Correlation_DNA_GFP"] == pytest.approx(1)


@pytest.mark.parametrize("pixels_of_nucleus", [1, 2, 3, 4])
def test_the_smallest_cells_are_measured(pixels_of_nucleus: int) -> None:
    nucleus = np.zeros((32, 32), bool)
    nucleus[16, 16 : 16 + pixels_of_nucleus] = True
    pixels = np.random.default_rng(0).random((2, 32, 32))
    found = measured(pixels, Mask(nucleus, nucleus, "ok"), ("DNA", "GFP"), "full", 255)
    assert found["Nuclei_AreaShape_Area"] == pixels_of_nucleus
    assert np.isnan(found["Cytoplasm_AreaShape_Area"])  # there is none
