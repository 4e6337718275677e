"""What the latent spaces are used for, at each validation: measured on the side, without a word to the training.

A unit is a dimension of a space. It is active where its posterior mean tells cells apart: where more than a hundredth
of its variance over held-out cells is that of the means, the rest being the posterior's own. Where the variance is 1 in
all, as the prior has it, that is the threshold of Burda et al. (2016); in the salient space, which the Wasserstein term
makes small, theirs would miss units that are narrow and well read. Of all units together, the share of that variance
that is of the means says how much of a space tells cells apart.

The KL of a unit is a mean over the cells whose objective has it: all cells in the background space, perturbed ones in
the salient space. A part of it is the price of a posterior that is narrower than the prior, (sigma^2 - 1 - log sigma^2)
/ 2, wherever its mean lies. In the salient space, which the Wasserstein term makes narrow, that part is there even
where the means say nothing, so it is logged by itself. The salient norm is the length of the posterior mean of s; for
controls it should be near 0.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from contrascope.models.contrastive import ContrastiveVAE, Normal
from contrascope.models.objective import kl_by_dimension
from contrascope.training.distributed import World
from contrascope.training.means import Means
from contrascope.training.module import TrainingModule
from contrascope.vocabulary import SALIENT, TECHNICAL, Batch

ACTIVE = 0.01
"""Least share of a unit's variance that its posterior means have."""
_SHOWN = {"perturbed": 5, "control": 3}
"""Cells in the picture, at most."""


class LatentStatistics(L.Callback):
    """Logs numbers of each space; and, for TensorBoard, histograms of KL by unit and a picture of reconstructions.

    Args:
        world: The processes that validate together.
    """

    def __init__(self, world: World):
        self.world = world

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to listen to the encoders."""
        assert isinstance(pl_module, TrainingModule)
        self._means, model = Means(), pl_module.model
        self._listening: list[RemovableHandle] = [
            encoder.register_forward_hook(self._listener(name, model)) for name, encoder in model.encoders.items()
        ]

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, number: int, *_: Any
    ) -> None:
        """Note whose cells come."""
        assert isinstance(pl_module, TrainingModule)
        self._batch = batch if pl_module.technical is None else pl_module.technical.batch(batch)
        if number == 0:
            self._first = _few(self._batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what was heard."""
        assert isinstance(pl_module, TrainingModule)
        for handle in self._listening:
            handle.remove()
        means = self._means.over_all(self.world)
        pl_module.log_dict(statistics(means))
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not (trainer.is_global_zero and boards):
            return
        picture = reconstructions(pl_module.model, pl_module.transform.batch(self._first))
        for board in boards:
            board.experiment.add_image("latent/reconstructions", picture, trainer.global_step)
            for name, kl in means.items():
                if name.startswith("KL ") and np.isfinite(kl).all():
                    board.experiment.add_histogram(f"latent/{name} by unit", kl, trainer.global_step)

    def _listener(self, encoder: str, model: ContrastiveVAE) -> Any:
        def listen(_: nn.Module, __: Any, output: Tensor) -> None:
            m = self._batch.perturbation
            for name, q in model.split_output(encoder, output).items():
                known = self._batch.technical if name == TECHNICAL else m
                self._means.add(of_cells(name, q, model.priors[name](known), control=m == 0))

        return listen


def of_cells(name: str, q: Normal, prior_mean: Tensor, *, control: Tensor) -> dict[str, Tensor]:
    """What the statistics of a space are means of, for each cell.

    Args:
        name: Of the space.
        q: Diagonal normal over (B, Z), the posterior.
        prior_mean: (B, Z).
        control: (B,) whether a cell is a control.
    """
    mean, log_variance = q
    kl, width = kl_by_dimension(q, prior_mean), 0.5 * (log_variance.exp() - 1 - log_variance)
    values = {f"mean {name}": mean, f"square {name}": mean.square(), f"noise {name}": log_variance.exp()}
    if name != SALIENT:
        return values | {f"KL {name}": kl, f"width {name}": width}
    length = mean.norm(dim=1)
    of_groups = {"salient norm of controls": length[control], "salient norm of perturbed cells": length[~control]}
    return values | {f"KL {name}": kl[~control], f"width {name}": width[~control]} | of_groups


def statistics(means: dict[str, np.ndarray]) -> dict[str, float]:
    """What is logged of the means over all held-out cells, by name."""
    logged: dict[str, float] = {}
    for name, value in means.items():
        kind, _, space = name.partition(" ")
        if kind == "mean":
            variance = means[f"square {space}"] - value**2
            active = variance > ACTIVE * (variance + means[f"noise {space}"])
            logged[f"latent/active {space} units"] = float(active.sum())
            logged[f"latent/{share_in_means(space)}"] = float(
                variance.sum() / (variance + means[f"noise {space}"]).sum()
            )
        elif kind == "KL":
            logged[f"latent/KL of the median {space} unit"] = float(np.median(value))
            logged[f"latent/KL of the largest {space} unit"] = float(value.max())
        elif kind == "width":
            logged[f"latent/KL of narrow {space} posteriors"] = float(value.sum())
        elif kind == "salient":
            logged[f"latent/{name}"] = float(value)
    return logged


def share_in_means(space: str) -> str:
    """What the share of a space's variance that is of the means is called."""
    return f"share of {space} variance in the means"


def reconstructions(model: ContrastiveVAE, batch: Batch) -> np.ndarray:
    """(1, H, W) picture in 0 ... 1: a column a cell, and for each channel a row of inputs and one of reconstructions.

    Where the model has a salient space, a third row shows the cells decoded without it. What is no number is black.
    """
    control = batch.perturbation == 0
    with torch.no_grad():
        decoded = partial(model.reconstruct, batch.images, levels=batch.technical)
        rows = [batch.images, decoded(control=control)]
        if model.has_salient:
            rows.append(decoded(control=torch.ones_like(control)))
    picture = torch.stack(rows).cpu().float()  # (3, B, C, H, W)
    picture = picture.permute(2, 0, 3, 1, 4).flatten(3).flatten(0, 2)  # (C * 3 * H, B * W)
    # Training stops by itself where there are no numbers; a picture of them is no reason to.
    return ((picture[None] + 1) / 2).nan_to_num(0.0).clamp(0, 1).numpy()


def _few(batch: Batch) -> Batch:
    """A few perturbed cells and a few controls of a batch."""
    perturbed, control = (torch.nonzero(mask)[:, 0] for mask in (batch.perturbation > 0, batch.perturbation == 0))
    chosen = torch.cat([perturbed[: _SHOWN["perturbed"]], control[: _SHOWN["control"]]])
    batch = batch._replace(images=batch.images.float())  # GPUs cannot choose among 16-bit integers
    return Batch(*(None if values is None else values[chosen] for values in batch))  # type: ignore[arg-type]
