"""Cells as they are painted: as much light as was drawn for them, where they are, along their axis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import CHANNELS, Design
from contrascope.screen.simulation.render import paint_cells
from contrascope.screen.simulation.shapes import AXIS

Crowd = tuple[Design, Cells, np.ndarray]
TUBULIN, DAMAGE, ACTIN = (CHANNELS.index(name) for name in ("Tubulin", "gH2AX", "Phalloidin"))


def test_a_cell_has_the_light_that_was_drawn_for_it(crowd: Crowd) -> None:
    _, cells, _ = crowd
    some = cells.take(np.arange(60))
    patches = paint_cells(some, np.random.default_rng(0))
    assert patches.min() >= 0
    np.testing.assert_allclose(patches.sum(axis=(2, 3)), some.light, rtol=1e-4)


def plain(cells: Cells, n: int) -> Cells:
    """Cells in interphase without structures."""
    return cells.take(np.flatnonzero(~cells.mitotic & (cells.structure == 0))[:n])


def test_dna_lies_where_the_nucleus_is_and_little_else(crowd: Crowd) -> None:
    some = plain(crowd[1], 60)
    dapi = paint_cells(some, np.random.default_rng(0))[:, 0].astype(float)
    share = dapi / dapi.sum(axis=(1, 2), keepdims=True)
    y, x = AXIS[:, None], AXIS[None, :]
    centre = np.stack([(share * y).sum(axis=(1, 2)), (share * x).sum(axis=(1, 2))], axis=1)
    assert np.median(np.linalg.norm(centre - some.nucleus_offset, axis=1)) < 1
    for cell, offset in enumerate(some.nucleus_offset):
        away = np.hypot(y - offset[0], x - offset[1])
        assert share[cell][away < 1.5 * some.nucleus_radius[cell]].sum() > 0.9


def test_light_is_of_the_cell_and_not_of_the_ground_around_it(crowd: Crowd) -> None:
    some = plain(crowd[1], 60)
    patches = paint_cells(some, np.random.default_rng(0))
    away = np.hypot(AXIS[:, None], AXIS[None, :])
    for cell, patch in enumerate(patches):
        far = away > 2 * some.radius[cell] * np.sqrt(some.elongation[cell])
        assert (patch[:, far].sum(axis=1) < 0.01 * patch.sum(axis=(1, 2))).all()


def test_stress_fibres_run_along_the_cell(crowd: Crowd) -> None:
    some = plain(crowd[1], 60)
    # Round cells, so that no outline tells the axis, and nothing but fibres.
    some = replace(some, elongation=np.ones(60), fibres=np.ones(60), cortex=np.zeros(60))
    actin = ndimage.gaussian_filter(paint_cells(some, np.random.default_rng(0))[:, ACTIN], (0, 1, 1))
    dy, dx = np.gradient(actin, axis=(1, 2))
    # The structure tensor's main direction is across the fibres.
    across = 0.5 * np.arctan2(2 * (dy * dx).sum(axis=(1, 2)), (dx**2 - dy**2).sum(axis=(1, 2)))
    assert np.cos(2 * (across - np.pi / 2 - some.orientation)).mean() > 0.9


def test_foci_can_be_counted(crowd: Crowd) -> None:
    some = plain(crowd[1], 40)
    few, many = (
        paint_cells(replace(some, foci=np.full(40, n)), np.random.default_rng(0))[:, DAMAGE]
        / some.light[:, [DAMAGE], None]
        for n in (0, 8)
    )

    def peaks(patches: np.ndarray) -> float:
        highest = ndimage.maximum_filter(patches, (0, 5, 5))
        return float(((patches == highest) & (patches > 0.006)).sum(axis=(1, 2)).mean())

    assert peaks(few) < 0.5
    assert 3 < peaks(many) <= 8, "some lie upon each other"


def test_a_cell_is_painted_the_same_alone_as_far_as_chance_is(crowd: Crowd) -> None:
    some = plain(crowd[1], 30)
    once, again = (paint_cells(some, np.random.default_rng(0)) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert paint_cells(some.take(np.array([], int)), np.random.default_rng(0)).shape == (0, 4, len(AXIS), len(AXIS))
