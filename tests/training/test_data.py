"""What a trainer draws from: a pass goes on where the steps say, and processes together see what one sees."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.sampling.samplers import BalancedBatches
from contrascope.store.store import CropStore
from contrascope.training.data import TrainingStream, ValidationStream
from contrascope.vocabulary import Batch, Share


@pytest.fixture(scope="module")
def sampler(store: CropStore) -> BalancedBatches:
    return BalancedBatches(store.labels, np.arange(100), batch_size=16, seed=3)


def rows_of(batches: list[Batch]) -> list[list[int]]:
    return [batch.rows.tolist() for batch in batches]


def test_a_batch_has_the_pixels_and_labels_of_its_rows(store: CropStore, sampler: BalancedBatches) -> None:
    for batch in TrainingStream(store, sampler, lambda: 0):
        rows = batch.rows.numpy()
        np.testing.assert_array_equal(batch.images.numpy(), store.read(rows))
        np.testing.assert_array_equal(batch.perturbation.numpy(), store.labels[rows])
        assert (batch.perturbation[: len(rows) // 2] > 0).all() and not batch.perturbation[len(rows) // 2 :].any()


@pytest.mark.parametrize("taken", [0, 1, 7, 8, 9, 20])
def test_a_pass_begins_where_the_training_is_and_ends_with_the_epoch(
    taken: int, store: CropStore, sampler: BalancedBatches
) -> None:
    length = len(sampler)
    every = [rows.tolist() for epoch in range(4) for rows in sampler.epoch(epoch)]
    stream = TrainingStream(store, sampler, lambda: taken)
    assert len(stream) == length
    assert rows_of(list(stream)) == every[taken : (taken // length + 1) * length]


def test_steps_are_asked_for_at_every_pass(store: CropStore, sampler: BalancedBatches) -> None:
    taken = 0
    stream = TrainingStream(store, sampler, lambda: taken)
    first = rows_of(list(stream))
    assert rows_of(list(stream)) == first, "nothing else is remembered"
    taken = len(sampler)
    second = rows_of(list(stream))
    assert second != first
    perturbed = [sorted(row for rows in pass_ for row in rows[: len(rows) // 2]) for pass_ in (first, second)]
    assert len(set(perturbed[0])) == len(perturbed[0]), "no perturbed cell comes twice in an epoch"


@pytest.mark.parametrize("processes", [2, 4])
def test_shares_of_a_batch_are_the_batch(processes: int, store: CropStore, sampler: BalancedBatches) -> None:
    whole = rows_of(list(TrainingStream(store, sampler, lambda: 2)))
    shares = [
        rows_of(list(TrainingStream(store, sampler, lambda: 2, Share(rank, processes)))) for rank in range(processes)
    ]
    for step, rows in enumerate(whole):
        mine = [share[step] for share in shares]
        assert sorted(row for part in mine for row in part) == sorted(rows)
        assert {len(part) for part in mine} == {len(rows) // processes}
        for part in mine:
            assert (store.labels[part] > 0).sum() == len(part) // 2, "half of it controls, as in the whole"


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_held_out_cells_are_each_seen_once_by_one_of_the_processes(processes: int, store: CropStore) -> None:
    rows = np.random.default_rng(0).permutation(len(store))[:50]
    streams = [ValidationStream(store, rows, 16, Share(rank, processes)) for rank in range(processes)]
    seen = [rows_of(list(stream)) for stream in streams]
    assert sorted(row for of_one in seen for batch in of_one for row in batch) == sorted(rows)
    for rank, of_one in enumerate(seen):
        assert of_one == [part.tolist() for part in np.split(rows, [16, 32, 48])[rank::processes]]
    assert rows_of(list(streams[0])) == seen[0], "at every validation the same"
