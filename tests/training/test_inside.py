"""Looking inside a run: counterfactuals, traversals, and where the priors expect each perturbation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrascope.embedding import embed
from contrascope.errors import RunError, StoreError
from contrascope.store.store import CropStore
from contrascope.training.describe import described
from contrascope.training.run import Run, open_run

Train = Callable[..., Run]


@pytest.fixture(scope="module")
def vae(store: CropStore, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(store, tmp_path_factory.mktemp("runs") / "vae", model="vae")


@pytest.fixture(scope="module")
def rows(store: CropStore) -> np.ndarray:
    """Two perturbed cells and a control."""
    return np.concatenate([np.flatnonzero(store.labels > 0)[:2], np.flatnonzero(store.labels == 0)[:1]])


def test_a_counterfactual_is_the_cell_decoded_from_its_background_alone(
    run: Run, store: CropStore, rows: np.ndarray
) -> None:
    actual, without = run.counterfactual(store, rows)
    q = run.model.encode(torch.from_numpy(run.images(store, rows)))
    expected = run.model.decode(q.background.mean, torch.zeros(3, run.settings.salient_size))
    np.testing.assert_allclose(without, expected.detach().numpy(), atol=1e-6)
    np.testing.assert_array_equal(actual, run.reconstruct(store, rows)[1])


def test_what_a_perturbation_shifts_in_the_background_can_be_taken_off_too(
    run: Run, store: CropStore, rows: np.ndarray
) -> None:
    effect = np.random.default_rng(0).normal(size=(3, run.settings.background_size))
    actual, control = run.counterfactual(store, rows, background_effect=effect)
    q = run.model.encode(torch.from_numpy(run.images(store, rows)))
    moved = q.background.mean - torch.tensor(effect, dtype=torch.float32)
    expected = run.model.decode(moved, torch.zeros(3, run.settings.salient_size))
    np.testing.assert_allclose(control, expected.detach().numpy(), atol=1e-6)
    np.testing.assert_array_equal(actual, run.reconstruct(store, rows)[1])
    for one, other in zip(
        run.counterfactual(store, rows, background_effect=np.zeros(run.settings.background_size)),
        run.counterfactual(store, rows),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 4), ()])
def test_an_effect_of_another_size_is_refused(
    run: Run, store: CropStore, rows: np.ndarray, shape: tuple[int, ...]
) -> None:
    with pytest.raises(RunError, match=r"was needed\. Take rows of the background space"):
        run.counterfactual(store, rows, background_effect=np.zeros(shape))


def test_what_a_perturbed_cell_has_of_the_salient_shows_and_a_control_has_none(
    run: Run, store: CropStore, rows: np.ndarray
) -> None:
    actual, without = run.counterfactual(store, rows)
    difference = np.abs(actual - without).max(axis=(1, 2, 3))
    assert (difference[:2] > 0).all()
    assert difference[2] == 0


@pytest.mark.parametrize("space", ["background", "salient"])
def test_a_traversal_through_the_posterior_mean_meets_the_reconstruction(
    run: Run, store: CropStore, rows: np.ndarray, space: str
) -> None:
    q = run.model.encode(torch.from_numpy(run.images(store, rows[:1])))
    here = getattr(q, space).mean[0, 1].item()
    seen = run.traverse(store, int(rows[0]), 1, np.array([here - 1, here, here + 1]), space=space)
    assert seen.shape == (3, 2, 16, 16)
    np.testing.assert_allclose(seen[1], run.reconstruct(store, rows[:1])[1][0], atol=1e-6)
    assert not np.allclose(seen[0], seen[2])


@pytest.mark.parametrize(("dim", "space"), [(3, "salient"), (-1, "salient"), (0, "technical")])
def test_a_dimension_that_is_not_there_is_named_beside_those_that_are(
    run: Run, store: CropStore, dim: int, space: str
) -> None:
    with pytest.raises(RunError, match=rf"no dimension {dim} of '{space}'.*salient with dimensions 0 to 2"):
        run.traverse(store, 0, dim, np.zeros(1), space=space)


def test_prior_means_come_by_name(run: Run) -> None:
    means = run.prior_means()
    assert means.obs_names.tolist() == run.perturbations
    for space in ("background", "salient"):
        np.testing.assert_array_equal(means.obsm[space], run.model.priors[space].means.detach().numpy())


def test_prior_means_say_how_many_cells_they_are_learned_from(run: Run, store: CropStore) -> None:
    trained_on = store.column("perturbation").filter(run.split() == "train").to_list()
    counts = run.prior_means().obs["cells_trained_on"].to_dict()
    assert counts == {name: trained_on.count(name) for name in run.perturbations}
    assert run.never_trained_on == []


def test_a_perturbation_without_a_cell_to_train_on_is_named(run: Run) -> None:
    first, *others = run.perturbations
    unseen = Run(run.path, run.facts | {"cells_trained_on": [0, *[3] * len(others)]})
    assert unseen.never_trained_on == [first]
    assert repr(unseen).endswith("perturbations, 1 of them without a cell to train on")
    assert f"perturbations without a cell to train on:\n- {first}" in described(unseen)
    older = Run(run.path, {name: fact for name, fact in run.facts.items() if name != "cells_trained_on"})
    assert older.never_trained_on == []
    assert "cells_trained_on" not in older.prior_means().obs


def test_the_mean_of_control_is_told_apart_from_those_of_perturbations(
    run: Run, store: CropStore, train: Train, tmp_path: Path
) -> None:
    assert not any(mean.any() for mean in run.prior_means().uns["control"].values())
    learned = train(store, tmp_path, control_prior="learned", learning_rate=0.01)
    means, own = learned.prior_means().uns["control"], learned.model.priors["background"].control_mean
    assert own.any()
    np.testing.assert_array_equal(means["background"], own[0].detach().numpy())
    assert not means["salient"].any()


def test_a_model_without_salient_space_or_means_says_so(vae: Run, store: CropStore) -> None:
    with pytest.raises(RunError, match="vae has no salient space"):
        vae.counterfactual(store, np.array([0]))
    with pytest.raises(RunError, match="priors of a vae know no perturbations"):
        vae.prior_means()


def test_half_ablations_have_the_means_of_one_space(store: CropStore, train: Train, tmp_path: Path) -> None:
    assert list(train(store, tmp_path, model="cvae-s", epochs=1).prior_means().obsm) == ["salient"]


@pytest.fixture(scope="module")
def told(store: CropStore, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three spaces, and a decoder that is told of how a cell was imaged."""
    out = tmp_path_factory.mktemp("runs") / "told"
    return train(store, out, model="three-space", technical_size=2, decoder_knows="technical")


