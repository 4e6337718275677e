"""Levels of technical columns: the same cell, the same level, and no cell without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from contrascope.errors import StoreError
from contrascope.sampling.technical import Technical, measured_technical
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.vocabulary import Batch

N = 40
Make = Callable[..., CropStore]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(name: str = "a", **columns: object) -> CropStore:
        control = np.arange(N) // 2 % 2 == 0
        label = np.where(control, "nt", "GENE")
        table = pl.DataFrame({"guide": label, "perturbation": label, "control": control} | columns)
        return store_from_arrays(np.ones((N, 1, 8, 8), np.uint8), table, tmp_path / name, channels=["DNA"])

    return make


def test_text_and_whole_numbers_are_levels_as_they_stand(make: Make) -> None:
    store = make(day=np.array(["tue", "mon"])[np.arange(N) % 2], tile_row=np.arange(N) % 3)
    technical = measured_technical(store, ["day", "tile_row"])
    assert technical.levels == [2, 3]
    found = technical.bound(store)(torch.arange(N))
    assert found.dtype == torch.int64
    assert found[:, 0].tolist() == [1, 0] * (N // 2)  # mon before tue
    assert found[:, 1].tolist() == [i % 3 for i in range(N)]


@pytest.mark.parametrize("told", ["perturbation", "guide", "control", "well"])
def test_a_column_that_says_what_was_done_to_a_cell_is_refused(make: Make, told: str) -> None:
    number = np.arange(N)
    wells = np.where(number // 2 % 2 == 0, "A1", np.where(number < N // 2, "B1", "B2"))  # an arrayed plate
    with pytest.raises(StoreError, match=f"names {told}, .* all cells of one {told} have the same perturbation"):
        measured_technical(make(well=wells, plate="1", tile="1"), [told])


def test_a_batch_without_controls_may_be_told_where_another_has_both(make: Make) -> None:
    number = np.arange(N)
    batch = np.where((number // 2 % 2 == 1) & (number < N // 2), "perturbed alone", "both")
    assert measured_technical(make(batch=batch), ["batch"]).levels == [2]


def test_fractions_are_cut_into_eighths(make: Make) -> None:
    distance = np.random.default_rng(0).random(N)
    store = make(distance=distance)
    technical = measured_technical(store, ["distance"])
    level = technical.bound(store)(torch.arange(N))[:, 0].numpy()
    assert technical.levels == [8]
    assert np.bincount(level).tolist() == [5] * 8
    assert (np.diff(level[np.argsort(distance)]) >= 0).all()


def test_a_column_that_hardly_varies_has_the_levels_it_has(make: Make) -> None:
    store = make(gain=np.where(np.arange(N) == 0, 2.0, 1.0))
    technical = measured_technical(store, ["gain"])
    assert technical.levels == [2]
    assert technical.bound(store)(torch.arange(N)).max() < 2


def test_levels_come_back_from_json(make: Make) -> None:
    store = make(day=["mon", "tue"] * (N // 2), distance=np.linspace(0, 1, N))
    technical = measured_technical(store, ["day", "distance"])
    again = Technical(json.loads(json.dumps(technical.state())))
    assert torch.equal(technical.bound(store)(torch.arange(N)), again.bound(store)(torch.arange(N)))


def test_a_batch_gets_the_levels_of_its_rows(make: Make) -> None:
    store = make(day=["mon", "tue"] * (N // 2))
    batch = Batch(torch.zeros(3, 1, 8, 8), torch.zeros(3, dtype=torch.long), torch.tensor([3, 0, 1]))
    told = measured_technical(store, ["day"]).bound(store).batch(batch)
    assert told.technical is not None
    assert told.technical.tolist() == [[1], [0], [1]]


def test_a_day_that_training_did_not_see_is_refused(make: Make) -> None:
    technical = measured_technical(make(day=["mon", "tue"] * (N // 2)), ["day"])
    with pytest.raises(StoreError, match="has wed, which it was not trained on"):
        technical.bound(make("b", day=["mon", "wed"] * (N // 2)))


def test_a_column_that_is_not_there_is_named_with_those_that_are(make: Make) -> None:
    with pytest.raises(StoreError, match=r"names day, which the cell table.*does not have.*batch"):
        measured_technical(make(), ["day"])


@pytest.mark.parametrize("values", [["mon", None], [0.5, None], [0.5, np.nan], [0.5, -np.inf]])
def test_cells_without_a_value_are_counted(make: Make, values: list[object]) -> None:
    with pytest.raises(StoreError, match=r"20 cells of .* have no value"):
        measured_technical(make(day=pl.Series(values * (N // 2), strict=False)), ["day"])


def test_a_column_that_names_every_cell_is_no_way_of_imaging(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrascope.sampling.technical.MOST_LEVELS", 30)
    with pytest.raises(StoreError, match="which has 40 values"):
        measured_technical(make(), ["cell_id"])


def test_levels_that_some_cells_leave_out_are_named(make: Make) -> None:
    store = make(day=np.array(["mon", "tue", "wed"])[np.arange(N) % 3], distance=np.linspace(0, 1, N))
    technical = measured_technical(store, ["day", "distance"]).bound(store)
    assert technical.without(np.arange(N)) == {}
    assert technical.without(np.arange(0, N, 3)) == {"day": ["tue", "wed"]}
    assert technical.without(np.arange(20)) == {"distance": [f"part {i} of 8" for i in (5, 6, 7, 8)]}
    assert technical.having({"day": ["tue"], "distance": ["part 8 of 8"]}).nonzero()[0].tolist() == sorted(
        {*range(1, N, 3), *range(35, N)}
    )
    assert not technical.having({}).any()


def test_a_level_that_no_cell_has_is_missed_by_none(make: Make) -> None:
    store = make(tied=np.maximum(0.0, np.linspace(-0.5, 1, N)))  # a third is 0, so the first part is empty
    technical = measured_technical(store, ["tied"]).bound(store)
    assert 0 not in technical(torch.arange(N))
    assert technical.without(np.arange(N)) == {}
