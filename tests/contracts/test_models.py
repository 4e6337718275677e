"""What every registered model keeps: shapes, gradients, determinism, and a file that gives it back."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from contrascope.config import TrainingSettings, training_settings
from contrascope.models.contrastive import ContrastiveVAE
from contrascope.models.objective import Terms, objective
from contrascope.models.variants import build_model
from contrascope.registry import ARCHITECTURES, MODELS
from contrascope.training.module import independence_weights
from contrascope.vocabulary import Batch

MEMBERS = list(product(MODELS, ARCHITECTURES))
K, LEVELS = 3, (2, 3)


def settings(**changes: Any) -> TrainingSettings:
    return training_settings(1000, **({"image_size": 16, "background_size": 5, "salient_size": 4} | changes))


@pytest.fixture(params=MEMBERS, ids="-".join)
def member(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


def build(member: tuple[str, str], *, channels: int = 2, seed: int | None = None, **changes: Any) -> ContrastiveVAE:
    name, architecture = member
    return build_model(
        name,
        settings(architecture=architecture, **changes),
        channels=channels,
        perturbations=K,
        levels=lambda: LEVELS,
        seed=seed,
    )


def cells(channels: int = 2, side: int = 16, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    images = torch.rand(8, channels, side, side, generator=g) * 2 - 1
    technical = torch.stack([torch.arange(8) % 2, torch.arange(8) % 3], dim=1)
    return Batch(images, torch.tensor([0, 1, 0, 2, 0, 3, 0, 1]), torch.arange(8), technical)


def terms(model: ContrastiveVAE, batch: Batch) -> Terms:
    return objective(model, batch, generator=torch.Generator().manual_seed(5))


def values(t: Terms) -> list[torch.Tensor]:
    """All but what was not asked for."""
    return [value for value in t if isinstance(value, torch.Tensor)]


def weights(model: ContrastiveVAE) -> dict[str, torch.Tensor]:
    return {name: w.clone() for name, w in model.state_dict().items()}


@pytest.mark.parametrize(("channels", "side"), [(1, 16), (4, 32), (6, 40)])
def test_any_number_of_channels_and_pixels_goes_through(member: tuple[str, str], channels: int, side: int) -> None:
    model = build(member, channels=channels, image_size=side)
    batch = cells(channels, side)
    for value in values(terms(model, batch)):
        assert value.shape == (8,)
        assert torch.isfinite(value).all()
    assert model.reconstruct(batch.images, control=batch.perturbation == 0).shape == batch.images.shape
    q = model.encode(batch.images)
    assert q.background.mean.shape == (8, model.sizes["background"])
    assert (q.salient is not None) == model.has_salient == ("salient" in model.sizes)
    assert (q.technical is not None) == model.has_technical == ("technical" in model.sizes)


@pytest.mark.parametrize("scale", ["closed-form", "learned"])
def test_every_parameter_feels_a_gradient(member: tuple[str, str], scale: str) -> None:
    model = build(member, likelihood_scale=scale)
    terms(model, cells()).total(beta=1.0, wasserstein_weight=8.0).mean().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.any(), name
        if "means" in name:  # each perturbation of the batch moves its own
            assert (p.grad != 0).any(1).all(), name


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder_knows": "technical"},
        {"independence_weight": 5.0},
        {"independence_weight": 5.0, "independence": "total-correlation"},
        {"salient_technical_weight": 5.0},
        {"control_prior": "learned"},
        {"focus": "crop"},
        {"wasserstein_weight": 0.5},
        {"encoders": "shared"},
        {"encoders": "shared", "independence_weight": 5.0, "decoder_knows": "technical"},
    ],
    ids=str,
)
def test_options_compose_with_every_member(member: tuple[str, str], changes: dict[str, Any]) -> None:
    model, asked = build(member, **changes), settings(**changes)
    weights = independence_weights(model, asked)
    found = objective(model, cells(), generator=torch.Generator().manual_seed(5), independence=weights)
    loss = found.total(beta=1.0, wasserstein_weight=asked.wasserstein_weight, independence=weights).mean()
    loss.backward()
    assert torch.isfinite(loss)
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.any(), name


def test_the_loss_falls(member: tuple[str, str]) -> None:
    model, batch = build(member, likelihood_scale="learned"), cells()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = terms(model, batch).total(beta=1.0, wasserstein_weight=8.0).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_evaluating_is_deterministic_and_changes_nothing(member: tuple[str, str]) -> None:
    model, batch = build(member), cells()
    terms(model, batch)
    model.eval()
    before = weights(model)
    first, second = terms(model, batch), terms(model, batch)
    assert all(torch.equal(a, b) for a, b in zip(values(first), values(second), strict=True))
    a, b = model.encode(batch.images), model.encode(batch.images)
    assert torch.equal(a.background.mean, b.background.mean)
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())


def test_a_saved_model_comes_back_the_same(member: tuple[str, str], tmp_path: Path) -> None:
    model, batch = build(member, seed=1), cells()
    terms(model, batch)  # so that buffers hold something
    save_file({name: w.contiguous() for name, w in model.state_dict().items()}, tmp_path / "w.safetensors")
    again = build(member, seed=2)
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert all(torch.equal(w, again.state_dict()[name]) for name, w in model.state_dict().items())
    for one, other in zip(values(terms(model.eval(), batch)), values(terms(again.eval(), batch)), strict=True):
        assert torch.equal(one, other)


def test_equal_seeds_give_equal_weights_and_others_do_not(member: tuple[str, str]) -> None:
    one, same, other = (weights(build(member, seed=seed)) for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_without_a_seed_the_settings_have_one(member: tuple[str, str]) -> None:
    name, architecture = member
    asked = settings(architecture=architecture, seed=9)
    one, same = build(member, seed=9), build_model(name, asked, channels=2, perturbations=K, levels=lambda: LEVELS)
    assert all(torch.equal(w, same.state_dict()[key]) for key, w in one.state_dict().items())


def test_torchs_generator_is_left_as_it_was(member: tuple[str, str]) -> None:
    before = torch.get_rng_state()
    terms(build(member, seed=3), cells())
    assert torch.equal(before, torch.get_rng_state())
