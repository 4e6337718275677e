"""Batches from a store: the pixels of the rows asked for, in the order asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrascope.errors import StoreError
from contrascope.sampling.loader import READ_AHEAD, batches
from contrascope.sampling.samplers import BalancedBatches, in_order
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore

N = 50
IMAGES = np.random.default_rng(0).integers(0, 60_000, (N, 3, 16, 16)).astype(np.uint16)


def cells() -> pl.DataFrame:
    control = np.arange(N) % 3 == 0
    name = np.where(control, "nontargeting", np.array(["b", "a"])[np.arange(N) % 2])
    return pl.DataFrame({"guide": name, "perturbation": name, "control": control})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    out = tmp_path_factory.mktemp("loader") / "cells.zarr"
    return store_from_arrays(IMAGES, cells(), out, channels=["A", "B", "C"])


def test_pixels_are_those_that_were_stored(store: CropStore) -> None:
    (batch,) = batches(store, [np.arange(N)])
    np.testing.assert_array_equal(batch.images.numpy(), IMAGES)


@given(st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=9).map(np.array), max_size=12))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_come_in_order_whatever_is_asked_for(store: CropStore, wanted: list[np.ndarray]) -> None:
    came = list(batches(store, wanted))
    assert len(came) == len(wanted)
    for batch, rows in zip(came, wanted, strict=True):
        np.testing.assert_array_equal(batch.rows.numpy(), rows)
        np.testing.assert_array_equal(batch.images.numpy(), store.read(rows))
        np.testing.assert_array_equal(batch.images.numpy(), IMAGES[rows])
        np.testing.assert_array_equal(batch.perturbation.numpy(), store.labels[rows])


def test_a_label_is_the_place_of_a_perturbation_in_the_sorted_names(store: CropStore) -> None:
    (batch,) = batches(store, [np.array([0, 1, 2, 5])])  # a control, "a", "b", "a"
    assert store.perturbations == ["a", "b"]
    assert batch.perturbation.tolist() == [0, 1, 2, 1]


def test_types_are_those_a_model_needs(store: CropStore) -> None:
    (batch,) = batches(store, [np.array([3, 1])])
    assert batch.images.dtype == torch.uint16
    assert batch.perturbation.dtype == batch.rows.dtype == torch.int64


def test_a_batch_may_hold_a_cell_twice(store: CropStore) -> None:
    (batch,) = batches(store, [np.array([4, 4])])
    assert torch.equal(batch.images[0], batch.images[1])


def test_it_works_with_the_samplers(store: CropStore) -> None:
    sampler = BalancedBatches(store.labels, np.arange(N), batch_size=10, seed=0)
    for batch, rows in zip(batches(store, sampler.epoch(3)), sampler.epoch(3), strict=True):
        np.testing.assert_array_equal(batch.images.numpy(), IMAGES[rows])
    came = torch.cat([batch.rows for batch in batches(store, in_order(np.arange(N), 7))])
    assert came.tolist() == list(range(N))


def test_it_reads_ahead_a_few_batches_and_no_more(store: CropStore) -> None:
    asked = []

    def wanted() -> Iterator[np.ndarray]:
        for i in range(20):
            asked.append(i)
            yield np.array([i])

    coming = batches(store, wanted())
    next(coming)
    assert len(asked) == READ_AHEAD + 1
    next(coming)
    assert len(asked) == READ_AHEAD + 2


def test_nothing_asked_nothing_read(store: CropStore) -> None:
    assert list(batches(store, [])) == []


def test_a_damaged_shard_is_named_as_what_it_is(tmp_path: Path) -> None:
    broken = store_from_arrays(IMAGES, cells(), tmp_path / "cells.zarr", channels=["A", "B", "C"])
    for shard in (p for p in (tmp_path / "cells.zarr" / "images").rglob("*") if p.is_file() and p.suffix != ".json"):
        shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(StoreError, match="is damaged"):
        list(batches(broken, [np.arange(N)]))
