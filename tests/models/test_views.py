"""Posteriors averaged over the ways in which a cell can lie."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contrascope.config import training_settings
from contrascope.models.contrastive import ContrastiveVAE, Normal
from contrascope.models.variants import build_model
from contrascope.models.views import all_ways, posterior_of_views

SIDE = 16


def model(name: str = "three-space") -> ContrastiveVAE:
    settings = training_settings(100, image_size=SIDE, background_size=5, salient_size=3, technical_size=2)
    made = build_model(name, settings, channels=2, perturbations=3, levels=lambda: [2]).eval()
    for encoder in made.encoders.values():  # heads start near 0: move them, so that there is something to average
        torch.nn.init.normal_(encoder.head.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    return made


def cells(n: int = 4) -> Tensor:
    return torch.randn((n, 2, SIDE, SIDE), generator=torch.Generator().manual_seed(0))


def test_the_eight_ways_are_all_quarter_turns_of_a_square_and_of_its_mirror_image() -> None:
    square = torch.arange(9.0).view(1, 1, 3, 3)
    turns = [torch.rot90(side, k, (2, 3)) for side in (square, square.flip(3)) for k in range(4)]
    ways = {tuple(way.flatten().tolist()) for way in all_ways(square)}
    assert ways == {tuple(turn.flatten().tolist()) for turn in turns}
    assert torch.equal(next(all_ways(square)), square)


@pytest.mark.parametrize("name", ["vae", "mcvae", "three-space"])
@torch.no_grad()
def test_means_and_variances_are_those_of_a_loop(name: str) -> None:
    made, x = model(name), cells()
    found = posterior_of_views(made, x, 8)._asdict()
    each = [made.encode(torch.rot90(side, k, (2, 3)))._asdict() for side in (x, x.flip(3)) for k in range(4)]
    for space, normal in found.items():
        alone: list[Normal] = [q[space] for q in each if q[space] is not None]
        assert (normal is None) == (not alone)
        if normal is not None:
            mean = sum(a.mean for a in alone) / 8
            variance = sum(a.log_variance.exp() for a in alone) / 8
            torch.testing.assert_close(normal.mean, mean, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(normal.log_variance.exp(), variance, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_it_makes_no_difference_how_a_cell_lies() -> None:
    made, x = model(), cells()
    lying, turned = posterior_of_views(made, x, 8), posterior_of_views(made, x.transpose(2, 3).flip(2), 8)
    torch.testing.assert_close(turned.background.mean, lying.background.mean, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(made.encode(x.flip(2)).background.mean, made.encode(x).background.mean, atol=1e-2)


@torch.no_grad()
def test_one_view_is_the_cell_as_it_was_imaged() -> None:
    made, x = model(), cells()
    assert torch.equal(posterior_of_views(made, x, 1).background.mean, made.encode(x).background.mean)
