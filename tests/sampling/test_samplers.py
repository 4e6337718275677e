"""Balanced batches: half and half, every perturbed cell once, every control equally often."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.sampling.samplers import Balance, BalancedBatches, in_order
from contrascope.vocabulary import Share


@st.composite
def screens(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels, rows that may be drawn, batch size; either group may be the larger one."""
    controls, perturbed = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    labels = rng.permutation(np.concatenate([np.zeros(controls, int), rng.integers(1, 5, perturbed)]))
    held_out = rng.integers(0, 5, 7)  # cells that are not ours to draw
    labels = np.concatenate([held_out, labels])
    return labels, np.arange(7, len(labels)), 2 * draw(st.integers(1, 20))


@given(screens(), st.integers(0, 100), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_an_epoch_is_balanced_and_wastes_less_than_a_batch(
    screen: tuple[np.ndarray, np.ndarray, int], seed: int, number: int
) -> None:
    labels, rows, batch_size = screen
    sampler = BalancedBatches(labels, rows, batch_size=batch_size, seed=seed)
    drawn = list(sampler.epoch(number))
    assert len(drawn) == len(sampler) >= 1
    perturbed, controls = (labels[rows] > 0).sum(), rows[labels[rows] == 0]
    half = min(batch_size // 2, perturbed)
    for batch in drawn:
        assert len(batch) == 2 * half
        assert (labels[batch[:half]] > 0).all()
        assert (labels[batch[half:]] == 0).all()
    seen = Counter(np.concatenate(drawn).tolist())
    assert set(seen) <= set(rows.tolist())
    times = [seen[row] for row in rows if labels[row] > 0]
    assert max(times) == 1
    assert times.count(0) == perturbed % half
    of_controls = [seen[row] for row in controls]
    assert max(of_controls) - min(of_controls) <= 1


def sampler(*, controls: int, perturbed: int, batch_size: int = 8, seed: int = 0) -> BalancedBatches:
    labels = np.concatenate([np.zeros(controls, int), np.arange(perturbed) % 3 + 1])
    return BalancedBatches(labels, np.arange(len(labels)), batch_size=batch_size, seed=seed)


def test_few_controls_are_seen_again_and_again() -> None:
    seen = Counter(np.concatenate(list(sampler(controls=3, perturbed=40).epoch(0))).tolist())
    assert sorted(seen[row] for row in range(3)) == [13, 13, 14]


def test_many_controls_are_seen_once_at_most() -> None:
    seen = Counter(np.concatenate(list(sampler(controls=100, perturbed=12).epoch(0))).tolist())
    assert max(seen.values()) == 1


def test_over_the_epochs_all_controls_are_seen() -> None:
    s = sampler(controls=100, perturbed=12)
    seen = set(np.concatenate([batch for number in range(60) for batch in s.epoch(number)]).tolist())
    assert seen == set(range(112))


def test_the_rest_that_fills_no_batch_is_another_one_each_epoch() -> None:
    s = sampler(controls=5, perturbed=7)
    left_out = [set(range(5, 12)) - set(np.concatenate(list(s.epoch(number))).tolist()) for number in range(20)]
    assert {len(rest) for rest in left_out} == {3}
    assert len({frozenset(rest) for rest in left_out}) > 5


def test_epochs_differ_and_can_be_had_again_in_any_order() -> None:
    s = sampler(controls=30, perturbed=40)
    first, second = ([b.tolist() for b in s.epoch(number)] for number in (1, 2))
    assert first != second
    assert first == [b.tolist() for b in s.epoch(1)]


def test_equal_seeds_give_equal_epochs_and_others_do_not() -> None:
    one, same, other = (
        np.concatenate(list(sampler(controls=30, perturbed=40, seed=seed).epoch(1))) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_screen_smaller_than_a_batch_is_one_batch() -> None:
    (batch,) = sampler(controls=1, perturbed=2, batch_size=1024).epoch(0)
    assert sorted(batch.tolist()) == [0, 0, 1, 2]


def test_a_batch_mixes_perturbations() -> None:
    s = sampler(controls=200, perturbed=300, batch_size=64)
    assert all(len({row % 3 for row in batch[:32]}) == 3 for batch in s.epoch(0))


@given(st.integers(0, 50), st.integers(1, 20))
@settings(deadline=None)
def test_in_order_every_row_comes_once_and_in_order(n: int, batch_size: int) -> None:
    rows = np.arange(n) * 3
    drawn = list(in_order(rows, batch_size))
    assert [len(batch) for batch in drawn[:-1]] == [batch_size] * max(0, len(drawn) - 1)
    assert np.concatenate([*drawn, np.empty(0, int)]).tolist() == rows.tolist()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_labels_of_any_integer_type_will_do(dtype: type) -> None:
    labels = np.array([0, 0, 1, 2], dtype=dtype)
    (batch,) = BalancedBatches(labels, np.arange(4), batch_size=4, seed=0).epoch(0)
    assert sorted(batch.tolist()) == [0, 1, 2, 3]


def places(counts: list[int], balance: Balance, *, epochs: int = 1) -> Counter[int]:
    """How often each row is drawn, for perturbations with so many cells each."""
    labels = np.repeat(np.arange(1, len(counts) + 1), counts)
    labels = np.concatenate([labels, np.zeros(5, int)])
    s = BalancedBatches(labels, np.arange(len(labels)), batch_size=2, seed=0, balance=balance)
    drawn = np.concatenate([b[:1] for number in range(epochs) for b in s.epoch(number)])
    return Counter(drawn.tolist())


@pytest.mark.parametrize(
    ("balance", "share"),
    [("none", [0.01, 0.09, 0.9]), ("sqrt", [1 / 13.487, 3 / 13.487, 0.7034]), ("uniform", [1 / 3] * 3)],
)
def test_rare_perturbations_have_the_places_that_balance_gives_them(balance: Balance, share: list[float]) -> None:
    drawn = places([10, 90, 900], balance)
    assert drawn.total() == 1000
    of_each = [sum(drawn[row] for row in rows) for rows in (range(10), range(10, 100), range(100, 1000))]
    assert all(abs(n - 1000 * p) <= 1.5 for n, p in zip(of_each, share, strict=True))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.sampled_from(["sqrt", "uniform"]))
@settings(max_examples=60, deadline=None)
def test_cells_of_a_perturbation_take_turns(counts: list[int], balance: Balance) -> None:
    drawn, start = places(counts, balance), 0
    assert drawn.total() == sum(counts)
    for n in counts:
        seen = [drawn[row] for row in range(start, start + n)]
        assert max(seen) - min(seen) <= 1
        start += n


def test_a_perturbation_with_less_than_a_place_gets_its_due_over_the_epochs() -> None:
    drawn = places([1, 10_000], "sqrt", epochs=40)
    assert abs(drawn[0] / 40 - 10_001 / 101) < 1.5


@given(st.integers(1, 6), st.integers(1, 8))
def test_shares_of_a_batch_have_as_many_of_each_half_and_are_the_batch_together(of: int, share: int) -> None:
    half = of * share
    places = [Share(rank, of).places(2 * half) for rank in range(of)]
    assert sorted(np.concatenate(places).tolist()) == list(range(2 * half))
    assert all((mine < half).sum() == share == (mine >= half).sum() for mine in places)
