"""The split: shares hold over all cells and in each perturbation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.sampling.split import SPLIT_NAMES, TEST, TRAIN, VALIDATION, split_cells, split_groups

PAPER = (0.83, 0.02, 0.15)

labels_of_cells = st.lists(st.integers(0, 6), min_size=1, max_size=200).map(np.array)
shares_of_parts = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda w: (w[0] / sum(w), w[1] / sum(w), w[2] / sum(w))
)


@given(labels_of_cells, shares_of_parts, st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_each_perturbation_has_its_share_within_one_cell(
    labels: np.ndarray, shares: tuple[float, float, float], seed: int
) -> None:
    parts = split_cells(labels, shares=shares, seed=seed)
    for label in np.unique(labels):
        mine = parts[labels == label]
        for part, share in enumerate(shares):
            assert abs((mine == part).sum() - share * len(mine)) < 1 + 1e-6


@given(labels_of_cells, shares_of_parts, st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_every_cell_has_one_part(labels: np.ndarray, shares: tuple[float, float, float], seed: int) -> None:
    parts = split_cells(labels, shares=shares, seed=seed)
    assert parts.shape == labels.shape
    assert parts.dtype == np.int8
    assert set(np.unique(parts)) <= {part for part, share in enumerate(shares) if share > 0}


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_shares_hold_over_many_small_perturbations(seed: int) -> None:
    """Rounding each perturbation of 4 cells the same way would leave validation without any cell."""
    parts = split_cells(np.repeat(np.arange(2000), 4), shares=PAPER, seed=seed)
    for part, share in enumerate(PAPER):
        n, p = len(parts), share
        assert abs((parts == part).mean() - p) < 5 * np.sqrt(p * (1 - p) / n)


def test_equal_seeds_give_equal_splits_and_others_do_not() -> None:
    labels = np.random.default_rng(0).integers(0, 5, 1000)
    one, same, other = (split_cells(labels, shares=PAPER, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_where_a_cell_lies_in_the_store_says_nothing_of_its_part() -> None:
    parts = np.concatenate([split_cells(np.zeros(400, int), shares=(0.5, 0.2, 0.3), seed=s) for s in range(200)])
    by_place = (parts == TRAIN).reshape(200, 400).mean(0)
    assert by_place.std() == pytest.approx(np.sqrt(0.25 / 200), rel=0.25)
    assert abs(by_place[:200].mean() - by_place[200:].mean()) < 0.02


def test_a_lone_cell_of_a_perturbation_is_trained_on_as_often_as_its_share() -> None:
    parts = np.array([split_cells(np.array([0]), shares=PAPER, seed=s)[0] for s in range(2000)])
    assert (parts == TRAIN).mean() == pytest.approx(0.83, abs=0.04)
    assert (parts == TEST).mean() == pytest.approx(0.15, abs=0.04)


def test_numpys_own_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    split_cells(np.zeros(10, int), shares=PAPER, seed=0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_parts_have_names() -> None:
    assert [SPLIT_NAMES[part] for part in (TRAIN, VALIDATION, TEST)] == ["train", "validation", "test"]


@given(st.integers(1, 30), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_group_is_in_one_part(n_groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, 100)])
    parts = split_groups(rng.integers(0, 4, len(groups)), groups, shares=(0.6, 0.2, 0.2), seed=seed)
    assert all(len(set(parts[groups == g])) == 1 for g in range(n_groups))


def test_each_perturbation_has_its_share_of_guides_within_one() -> None:
    """Ten perturbations of four guides, 20 cells each: with a quarter of them held out, each holds out one."""
    guides = np.repeat(np.arange(40), 20)
    parts = split_groups(guides // 4, guides, shares=(0.5, 0.25, 0.25), seed=0)
    for m in range(10):
        held_out = np.unique(guides[(guides // 4 == m) & (parts == VALIDATION)])
        assert len(held_out) == 1


def test_wells_are_held_out_whole_though_they_hold_all_perturbations() -> None:
    wells = np.repeat(np.arange(20), 50)
    parts = split_groups(np.arange(1000) % 7, wells, shares=(0.8, 0.1, 0.1), seed=1)
    assert [len(np.unique(wells[parts == part])) for part in (TRAIN, VALIDATION, TEST)] == [16, 2, 2]
