"""Features that are left out, against a loop that reads like the rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.features.choose import (
    CONSTANT,
    CONSTANT_IN_A_BATCH,
    COPY,
    CORRELATED,
    FEW_CONTROLS,
    NOT_FINITE,
    listed,
    repeated,
    unusable,
)
from contrascope.features.scales import Scales, Seen


def correlated(seed: int) -> np.ndarray:
    """Correlations of 12 features of which some are others' copies and some nearly so."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(40, 12))
    for i in random.choice(np.arange(1, 12), 6, replace=False):
        x[:, i] = (-1) ** i * x[:, random.integers(i)] + random.choice([0, 0.05, 0.5]) * x[:, i]
    return np.corrcoef(x.T)


@given(seed=st.integers(0, 1000), above=st.sampled_from([None, 0.999, 0.9, 0.5]))
def test_a_feature_stays_if_none_that_stays_before_it_says_the_same(seed: int, above: float | None) -> None:
    r = np.abs(correlated(seed))
    limit = 1 - 1e-8 if above is None else above
    kept: list[int] = []
    reasons, like = repeated(correlated(seed), above=above)
    for i in range(12):
        same = [j for j in kept if r[i, j] > limit]
        if not same:
            kept.append(i)
            assert (reasons[i], like[i]) == ("", i)
            continue
        nearest = max(same, key=lambda j, i=i: r[i, j])
        assert like[i] == nearest
        assert reasons[i] == (COPY if r[i, nearest] > 1 - 1e-8 else CORRELATED)


def test_of_what_stays_no_two_are_alike_and_all_else_is_like_one_that_stays() -> None:
    r = correlated(3)
    reasons, like = repeated(r, above=0.9)
    stays = np.flatnonzero(reasons == "")
    assert np.abs(r[np.ix_(stays, stays)] - np.eye(len(stays))).max() <= 0.9
    assert set(like) == set(stays)


def seen(n: list[list[int]], missing: list[int], *, measured: int = 100) -> Seen:
    shape = np.array(n).shape
    return Seen(np.ones(measured, bool), np.array(missing), np.array(n), np.zeros(shape), np.zeros(shape))


@pytest.mark.parametrize(
    ("n", "spread", "missing", "reason"),
    [
        ([50, 50], [1, 1], 0, ""),
        ([50, 50], [1, 0], 0, CONSTANT_IN_A_BATCH),
        ([50, 50], [0, 0], 0, CONSTANT),
        ([50, 9], [1, 1], 0, FEW_CONTROLS),
        ([50, 10], [1, 1], 0, ""),
        ([50, 50], [1, 1], 21, NOT_FINITE),
        ([50, 50], [1, 1], 20, ""),
        ([0, 0], [np.nan, np.nan], 100, NOT_FINITE),
        ([9, 50], [1, 0], 0, FEW_CONTROLS),
    ],
)
def test_the_first_reason_is_the_one_that_explains_the_others(
    n: list[int], spread: list[float], missing: int, reason: str
) -> None:
    scales = Scales(np.zeros((2, 1)), np.array(spread, float)[:, None])
    found = unusable(seen([[k] for k in n], [missing]), scales, np.ones(2, bool), missing=0.2)
    assert found.tolist() == [reason]


def test_a_batch_without_cells_has_no_say() -> None:
    scales = Scales(np.zeros((2, 1)), np.array([[1.0], [0.0]]))
    found = unusable(seen([[50], [0]], [0]), scales, np.array([True, False]), missing=0.2)
    assert found.tolist() == [""]


def test_only_what_is_left_out_is_listed_by_its_name() -> None:
    table = listed(["a", "b", "c"], np.array(["", COPY, CONSTANT], object), np.array([0, 0, 2]))
    assert table.to_dict("records") == [
        {"feature": "b", "reason": COPY, "like": "a"},
        {"feature": "c", "reason": CONSTANT, "like": ""},
    ]
    assert listed(["a"], np.array([""], object), np.array([0])).empty
