"""Structures that controls never have: form and nothing else, and only in the cells that carry them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from contrascope.screen.simulation import shapes
from contrascope.screen.simulation.anatomy import anatomy_of
from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import STRUCTURES, Design
from contrascope.screen.simulation.render import paint_cells
from contrascope.screen.simulation.structures import add_structures

Crowd = tuple[Design, Cells, np.ndarray]
PLACES = {"cage": {1}, "micronuclei": {0, 2}, "aggregates": {3}, "vacuoles": {1, 3}}
"""Channels that each structure is seen in."""


def test_a_structure_changes_form_but_not_contrast(crowd: Crowd) -> None:
    _, cells, _ = crowd
    carriers = cells.take(np.flatnonzero(cells.structure > 0)[:250])
    bare = cells.take(np.flatnonzero(~cells.penetrant & ~cells.mitotic)[:250])

    def spread(group: Cells) -> np.ndarray:
        patches = paint_cells(group, np.random.default_rng(0)) / group.light[:, :, None, None]
        return np.log(ndimage.gaussian_filter(patches, (0, 0, 0.85, 0.85)).std(axis=(2, 3)))

    ours, theirs = spread(carriers), spread(bare)
    apart = np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) / theirs.std(axis=0)
    assert apart.max() < 0.35


@pytest.mark.parametrize("name", list(PLACES))
def test_a_structure_is_seen_in_its_channels_and_in_the_cells_that_carry_it(crowd: Crowd, name: str) -> None:
    some = crowd[1].take(np.flatnonzero(~crowd[1].mitotic)[:8])
    carrier = np.arange(8) % 2 == 1
    some = replace(some, structure=np.where(carrier, STRUCTURES.index(name), 0), strength=np.where(carrier, 1.0, 0.0))
    anatomy = anatomy_of(some, np.random.default_rng(0))
    bare = shapes.shared(anatomy.haze * np.exp(0.3 * shapes.noise(np.ones(8), np.random.default_rng(1))))
    channels = [bare.copy() for _ in range(4)]
    add_structures(channels, some, anatomy, np.random.default_rng(2))
    for c, channel in enumerate(channels):
        assert channel.sum(axis=(1, 2)) == pytest.approx(np.ones(8), rel=1e-4)
        np.testing.assert_array_equal(channel[~carrier], bare[~carrier])
        moved = np.abs(channel - bare).sum(axis=(1, 2))[carrier] / 2
        assert moved.mean() > 0.08 if c in PLACES[name] else moved.max() < 0.01, c