def test_a_technical_space_can_be_traversed_and_embedded(told: Run, store: CropStore, rows: np.ndarray) -> None:
    q = told.model.encode(torch.from_numpy(told.images(store, rows[:1])))
    assert q.technical is not None
    here = q.technical.mean[0, 1].item()
    seen = told.traverse(store, int(rows[0]), 1, np.array([here, here + 2]), space="technical")
    np.testing.assert_allclose(seen[0], told.reconstruct(store, rows[:1])[1][0], atol=1e-6)
    assert not np.allclose(seen[0], seen[1])
    assert embed(store, told, baselines=False).obsm["technical"].shape == (len(store), 2)


def test_a_told_decoder_comes_back_with_the_run(told: Run, store: CropStore, rows: np.ndarray) -> None:
    again = open_run(told.path)
    for one, other in zip(told.counterfactual(store, rows), again.counterfactual(store, rows), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(again.prior_means().obsm) == {"background", "salient"}


def test_a_told_decoder_needs_cells_that_were_imaged_as_those_it_knows(
    told: Run, make_store: Callable[..., CropStore], tmp_path: Path, rows: np.ndarray
) -> None:
    stranger = make_store(tmp_path, columns={"plate": ["P9"] * 120, "well": ["A1"] * 120})
    with pytest.raises(StoreError, match=r"has P9.*, which it was not trained on"):
        told.reconstruct(stranger, rows)
    assert "technical" in embed(stranger, told, baselines=False).obsm  # encoders need not be told


@pytest.mark.parametrize("asked", [[10**6], [-1], [], [0.5], [[0, 1]], 5])
def test_rows_that_are_not_there_are_refused_in_words(run: Run, store: CropStore, asked: Any) -> None:
    for look in (run.images, run.reconstruct, run.counterfactual):
        with pytest.raises(RunError, match=r"whole numbers from 0 to 119; .* was given"):
            look(store, np.array(asked))


@pytest.mark.parametrize("asked", [np.array([4, 7], np.uint8), np.array([4, 7], ">u4"), (4, 7), [4, 7]])
def test_rows_may_be_whole_numbers_of_any_kind(told: Run, run: Run, store: CropStore, asked: Any) -> None:
    for one in (run, told):
        for look in (one.images, one.reconstruct, one.counterfactual):
            np.testing.assert_array_equal(look(store, asked), look(store, np.array([4, 7])))


def test_a_store_of_other_channels_shows_no_images(run: Run, make_store: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has channels"):
        run.images(make_store(tmp_path, channels=["DNA"]), np.array([0]))


def test_a_dimension_may_be_set_to_a_single_value(run: Run, store: CropStore) -> None:
    np.testing.assert_array_equal(run.traverse(store, 1, 0, 0.5), run.traverse(store, 1, 0, np.array([0.5])))
