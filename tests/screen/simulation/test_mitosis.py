"""Cells in mitosis look as such: round, their DNA condensed into plates across the axis."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import Design
from contrascope.screen.simulation.mitosis import paint_mitotic
from contrascope.screen.simulation.render import paint_cells
from contrascope.screen.simulation.shapes import AXIS

Crowd = tuple[Design, Cells, np.ndarray]


@pytest.fixture(scope="module")
def dividing(crowd: Crowd) -> Cells:
    return crowd[1].take(np.flatnonzero(crowd[1].mitotic)[:120])


@pytest.fixture(scope="module")
def painted(dividing: Cells) -> np.ndarray:
    return paint_mitotic(dividing, np.random.default_rng(0)).astype(float)


def test_a_painted_cell_holds_its_light_once(painted: np.ndarray) -> None:
    assert painted.min() >= 0
    np.testing.assert_allclose(painted.sum(axis=(2, 3)), 1, rtol=1e-4)


def test_dna_is_condensed(crowd: Crowd, painted: np.ndarray) -> None:
    resting = crowd[1].take(np.flatnonzero(~crowd[1].mitotic)[:120])
    dapi = paint_cells(resting, np.random.default_rng(0))[:, 0] / resting.light[:, 0, None, None]

    def area(patches: np.ndarray) -> np.ndarray:
        """Pixels that hold half of the light."""
        falling = -np.sort(-patches.reshape(len(patches), -1), axis=1)
        return np.asarray((np.cumsum(falling, axis=1) < 0.5 * falling.sum(axis=1, keepdims=True)).sum(axis=1))

    assert area(painted[:, 0]).mean() < 0.6 * area(dapi).mean()


def test_plates_lie_across_the_axis_one_in_metaphase_two_in_anaphase(dividing: Cells, painted: np.ndarray) -> None:
    sin, cos = (f(dividing.orientation)[:, None, None] for f in (np.sin, np.cos))
    y, x = AXIS[None, :, None], AXIS[None, None, :]
    along, across = y * sin + x * cos, y * cos - x * sin
    dna = painted[:, 0] * (painted[:, 0] > 0.2 * painted[:, 0].max(axis=(1, 2), keepdims=True))
    dna /= dna.sum(axis=(1, 2), keepdims=True)
    middle = (dna * (np.abs(along) < 2)).sum(axis=(1, 2))
    two = middle < 0.2
    assert two.mean() == pytest.approx(0.3, abs=0.12)
    assert (middle[~two] > 0.6).all(), "a plate lies in the middle, or two on its sides"
    thick, wide = (np.sqrt((dna * axis**2).sum(axis=(1, 2)))[~two] for axis in (along, across))
    assert (wide > 1.5 * thick).all()


def test_a_dividing_cell_is_rounder_and_smaller_than_it_was(crowd: Crowd, dividing: Cells, painted: np.ndarray) -> None:
    tubulin = painted[:, 1] / painted[:, 1].sum(axis=(1, 2), keepdims=True)
    spread = np.sqrt((tubulin * (AXIS[:, None] ** 2 + AXIS[None, :] ** 2)).sum(axis=(1, 2)))
    resting = paint_cells(crowd[1].take(np.flatnonzero(~crowd[1].mitotic)[:120]), np.random.default_rng(0))[:, 1]
    share = resting / resting.sum(axis=(1, 2), keepdims=True)
    before = np.sqrt((share * (AXIS[:, None] ** 2 + AXIS[None, :] ** 2)).sum(axis=(1, 2)))
    assert spread.mean() < 0.85 * before.mean()
