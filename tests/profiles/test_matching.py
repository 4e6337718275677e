"""A matched control is the nearest there is, of the cell's own batch where that has enough, and not shown twice."""

from __future__ import annotations

import numpy as np

from contrascope.profiles.matching import ENOUGH, Controls, matched_controls


def _controls(seed: int, counts: dict[int, int], features: int = 3) -> Controls:
    random = np.random.default_rng(seed)
    batch = np.concatenate([np.full(count, number) for number, count in counts.items()])
    return Controls(1000 + random.permutation(len(batch)), random.normal(size=(len(batch), features)), batch)


def _by_a_loop(values, batch, card, controls) -> list[int]:
    found, used = [], set()
    for x, own, group in zip(values, batch, card, strict=True):
        pool = [i for i in range(len(controls.rows)) if controls.batch[i] == own]
        if len(pool) < ENOUGH:
            pool = list(range(len(controls.rows)))
        order = sorted(pool, key=lambda i: float(((controls.values[i] - x) ** 2).sum()))
        chosen = next(i for i in order if (group, i) not in used)
        used.add((group, chosen))
        found.append(int(controls.rows[chosen]))
    return found


def test_controls_are_those_that_a_loop_finds() -> None:
    controls, random = _controls(0, {0: 40, 1: 35, 2: 5}), np.random.default_rng(1)
    values, batch = random.normal(size=(60, 3)), random.integers(0, 4, size=60)
    card = np.repeat(np.arange(10), 6)
    found = matched_controls(values, batch, card, controls)
    assert found.control.tolist() == _by_a_loop(values, batch, card, controls)
    where = {int(row): i for i, row in enumerate(controls.rows)}
    expected = [np.linalg.norm(controls.values[where[int(r)]] - x) for r, x in zip(found.control, values, strict=True)]
    np.testing.assert_allclose(found.distance, expected)


def test_a_batch_with_few_controls_borrows_from_all() -> None:
    controls = _controls(0, {0: ENOUGH, 1: ENOUGH - 1})
    found = matched_controls(np.zeros((3, 3)), np.array([0, 1, 7]), np.arange(3), controls)
    assert found.own_batch.tolist() == [True, False, False]


def test_controls_at_random_are_of_the_same_batch() -> None:
    controls = _controls(0, {0: ENOUGH, 1: ENOUGH})
    found = matched_controls(np.zeros((50, 3)), np.zeros(50, dtype=int), np.arange(50), controls)
    assert set(found.other) <= set(controls.rows[controls.batch == 0])
    assert len(set(found.other)) > 5


def test_with_too_few_controls_for_a_card_one_is_shown_again() -> None:
    controls = _controls(0, {0: 2})
    found = matched_controls(np.zeros((4, 3)), np.zeros(4, dtype=int), np.zeros(4, dtype=int), controls)
    assert set(found.control) == set(controls.rows)
