"""Masks lie where cells were planted, nucleus inside cell, neighbours apart; doubtful ones say why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.draw import disk, ellipse

from contrascope.features import segment as s
from contrascope.features.plan import Plan
from contrascope.features.segment import Anatomy, Mask, segment
from contrascope.store.store import CropStore

WHERE = Anatomy(0, (1,), 12.0)


def drawn(*cells: tuple[float, float, float, float], size: int = 64) -> np.ndarray:
    """(2, H, W): discs of nuclei and of cells around them, each given as y, x and the two radii, on noisy ground."""
    crop = np.abs(np.random.default_rng(0).normal(0.04, 0.005, (2, size, size)))
    for y, x, nucleus, cell in cells:
        crop[0][disk((y, x), nucleus, shape=(size, size))] += 0.8
        crop[1][disk((y, x), cell, shape=(size, size))] += 0.5
    return crop


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())


@pytest.fixture(scope="module")
def masks(tiny_store: CropStore, plan: Plan) -> dict[str, Mask]:
    ids = tiny_store.column("cell_id").to_list()
    crops = plan.scaled(tiny_store.read(np.arange(len(ids))))
    return {cell_id: segment(crop, plan.anatomy) for cell_id, crop in zip(ids, crops, strict=True)}


@pytest.mark.parametrize("part", ["nucleus", "cell"])
def test_masks_overlap_planted_cells(part: str, masks: dict[str, Mask], planted: dict[str, Any]) -> None:
    overlaps = [overlap(getattr(mask, part), getattr(planted[cell], part)) for cell, mask in masks.items()]
    assert np.median(overlaps) >= 0.88
    assert np.percentile(overlaps, 10) >= 0.75


def test_most_planted_cells_have_a_mask_without_doubt(masks: dict[str, Mask]) -> None:
    qualities = [mask.quality for mask in masks.values()]
    assert set(qualities) <= set(s.QUALITIES)
    assert qualities.count(s.OK) >= 0.85 * len(qualities)
    assert s.NO_NUCLEUS not in qualities


def test_a_nucleus_lies_inside_its_cell_and_cytoplasm_is_the_rest(masks: dict[str, Mask]) -> None:
    for mask in masks.values():
        assert not (mask.nucleus & ~mask.cell).any()
        assert mask.cytoplasm.sum() == mask.cell.sum() - mask.nucleus.sum() > 0


def test_touching_neighbours_are_parted_half_way() -> None:
    mask = segment(drawn((32, 26, 5, 12), (32, 46, 5, 12)), WHERE)
    assert mask.quality == s.NO_NUCLEUS or mask.cell[32, 20:35].all()
    assert not mask.cell[:, 38:].any()
    assert overlap(mask.nucleus, drawn((32, 26, 5, 12))[0] > 0.4) > 0.8


def test_brightness_does_not_matter() -> None:
    crop = drawn((32, 32, 6, 14), (12, 50, 6, 10))
    dim = crop.copy()
    dim[0][disk((12, 50), 7)] *= 8
    bright, beside = segment(crop, WHERE), segment(dim, WHERE)
    assert overlap(bright.nucleus, beside.nucleus) > 0.9


def test_an_empty_crop_has_no_nucleus() -> None:
    for crop in (np.zeros((2, 32, 32)), np.full((2, 32, 32), 0.5)):
        mask = segment(crop, WHERE)
        assert mask.quality == s.NO_NUCLEUS
        assert not mask.cell.any()


def test_a_nucleus_elsewhere_is_not_the_one_at_the_centre() -> None:
    assert segment(drawn((12, 12, 6, 10)), WHERE).quality == s.NO_NUCLEUS
    assert segment(drawn((30, 30, 6, 10)), WHERE).quality == s.OK


@pytest.mark.parametrize(
    ("cell", "quality"),
    [
        ((32, 32, 3.2, 10), s.SMALL),
        ((32, 32, 13, 20), s.LARGE),
        ((32, 32, 6, 33), s.CUT),
        ((32, 32, 6, 0.1), s.UNSEEN),
        ((32, 32, 6, 14), s.OK),
    ],
)
def test_a_doubtful_mask_says_why(cell: tuple[float, float, float, float], quality: str) -> None:
    assert segment(drawn(cell), WHERE).quality == quality


def test_several_channels_show_a_cell_together() -> None:
    crop = np.concatenate([drawn((32, 32, 6, 0.1)), np.full((1, 64, 64), 0.04)])
    crop[1][ellipse(26, 32, 12, 8)] += 0.5
    crop[2][ellipse(38, 32, 12, 8)] += 0.5
    both = segment(crop, Anatomy(0, (1, 2), 12.0)).cell
    assert both[20:44, 32].all()
    assert not segment(crop, WHERE).cell[45:].any()
