"""A cell seen from all sides: posteriors averaged over the eight ways in which a square can lie.

    mean      1/8 sum over g of mean of q(z | g x)            g: three flips, left-right, top-bottom, along the diagonal
    variance  1/8 sum over g of variance of q(z | g x)

To decode a cell, a latent code has to say how the cell lies, which no perturbation decides: between cells that is
noise, and in the average it is gone. An encoder that has seen cells flipped and turned in training is at home in all
eight ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from contrascope.models.contrastive import ContrastiveVAE, Normal, Posterior


def posterior_of_views(model: ContrastiveVAE, x: Tensor, views: int) -> Posterior:
    """What the encoders say of a batch, averaged over views of each cell.

    Args:
        model: Any member of the family.
        x: (B, C, H, H) in the model's range.
        views: 1, as the cells lie; or 8.
    """
    if views == 1:
        return model.encode(x)
    seen = [model.encode(way.contiguous(memory_format=torch.channels_last)) for way in all_ways(x)]
    background = _averaged([q.background for q in seen])
    salient, technical = ([normal for q in seen if (normal := getattr(q, name))] for name in ("salient", "technical"))
    return Posterior(background, _averaged(salient) if salient else None, _averaged(technical) if technical else None)


def all_ways(x: Tensor) -> Iterator[Tensor]:
    """The eight symmetries of each (B, C, H, H) image, first as it is."""
    for along, down, across in product((False, True), repeat=3):
        way = x.transpose(2, 3) if along else x
        way = way.flip(2) if down else way
        yield way.flip(3) if across else way


def _averaged(normals: list[Normal]) -> Normal:
    means = torch.stack([normal.mean for normal in normals]).mean(0)
    variances = torch.stack([normal.log_variance.exp() for normal in normals]).mean(0)
    return Normal(means, variances.log())
