"""Starting from what another run has learned: the same networks, on other cells and maybe other perturbations.

All weights are taken over as they are, but for the priors' means: those belong to perturbations and go by their names.
So does what a model learned of technical columns: by column and level, or of columns of fractions by part.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contrascope.config import TrainingSettings
from contrascope.errors import RunError
from contrascope.models.contrastive import ContrastiveVAE
from contrascope.sampling.technical import Technical

if TYPE_CHECKING:
    from contrascope.training.run import Run

_SHAPING = (
    "architecture",
    "encoders",
    "image_size",
    "background_size",
    "salient_size",
    "technical_size",
    "likelihood_scale",
    "control_prior",
    "decoder_knows",
)
"""Settings that say which weights a model has."""
_MEANS = ".means"
_OF_LEVEL = re.compile(r"(priors\.technical|condition)\.means\.(\d+)")


def refuse_misfit(parent: Run, model: str, settings: TrainingSettings) -> None:
    """Make sure that a model of these settings has the weights of another run's.

    Raises:
        RunError: It is another model, or of other sizes.
    """
    if parent.model_name != model:
        raise RunError(
            f"{parent.path} is a run of {parent.model_name}, and a training of {model} was to start from it. Train "
            f"{parent.model_name}, or start from a run of {model}."
        )
    theirs = {name: getattr(parent.settings, name) for name in _SHAPING}
    ours = {name: getattr(settings, name) for name in _SHAPING}
    if differing := [name for name in _SHAPING if theirs[name] != ours[name]]:
        raise RunError(
            f"A training cannot start from the run {parent.path}: it has "
            + ", ".join(f"{name} {theirs[name]} instead of {ours[name]}" for name in differing)
            + f". Set {' '.join(f'{name}={theirs[name]}' for name in differing)}, or start from another run."
        )


def inherit(network: ContrastiveVAE, perturbations: list[str], technical: Technical, parent: Run) -> None:
    """Give a fresh network the weights of a run.

    Args:
        network: Of the same model and sizes.
        perturbations: Names of perturbations 1 ... K of the network, in order.
        technical: The network's technical columns and their levels.
        parent: The run. Perturbations and levels that it does not know keep the network's own means.
    """
    theirs = parent.model.state_dict()
    taken = {}
    for name, ours in network.state_dict().items():
        if of_level := _OF_LEVEL.fullmatch(name):
            column = list(technical.columns)[int(of_level[2])]
            taken[name] = _of_levels(ours, theirs, of_level[1], column, technical, parent.technical)
        elif name in theirs and _is_mean(name):
            taken[name] = _by_name(ours, theirs[name], perturbations, parent.perturbations)
        else:
            taken[name] = theirs.get(name, ours)
    network.load_state_dict(taken)


def _of_levels(
    ours: Tensor, theirs: dict[str, Tensor], space: str, column: str, technical: Technical, of_parent: Technical
) -> Tensor:
    """Our means of a column's levels, with those of levels that both know replaced by the parent's."""
    if column not in of_parent.columns:
        return ours
    weight = theirs.get(f"{space}.means.{list(of_parent.columns).index(column)}")
    return ours if weight is None else _by_name(ours, weight, technical.names(column), of_parent.names(column))


def _is_mean(name: str) -> bool:
    return name.startswith("priors.") and name.endswith(_MEANS)


def _by_name(ours: Tensor, theirs: Tensor, our_names: list[str], their_names: list[str]) -> Tensor:
    """(K, Z) our means, with those of names that both know replaced by theirs."""
    place = {name: i for i, name in enumerate(their_names)}
    known = [i for i, name in enumerate(our_names) if name in place]
    taken = ours.clone()
    if known:
        taken[known] = theirs[torch.tensor([place[our_names[i]] for i in known])]
    return taken
