"""Whole tiles are kept out, against scikit-learn's own cross-validation."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.by_tile import FOLDS, auroc_by_tile, tile_folds


def test_the_folds_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    tiles = random.integers(0, 30, 900)
    labels = tiles % 3
    features = random.normal(size=(900, 6)) + 0.4 * random.normal(size=(3, 6))[labels]
    probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-5))
    splits = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=4)
    expected = cross_val_score(probe, features, labels, groups=tiles, cv=splits, scoring="roc_auc_ovr")
    areas, unfinished = auroc_by_tile(features, labels, tiles, seed=4)
    np.testing.assert_allclose(areas, expected)
    assert unfinished == 0


def test_a_class_of_one_tile_cannot_be_judged_and_one_of_three_gives_three_folds() -> None:
    random = np.random.default_rng(0)
    features, tiles = random.normal(size=(400, 2)), np.arange(400) % 8
    assert np.isnan(auroc_by_tile(features, (tiles == 0).astype(int), tiles, seed=0)[0]).all()
    assert np.isfinite(auroc_by_tile(features, (tiles < 3).astype(int), tiles, seed=0)[0]).sum() == 3


def test_what_tiles_look_like_tells_nothing_of_other_tiles() -> None:
    means = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        tiles = np.repeat(np.arange(16), 60)
        labels = (tiles < 8).astype(int)
        features = random.normal(size=(16, 4))[tiles] + 0.3 * random.normal(size=(960, 4))
        means.append(np.nanmean(auroc_by_tile(features, labels, tiles, seed=seed)[0]))
    # Folds held out pull the other way than the rest, so few tiles score a little below a half.
    assert 0.35 < np.mean(means) < 0.52


def test_every_cell_is_judged_once_and_never_beside_its_tile() -> None:
    tiles = np.random.default_rng(0).integers(0, 12, 300)
    folds = tile_folds(tiles, seed=0)
    assert sorted(np.concatenate([unseen for _, unseen in folds])) == list(range(300))
    assert not any(set(tiles[seen]) & set(tiles[unseen]) for seen, unseen in folds)
    assert tile_folds(np.zeros(5, dtype=int), seed=0) == []
