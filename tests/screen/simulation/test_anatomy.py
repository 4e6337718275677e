"""Parts of a cell lie where a cell has them."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.screen.simulation.anatomy import Anatomy, anatomy_of
from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import Design

Crowd = tuple[Design, Cells, np.ndarray]


@pytest.fixture(scope="module")
def some(crowd: Crowd) -> tuple[Cells, Anatomy]:
    cells = crowd[1].take(np.arange(200))
    return cells, anatomy_of(cells, np.random.default_rng(0))


def test_areas_are_those_of_the_radii(some: tuple[Cells, Anatomy]) -> None:
    cells, anatomy = some
    for share, radius in ((anatomy.body, cells.radius), (anatomy.nucleus, cells.nucleus_radius)):
        relative = share.sum(axis=(1, 2)) / (np.pi * radius**2)
        assert relative.mean() == pytest.approx(1, abs=0.06)  # bumps add a little
        assert relative.min() > 0.6 and relative.max() < 1.7


def test_a_nucleus_lies_within_its_cell_which_is_thickest_there(some: tuple[Cells, Anatomy]) -> None:
    _, anatomy = some
    outside = np.minimum(anatomy.nucleus, 1 - anatomy.body).sum(axis=(1, 2)) / anatomy.nucleus.sum(axis=(1, 2))
    assert outside.max() < 0.05
    middle = (anatomy.inside > 6) & (anatomy.inside < 9)
    assert (
        anatomy.haze[middle & (anatomy.nucleus == 1)].mean()
        > 1.3 * anatomy.haze[middle & (anatomy.nucleus == 0)].mean()
    )
    assert not anatomy.haze[anatomy.body == 0].any()


def test_a_cell_ends_within_its_patch(some: tuple[Cells, Anatomy]) -> None:
    body = some[1].body
    assert not body[:, [0, -1]].any() and not body[:, :, [0, -1]].any()
