"""Latent statistics against loops that can be read, and files that TensorBoard can read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from contrascope.models.contrastive import Normal
from contrascope.store.store import CropStore
from contrascope.training.distributed import ALONE
from contrascope.training.latent import LatentStatistics, of_cells, reconstructions, statistics
from contrascope.training.means import Means
from contrascope.training.module import TrainingModule
from contrascope.training.run import Run
from contrascope.vocabulary import Batch

Train = Callable[..., Run]


def logged(run: Run) -> dict[str, float]:
    """The numbers of the last validation of a run."""
    metrics = run.metrics()
    return {name: value for name, value in metrics.select("name", "value").iter_rows() if name.startswith("latent/")}


@pytest.mark.parametrize("unit", [1.0, 0.03], ids=["in units of the prior", "in a space that was made small"])
def test_an_active_unit_tells_cells_apart_and_a_silent_one_does_not(unit: float) -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(400, 3, generator=generator) * torch.tensor([1.0, 0.2, 0.05]) * unit
    output = torch.cat([mean + 5, torch.full((400, 3), 2 * np.log(unit))], dim=1)
    means = Means()
    for part in output.split(150):
        q = Normal(*part.chunk(2, dim=1))
        means.add(of_cells("background", q, torch.zeros(len(part), 3), control=torch.zeros(len(part)).bool()))
    found = statistics(means.over_all(ALONE))
    assert found["latent/active background units"] == 2
    between = mean.var(0, correction=0).sum()
    expected = float(between / (between + 3 * unit**2))
    assert found["latent/share of background variance in the means"] == pytest.approx(expected, rel=0.01)


def test_narrow_posteriors_have_a_price_where_nothing_is_held() -> None:
    """The same mean in all cells, a tenth of the prior's width: no information, and nats all the same."""
    q, at_prior = Normal(torch.ones(50, 4), torch.full((50, 4), 2 * np.log(0.1))), torch.ones(50, 4)
    means = Means()
    means.add(of_cells("salient", q, at_prior, control=torch.arange(50) < 25))
    found, price = statistics(means.over_all(ALONE)), 0.5 * (0.01 - 1 - np.log(0.01))
    assert found["latent/share of salient variance in the means"] == pytest.approx(0, abs=1e-6)
    assert found["latent/KL of narrow salient posteriors"] == pytest.approx(4 * price, rel=1e-5)
    assert found["latent/KL of the median salient unit"] == pytest.approx(price, rel=1e-5)


def test_kl_by_unit_is_that_of_torch_and_sees_perturbed_cells_alone_in_the_salient_space() -> None:
    generator = torch.Generator().manual_seed(0)
    output, prior = torch.randn(9, 8, generator=generator), torch.randn(9, 4, generator=generator)
    control = torch.arange(9) % 3 == 0
    q = torch.distributions.Normal(output[:, :4], torch.exp(0.5 * output[:, 4:]))
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(prior, 1.0))
    said = Normal(*output.chunk(2, dim=1))
    torch.testing.assert_close(of_cells("background", said, prior, control=control)["KL background"], expected)
    salient = of_cells("salient", said, prior, control=control)
    torch.testing.assert_close(salient["KL salient"], expected[~control])
    torch.testing.assert_close(salient["salient norm of controls"], q.mean[control].square().sum(1).sqrt())


@pytest.fixture(params=["apart", "shared"])
def logging(request: pytest.FixtureRequest, run: Run, store: CropStore, train: Train, tmp_path: Path) -> Run:
    """A run of each kind of encoder."""
    return run if request.param == "apart" else train(store, tmp_path / "shared", encoders="shared")


def test_a_run_logs_what_its_model_says_of_the_held_out_cells(logging: Run, store: CropStore) -> None:
    run = logging
    held_out = np.flatnonzero((run.split() == "validation").to_numpy())
    assert len(held_out)
    with torch.no_grad():
        q = run.model.encode(torch.from_numpy(run.images(store, held_out)))
    found, last = logged(run), run.metrics()["step"].max()
    assert run.facts["outcome"]["best_step"] - 1 == last, "the weights are those of the last validation"
    control = store.labels[held_out] == 0
    assert q.salient is not None
    for name, normal in (("background", q.background), ("salient", q.salient)):
        between, within = normal.mean.numpy().var(axis=0), normal.log_variance.exp().numpy().mean(axis=0)
        assert found[f"latent/active {name} units"] == (between / (between + within) > 0.01).sum()
        assert 0 <= found[f"latent/KL of the median {name} unit"] <= found[f"latent/KL of the largest {name} unit"]
    norms = np.linalg.norm(q.salient.mean.numpy(), axis=1)
    assert found["latent/salient norm of controls"] == pytest.approx(norms[control].mean(), rel=1e-3)
    assert found["latent/salient norm of perturbed cells"] == pytest.approx(norms[~control].mean(), rel=1e-3)


def test_tensorboard_shows_histograms_and_pictures_at_each_validation(run: Run) -> None:
    board = EventAccumulator(str(run.path / "tensorboard"), {"images": 0, "histograms": 0}).Reload()
    validations = run.settings.epochs * run.settings.validations_per_epoch
    for space in ("background", "salient"):
        assert len(board.Histograms(f"latent/KL {space} by unit")) == validations
    assert len(board.Images("latent/reconstructions")) == validations


def test_a_picture_has_a_column_for_each_cell_and_three_rows_for_each_channel(run: Run, store: CropStore) -> None:
    rows = np.array([1, 2, 0])
    images = torch.from_numpy(run.images(store, rows))
    picture = reconstructions(run.model, Batch(images, torch.from_numpy(store.labels[rows]), torch.from_numpy(rows)))
    assert picture.shape == (1, 2 * 3 * 16, 3 * 16)
    actual, without = run.counterfactual(store, rows)
    tiles = picture[0].reshape(2, 3, 16, 3, 16)
    for channel, row, cell, seen in ((0, 0, 1, images.numpy()), (1, 1, 2, actual), (1, 2, 0, without)):
        expected = ((seen[cell, channel] + 1) / 2).clip(0, 1)
        np.testing.assert_allclose(tiles[channel, row, :, cell], expected, atol=1e-6)


def test_kl_is_taken_from_the_mean_of_each_perturbations_prior(run: Run, store: CropStore) -> None:
    rows = np.arange(60)
    images, m = torch.from_numpy(run.images(store, rows)), torch.from_numpy(store.labels[rows]).long()
    model, statistics_ = run.untrained(seed=0), LatentStatistics(ALONE)
    module = TrainingModule(model, run.transform, run.settings, steps=1)
    means = torch.arange(6.0).reshape(2, 3)
    with torch.no_grad():
        model.priors["salient"].means.copy_(means)
        statistics_.on_validation_epoch_start(None, module)  # type: ignore[arg-type]
        statistics_.on_validation_batch_start(None, module, Batch(images, m, torch.from_numpy(rows)), 0)  # type: ignore[arg-type]
        q = model.encode(images).salient
    assert q is not None
    posterior = torch.distributions.Normal(q.mean, torch.exp(0.5 * q.log_variance))
    prior = torch.distributions.Normal(torch.cat([torch.zeros(1, 3), means])[m], 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior)[m > 0].mean(0)
    np.testing.assert_allclose(statistics_._means.over_all(ALONE)["KL salient"], expected, rtol=1e-4)
