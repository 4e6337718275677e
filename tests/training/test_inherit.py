"""A training that starts from another run begins where that one ended, perturbation by perturbation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from contrascope.errors import RunError
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.run import Run, open_run

Train = Callable[..., Run]
STILL: dict[str, Any] = {"learning_rate": 1e-30, "epochs": 1}
"""Nothing is learned: what comes out is what went in."""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """Another screen with a perturbation of the first, b, between two new ones."""
    images = np.random.default_rng(7).integers(300, 3000, (120, 2, 16, 16)).astype("uint16")
    name = np.array(["nontargeting", "aa", "b", "c"])[np.arange(120) % 4]
    cells = pl.DataFrame({"guide": name, "perturbation": name, "control": name == "nontargeting"})
    return store_from_arrays(images, cells, tmp_path_factory.mktemp("other") / "o.zarr", channels=["DNA", "Actin"])


@pytest.fixture(scope="module")
def parent(store: CropStore, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(store, tmp_path_factory.mktemp("runs") / "parent", learning_rate=0.01, beta_warmup_steps=0)


@pytest.fixture(scope="module")
def child(parent: Run, other: CropStore, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(other, tmp_path_factory.mktemp("runs") / "child", start_from=parent.path, **STILL)


def test_it_begins_with_the_weights_of_the_parent(parent: Run, child: Run) -> None:
    theirs = parent.model.state_dict()
    for name, weight in child.model.state_dict().items():
        if name.startswith(("encoders", "decoder")):
            torch.testing.assert_close(weight, theirs[name], msg=name)


def test_prior_means_come_over_by_name_and_new_ones_start_at_zero(parent: Run, child: Run) -> None:
    assert (parent.perturbations, child.perturbations) == (["a", "b"], ["aa", "b", "c"])
    for space in ("background", "salient"):
        before, after = parent.prior_means().obsm[space], child.prior_means().obsm[space]
        assert np.abs(before[1]).max() > 0
        np.testing.assert_allclose(after, [np.zeros_like(before[1]), before[1], np.zeros_like(before[1])], atol=1e-12)


def test_pixels_are_normalised_on_the_new_stores_controls(parent: Run, child: Run) -> None:
    assert child.facts["transform"]["cofactor"] != parent.facts["transform"]["cofactor"]


def test_the_parent_is_part_of_what_a_run_is_known_by(
    parent: Run, child: Run, other: CropStore, train: Train, tmp_path: Path
) -> None:
    assert child.facts["start_from"] == parent.fingerprint
    fresh = train(other, tmp_path / "fresh", **STILL)
    assert "start_from" not in fresh.facts
    assert fresh.fingerprint != child.fingerprint
    assert train(other, child.path, start_from=parent, **STILL).fingerprint == open_run(child.path).fingerprint
    with pytest.raises(RunError, match="other inputs"):
        train(other, child.path, **STILL)


def test_a_parent_that_has_learned_more_since_is_another(
    store: CropStore, other: CropStore, train: Train, tmp_path: Path
) -> None:
    """A run that was stopped and gone on with has the fingerprint that it had, and other weights."""
    parent = train(store, tmp_path / "parent", **STILL)
    train(other, tmp_path / "child", start_from=parent.path, **STILL)
    more = train(store, tmp_path / "more", learning_rate=0.01, epochs=1)
    shutil.copy(more.path / "weights.safetensors", parent.path)
    with pytest.raises(RunError, match="other inputs"):
        train(other, tmp_path / "child", start_from=parent.path, **STILL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "cvae"}, "is a run of mcvae, and a training of cvae"),
        ({"salient_size": 2, "image_size": 24}, "image_size 16 instead of 24, salient_size 3 instead of 2. Set image_"),
        ({"likelihood_scale": "learned"}, "likelihood_scale closed-form instead of learned"),
        ({"encoders": "shared"}, "encoders apart instead of shared"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    parent: Run, other: CropStore, train: Train, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(RunError, match=words):
        train(other, tmp_path / "run", start_from=parent, **changes)
    assert not (tmp_path / "run").exists()


def test_a_store_of_other_channels_is_refused(
    parent: Run, make_store: Callable[..., CropStore], train: Train, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="has channels"):
        train(make_store(tmp_path, channels=["DNA", "GFP"]), tmp_path / "run", start_from=parent)


def test_technical_levels_come_over_by_column_and_level_and_new_ones_start_afresh(
    make_store: Callable[..., CropStore], train: Train, tmp_path: Path
) -> None:
    def imaged(name: str, days: list[str], seed: int) -> CropStore:
        columns = {"day": np.array(days)[np.arange(120) % len(days)], "far": np.random.default_rng(seed).random(120)}
        (tmp_path / name).mkdir()
        return make_store(tmp_path / name, columns=columns)

    told: dict[str, Any] = {"decoder_knows": "technical", "beta_warmup_steps": 0}
    before, after = imaged("before", ["mon", "tue"], 0), imaged("after", ["sun", "tue", "mon"], 1)
    parent = train(before, tmp_path / "parent", technical=["far", "day"], learning_rate=0.01, **told)
    child = train(after, tmp_path / "child", technical=["day", "far"], start_from=parent, **(STILL | told))
    fresh = train(after, tmp_path / "fresh", technical=["day", "far"], **(STILL | told))
    (far, day), (days, parts), (anew, _) = (
        [mean.detach().numpy() for mean in run.model.condition.means]  # type: ignore[union-attr]
        for run in (parent, child, fresh)
    )
    assert child.technical.columns["day"] == ["mon", "sun", "tue"]
    np.testing.assert_allclose(days, [day[0], anew[1], day[1]], atol=1e-12)
    np.testing.assert_allclose(parts, far, atol=1e-12)


def test_a_decoder_is_told_no_level_that_it_had_no_cell_to_learn_from(
    make_store: Callable[..., CropStore], train: Train, tmp_path: Path
) -> None:
    wells = {"plate": "p", "well": np.array([f"A{i:02d}" for i in range(1, 13)])[np.arange(120) // 10]}
    settings: dict[str, Any] = {"technical": ["well"], "split_by": "well", "decoder_knows": "technical"}
    store = make_store(tmp_path, columns=wells)
    with pytest.raises(RunError, match=r"no cell to train on has the well A\d\d.*split_by is well"):
        train(store, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
    assert train(store, tmp_path / "run", **(settings | {"split_by": "cell"})).model.condition is not None


def test_cells_of_a_level_too_rare_to_be_split_are_trained_on(
    make_store: Callable[..., CropStore], train: Train, tmp_path: Path
) -> None:
    tile = np.minimum(np.arange(120), 12)  # twelve tiles of one cell
    store = make_store(tmp_path, columns={"tile": tile})
    told = train(store, tmp_path / "told", technical=["tile"], decoder_knows="technical")
    not_told = train(store, tmp_path / "not", technical=["tile"])
    here, there = ((run.split() != "train").to_numpy() for run in (told, not_told))
    assert there[:12].any() and not here[:12].any()
    np.testing.assert_array_equal(here[12:], there[12:])
