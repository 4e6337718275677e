"""Guides beside control guides of as many cells."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.benchmarks.matched_guides import MatchedGuides, steps_of_cells


def test_steps_lose_a_sixth_of_the_cells_at_most() -> None:
    for most in (5, 6, 23, 50, 200):
        steps = steps_of_cells(most)
        assert steps[0] == most and steps[-1] == 5 and len(set(steps)) == len(steps)
        for cells in range(5, most + 1):
            assert max(n for n in steps if n <= cells) >= cells * 5 // 6


def test_control_guides_are_drawn_down_to_each_slot() -> None:
    asked = []

    def value(guide: int, cells: int) -> float:
        asked.append((guide, cells))
        return 100.0 * guide + cells

    step = {0: 10, 1: 20, 7: 20, 8: 20}
    matched = MatchedGuides(step, [7, 8], value)
    found = matched.in_slots([0, 1])
    assert found[1:].tolist() == [[110, 120], [710, 720], [810, 820]]
    assert found[0].tolist() == [10, 20]  # of 20 cells it would be as far below the control guides
    assert matched.own([0, 1]).tolist() == [10, 120]
    assert len(asked) == len(set(asked))
    matched.in_slots([1])
    assert len(asked) == len(set(asked))


def test_a_control_guide_of_few_cells_stays_where_it_is_among_the_others() -> None:
    random = np.random.default_rng(0)
    values = {guide: random.normal() for guide in range(1, 40)}
    step = {0: 40} | dict.fromkeys(values, 40) | {1: 10}
    found = MatchedGuides(step, list(values), lambda g, cells: values.get(g, 0.0) / cells).in_slots([0])
    # At 10 cells all lie four times as far from their mean.
    others = np.array([values[g] / 40 for g in values if g > 1])
    at_10 = np.array(list(values.values())) / 10
    expected = others.mean() + others.std() * (values[1] / 10 - at_10.mean()) / at_10.std()
    assert found[1, 0] == pytest.approx(expected)


def test_where_nothing_varies_all_guides_are_alike() -> None:
    step = {0: 10, 1: 20, 2: 20}
    assert (MatchedGuides(step, [1, 2], lambda *_: 3.0).in_slots([0]) == 3).all()
