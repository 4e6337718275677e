"""Means over cells that come in batches are those of all cells at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrascope.training.distributed import ALONE, World
from contrascope.training.means import Means


def test_a_mean_weighs_cells_alike_however_they_were_dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, parts = torch.arange(10.0), (slice(0, 7), slice(7, 7), slice(7, 10))
    means = [Means() for _ in parts]
    for one, part in zip(means, parts, strict=True):
        one.add({"a": cells[part], "nothing": cells[:0]})
    everything: list[Any] = []
    monkeypatch.setattr("contrascope.training.means.gathered", lambda _, mine: everything.append(mine) or everything)
    assert [one.over_all(World(size=3)) for one in means][-1] == {"a": 4.5}
    assert ALONE.size == 1


@given(cuts=st.lists(st.integers(0, 40), max_size=5), seed=st.integers(0, 99))
def test_a_mean_is_numpys_wherever_the_batches_are_cut(cuts: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).normal(1e3, 1, (40, 2, 3))
    means = Means()
    for rows in np.split(np.arange(40), sorted(cuts)):
        means.add({"units": torch.from_numpy(values[rows]), "loss": torch.from_numpy(values[rows, 0, 0])})
    found = means.over_all(ALONE)
    np.testing.assert_allclose(found["units"], values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["loss"], values[:, 0, 0].mean(), rtol=1e-6)


def test_what_no_cell_was_seen_of_has_no_mean() -> None:
    means = Means()
    means.add({"controls": torch.zeros(0, 3), "cells": torch.ones(2)})
    assert set(means.over_all(ALONE)) == {"cells"}
    assert Means().over_all(ALONE) == {}


def test_half_precision_is_summed_in_full_and_no_gradient_is_kept() -> None:
    ones = torch.ones(4096, dtype=torch.bfloat16, requires_grad=True)
    means = Means()
    means.add({"loss": ones})
    assert means.over_all(ALONE)["loss"] == 1.0, "in bf16 a sum of ones ends at 256"
