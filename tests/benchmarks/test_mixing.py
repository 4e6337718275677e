"""Neighbours, against a loop that can be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.benchmarks.mixing import MOST_ASKED, Mixing, mixing


def mixed(features: np.ndarray, labels: np.ndarray, *, neighbours: int = 10, seed: int = 0) -> Mixing:
    generator = np.random.default_rng(seed)
    return mixing(features, labels, np.arange(len(labels)), neighbours=neighbours, generator=generator)


def test_the_share_is_what_a_loop_over_cells_finds() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120)
    features = random.normal(size=(120, 5)) * [1, 10, 100, 1, 1] + labels[:, None]
    scaled = (features - features.mean(0)) / features.std(0)
    expected, chance = [], []
    for cell in range(120):
        distance = np.linalg.norm(scaled - scaled[cell], axis=1)
        distance[cell] = np.inf
        nearest = np.argsort(distance)[:10]
        expected.append(np.mean(labels[nearest] == labels[cell]))
        others = np.delete(labels, cell)
        chance.append(np.mean(others == labels[cell]))
    found = mixed(features, labels)
    np.testing.assert_allclose(found.same.mean(axis=1), expected)
    np.testing.assert_allclose(found.expected, chance)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_turning_and_growing_the_space_changes_no_neighbour(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    features = random.normal(size=(90, 4))
    # Equal variance in all directions, so that standardising does not undo the turn.
    white, _, turn = np.linalg.svd(features - features.mean(0), full_matrices=False)
    turned = 3 * white @ turn + 5
    assert np.mean(mixed(turned, labels).same == mixed(white, labels).same) > 0.99  # ties aside


def test_an_embedding_that_knows_nothing_mixes_by_chance_and_its_interval_says_so() -> None:
    held = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        labels = (random.random(400) < 0.3).astype(int)
        found = mixed(random.normal(size=(400, 8)), labels, neighbours=20, seed=seed)
        low, high = found.same.mean() + np.percentile(found.spread(random), [2.5, 97.5])
        held.append(low < found.expected.mean() < high)
    assert 0.88 < np.mean(held) < 0.99


@pytest.mark.parametrize("features", [np.zeros((500, 3)), np.tile([[1.0, 2.0], [3.0, 1.0]], (250, 1))])
def test_ties_are_broken_at_random(features: np.ndarray) -> None:
    labels = np.repeat([0, 1], 250)
    found = mixed(features, labels)
    assert found.same.mean() == pytest.approx(found.expected.mean(), abs=0.05)


def test_batches_that_lie_apart_reach_one_also_where_one_is_small() -> None:
    labels = np.repeat([0, 1], [500, 6])
    found = mixed(np.random.default_rng(0).normal(size=(506, 3)) + 100 * labels[:, None], labels, neighbours=30)
    assert found.same.shape == (506, 5)
    assert found.same.all()


def test_only_so_many_cells_are_asked() -> None:
    random = np.random.default_rng(0)
    found = mixed(random.normal(size=(MOST_ASKED + 500, 2)), random.integers(0, 2, MOST_ASKED + 500))
    assert len(found.same) == MOST_ASKED
    assert len(found.of_tiles) == MOST_ASKED + 500


def test_cells_of_one_tile_are_one_witness() -> None:
    random = np.random.default_rng(0)
    tile, labels = np.repeat(np.arange(40), 25), np.repeat(np.arange(2), 500)
    features = random.normal(size=(40, 6))[tile] + 0.1 * random.normal(size=(1000, 6))
    spread = []
    for groups in (tile, np.arange(1000)):
        found = mixing(features, labels, groups, neighbours=60, generator=np.random.default_rng(0))
        spread.append(np.std(found.spread(np.random.default_rng(1))))
    assert spread[0] > 3 * spread[1]


def test_one_tile_says_nothing_of_other_tiles() -> None:
    features, labels = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2
    found = mixing(features, labels, np.zeros(100, dtype=int), neighbours=5, generator=np.random.default_rng(0))
    assert np.isnan(found.spread(np.random.default_rng(0))).all()
