"""A run: the folder of one training, and what can be done with it.

    run.json             model, settings, transform, channels, perturbations, store, versions, outcome; last
    weights.safetensors  the weights of the best validation loss
    metrics.csv          step, name, value of everything that was logged
    tensorboard/         the same for TensorBoard
    split.parquet        the part of each cell: train, validation or test

``run.json`` is written last. Until then ``unfinished.json`` says whose folder it is, and ``resume.safetensors``
holds what a training that was killed goes on from; a folder that has neither json is none of ours and left
alone. Training that is stopped by Ctrl-C leaves a run that can be used, and that goes on when asked for again.
Nothing in it is a pickle.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.config import TrainingSettings, fingerprint, training_settings, validated
from contrascope.errors import RunError
from contrascope.models.contrastive import ContrastiveVAE, in_channels_last
from contrascope.models.variants import build_model
from contrascope.sampling.split import SPLIT_NAMES, TRAIN, VALIDATION, split_cells, split_groups
from contrascope.sampling.technical import Technical, measured_technical
from contrascope.sampling.transforms import Transform, measured_transform, paper_transform
from contrascope.store.files import half_written, read_json, remove, write_json, write_parquet
from contrascope.store.store import CropStore
from contrascope.training.distributed import ALONE, Devices, World, asked_for, first, joined, launched, said_once
from contrascope.training.inherit import inherit, refuse_misfit
from contrascope.training.outside import opened, refuse_absent
from contrascope.training.processes import Processes
from contrascope.training.trainer import METRICS, RESUME, WEIGHTS, train

_FACTS, _SPLIT = "run.json", "split.parquet"
_UNFINISHED = "unfinished.json"
_FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        path: Its folder.
        facts: What ``run.json`` holds.
    """

    path: Path
    facts: dict[str, Any]

    @property
    def model_name(self) -> str:
        """Name of the model in the registry."""
        return self.facts["model"]

    @cached_property
    def settings(self) -> TrainingSettings:
        """Settings it was trained with."""
        return validated(TrainingSettings, self.facts["settings"], where=str(self.path / _FACTS))

    @property
    def perturbations(self) -> list[str]:
        """Names of perturbations 1 ... K, in the order of the priors' means."""
        return self.facts["perturbations"]

    @property
    def fingerprint(self) -> str:
        """Changes with anything the run was made from."""
        return self.facts["fingerprint"]

    @cached_property
    def transform(self) -> Transform:
        """From raw pixels to the model's range."""
        return Transform(**self.facts["transform"])

    @cached_property
    def technical(self) -> Technical:
        """Levels of the technical columns: how the cells it was trained on were imaged."""
        return Technical(self.facts["technical"])

    @cached_property
    def model(self) -> ContrastiveVAE:
        """The trained model, evaluating.

        Raises:
            RunError: Its weights are missing or damaged.
        """
        model = self.untrained(seed=self.settings.seed)
        try:
            model.load_state_dict(load_file(self.path / WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise RunError(
                f"The weights of the run {self.path} cannot be read: {' '.join(str(error).split())[:300]}. "
                f"Delete the run and train again."
            ) from None
        return model.eval()

    def untrained(self, *, seed: int) -> ContrastiveVAE:
        """The same model with random weights: the baseline that a trained one must beat."""
        model = build_model(
            self.model_name,
            self.settings,
            channels=len(self.facts["channels"]),
            perturbations=len(self.perturbations),
            levels=self.technical.levels,
            seed=seed,
        )
        return in_channels_last(model.eval())

    def metrics(self) -> pl.DataFrame:
        """Columns ``step name value``: everything that was logged."""
        return pl.read_csv(self.path / METRICS)

    def split(self) -> pl.Series:
        """Part of each cell of the store, as text."""
        return pl.read_parquet(self.path / _SPLIT, glob=False)[v.SPLIT]

    def check_fits(self, store: CropStore) -> None:
        """Make sure a store has what the run was trained on.

        Raises:
            RunError: Other channels or another crop size.
        """
        for what, ours, theirs in (
            ("channels", self.facts["channels"], store.channels),
            ("crops of", self.facts["crop_size"], list(store.crop_size)),
        ):
            if ours != theirs:
                raise RunError(
                    f"The store {store.path} has {what} {theirs}, but the run {self.path} was trained on {ours}. "
                    f"Extract the crops again with the run's settings, or train on this store."
                )

    def images(self, store: CropStore, rows: np.ndarray) -> np.ndarray:
        """(B, C, H, W) cells as the model sees them."""
        return self._seen(store, rows).numpy()

    def reconstruct(self, store: CropStore, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells as the model sees them, and as it decodes them from their posterior means.

        Args:
            store: The cells.
            rows: (B,) rows; controls are decoded without salient part.

        Returns:
            Images and reconstructions, (B, C, H, W) float32 each, in the model's range.
        """
        return self._decoded(store, rows, without_salient=store.labels[rows] == 0)

    def counterfactual(self, store: CropStore, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same cells decoded with their salient part, and without it: what they would have looked like.

        Args:
            store: The cells.
            rows: (B,) rows. For controls both images are alike.

        Returns:
            Two (B, C, H, W) float32 in the model's range; their difference is what the model lays to the perturbation.

        Raises:
            RunError: The model has no salient space.
        """
        if not self.model.has_salient:
            raise RunError(f"A {self.model_name} has no salient space. Train an mcvae, or another with that space.")
        _, actual = self.reconstruct(store, rows)
        _, without = self._decoded(store, rows, without_salient=np.ones(len(rows), dtype=bool))
        return actual, without

    def traverse(
        self, store: CropStore, row: int, dim: int, values: np.ndarray, *, space: str = v.SALIENT
    ) -> np.ndarray:
        """One cell decoded with one latent dimension set to one value after the other.

        Args:
            store: The cells.
            row: The cell; all its other dimensions stay at their posterior mean, also if it is a control.
            dim: Which dimension of the space.
            values: (V,) what it is set to, in latent units.
            space: ``background``, ``salient`` or ``technical``.

        Returns:
            (V, C, H, W) float32 in the model's range.

        Raises:
            RunError: The model has no such space, or the space no such dimension.
        """
        sizes = self.model.sizes
        if dim not in range(sizes.get(space, 0)):
            spaces = " and ".join(f"{name} with dimensions 0 to {size - 1}" for name, size in sizes.items())
            raise RunError(f"The run {self.path} has no dimension {dim} of '{space}'. It has {spaces}.")
        self.check_fits(store)
        with torch.inference_mode():
            q = self.model.encode(self._seen(store, np.array([row])))
            means = {name: normal.mean.repeat(len(values), 1) for name, normal in q._asdict().items() if normal}
            means[space][:, dim] = torch.as_tensor(np.asarray(values), dtype=torch.float32)
            levels = self._levels(store, np.full(len(values), row))
            latent = (means[v.BACKGROUND], means.get(v.SALIENT), means.get(v.TECHNICAL))
            return self.model.decode(*latent, levels=levels).numpy()

    def prior_means(self) -> ad.AnnData:
        """Where the model expects each perturbation: mu[m] of each space that has them.

        Returns:
            K perturbations, without control (its mean is 0 unless ``control_prior`` was ``learned``), with
            ``obsm["background"]`` (K, Z) and ``obsm["salient"]`` (K, S), as far as the model's priors know
            perturbations.

        Raises:
            RunError: The model's priors know none, as those of ``vae`` and ``cvae``.
        """
        m = torch.arange(1, len(self.perturbations) + 1)
        with torch.inference_mode():
            means = {
                name: prior(m).numpy()
                for name, prior in self.model.priors.items()
                if name != v.TECHNICAL and list(prior.parameters())
            }
        if not means:
            raise RunError(f"The priors of a {self.model_name} know no perturbations. Train an mcvae for such means.")
        obs = pd.DataFrame({v.PERTURBATION: self.perturbations}, index=pd.Index(self.perturbations, dtype=object))
        return ad.AnnData(obs=obs, obsm=means)

    def _seen(self, store: CropStore, rows: np.ndarray) -> torch.Tensor:
        transform = self.transform.bound(store)
        return transform(torch.from_numpy(store.read(rows)), torch.from_numpy(np.asarray(rows)))

    def _levels(self, store: CropStore, rows: np.ndarray) -> torch.Tensor | None:
        """(B, F) levels of cells, for a decoder that is told them."""
        if self.model.condition is None:
            return None
        return self.technical.bound(store)(torch.from_numpy(np.asarray(rows)))

    def _decoded(
        self, store: CropStore, rows: np.ndarray, *, without_salient: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.check_fits(store)
        with torch.inference_mode():
            images = self._seen(store, rows)
            levels = self._levels(store, rows)
            decoded = self.model.reconstruct(images, control=torch.from_numpy(without_salient), levels=levels)
        return images.numpy(), decoded.numpy()

    def __repr__(self) -> str:
        outcome = self.facts["outcome"]
        return (
            f"Run of {self.model_name} in {self.path}: {outcome['steps']:,} steps, best validation loss "
            f"{outcome['best_validation_loss']:.1f} nats, {len(self.perturbations):,} perturbations"
        )


def open_run(path: str | Path) -> Run:
    """A finished run.

    Raises:
        RunError: There is none, it was not finished, or its format is not ours.
        SettingsError: A URL.
    """
    path = local_path(path)
    if not (path / _FACTS).is_file():
        raise RunError(f"{path} holds no finished run. Train one with `contrascope train STORE --out {path}`.")
    facts = read_json(path / _FACTS)
    if not isinstance(facts, dict) or facts.get("format") != _FORMAT:
        raise RunError(f"{path / _FACTS} is no run that this version can read. Choose another folder, or train again.")
    return Run(path, facts)


def fit(
    store: CropStore,
    *,
    model: str = "mcvae",
    out: str | Path,
    preset: str = "auto",
    devices: Devices = 1,
    nodes: int = 1,
    start_from: Run | str | Path | None = None,
    loggers: Sequence[str] = (),
    **changes: Any,
) -> Run:
    """Train a model on a store.

    A finished run of the same store, model and settings in ``out`` is opened, not trained again; one that was
    killed or stopped goes on where it was, to the very same weights.

    On several devices each process holds an even share of every batch, and ``batch_size`` is that of the whole: the
    training follows that of one device, whatever their number. On one machine the processes are started here, and a
    script or a notebook need do nothing; on several, start the script with torchrun or srun, one process a device, on
    folders that all of them see. Models and architectures must then be known by entry points or to the script.

    Args:
        store: The cells.
        model: Name in ``registry.MODELS``.
        out: The run's folder.
        preset: ``auto`` fits the screen at hand, ``paper`` is the authors'.
        devices: GPUs to train on, on each machine, or CPU processes where there is no GPU; ``auto`` takes all GPUs.
        nodes: Machines. Under torchrun and srun both may be left out.
        start_from: A finished run of the same model, channels, crop size and sizes, whose weights to start with. Prior
            means are taken over by the perturbation's name; those it does not know start at 0. Pixels are normalised
            on the controls of this store, and the schedules begin anew: ``beta_warmup_steps=0`` keeps what is learned.
        loggers: ``wandb`` and ``mlflow``, each by the extra of its name, besides metrics.csv and TensorBoard.
        **changes: Single settings of ``config.TrainingSettings``.

    Raises:
        SettingsError: Unknown model, preset or setting, or ``out`` is a URL.
        RunError: ``out`` holds something else, the store has too few cells to split, the devices cannot share its
            batches, or training diverged or was stopped by Ctrl-C.
        StoreError: The store is damaged.
    """
    out, settings = local_path(out), training_settings(len(store), preset=preset, **changes)
    parent = open_run(start_from) if isinstance(start_from, str | Path) else start_from
    if parent is not None:
        parent.check_fits(store)
        refuse_misfit(parent, model, settings)
    made_from, world = run_fingerprint(store, model, settings, parent), launched()
    number = asked_for(devices, nodes, world)
    refuse_absent(loggers)
    if finished := _finished(out, made_from):
        return finished
    if world is None and number > 1:
        arguments = {"model": model, "out": str(out.absolute())} | settings.model_dump(mode="json")
        arguments |= {"start_from": parent and str(parent.path.absolute()), "loggers": list(loggers)}
        Processes(
            {
                "store": str(store.path.absolute() if isinstance(store.path, Path) else store.path),
                "arguments": arguments,
            },
            number,
        ).wait()
        return open_run(out)
    world = world or ALONE
    with joined(world), said_once(world):
        return _trained(store, model, settings, out, made_from, world, parent, loggers)


def _finished(out: Path, made_from: str) -> Run | None:
    """The run in a folder, if it needs no more training."""
    if not (out / _FACTS).is_file():
        return None
    run = open_run(out)
    if run.fingerprint != made_from:
        raise RunError(
            f"{out} holds a run made from other inputs: it has fingerprint {run.fingerprint}, this one would have "
            f"{made_from} (store, model and settings count). Choose another folder, or delete this one."
        )
    return None if run.facts["outcome"]["interrupted"] else run


def _trained(
    store: CropStore,
    model: str,
    settings: TrainingSettings,
    out: Path,
    made_from: str,
    world: World,
    parent: Run | None,
    loggers: Sequence[str],
) -> Run:
    """What each process of a training does."""
    parts = _parts(store, settings)
    _refuse_one_sided(store.labels, parts, settings)
    transform = _transform(store, np.flatnonzero(parts == TRAIN), settings)
    technical = measured_technical(store, settings.technical)
    network = build_model(
        model,
        settings,
        channels=len(store.channels),
        perturbations=len(store.perturbations),
        levels=technical.levels,
    )
    if parent is not None:
        inherit(network, store.perturbations, technical, parent)
    first(world, lambda: _make_room(out, made_from))
    told = {"model": model, "store": store.name, "fingerprint": made_from} | settings.model_dump(mode="json")
    with opened(loggers if world.rank == 0 else (), out, told) as others:
        outcome = train(store, network, transform.bound(store), technical, parts, settings, out, world, others)
    if world.rank == 0:
        started = {"start_from": parent.fingerprint} if parent is not None else {}
        measured = {"transform": transform.state(), "technical": technical.state(), "outcome": outcome}
        _write_facts(store, model, settings, parts, out, made_from, measured | started)
    if outcome["interrupted"]:
        raise RunError(
            f"Training was stopped at step {outcome['steps']:,}. {out} can be used as it is, with the weights of step "
            f"{outcome['best_step']:,}; the same command goes on where the training was."
        )
    first(world, lambda: (out / RESUME).unlink(missing_ok=True))
    return open_run(out)


def _write_facts(
    store: CropStore,
    model: str,
    settings: TrainingSettings,
    parts: np.ndarray,
    out: Path,
    made_from: str,
    came_of_it: dict[str, Any],
) -> None:
    """The split and ``run.json``, of a training that is over."""
    write_parquet(out / _SPLIT, pl.DataFrame({v.SPLIT: np.array(SPLIT_NAMES)[parts]}))
    facts = {
        "format": _FORMAT,
        "model": model,
        "settings": settings.model_dump(mode="json"),
        "channels": store.channels,
        "crop_size": list(store.crop_size),
        "perturbations": store.perturbations,
        "store": {"name": store.name, "cells": len(store), "fingerprint": store.fingerprint},
        "fingerprint": made_from,
        "versions": {name: version(name) for name in ("contrascope", "torch", "lightning")},
    } | came_of_it
    write_json(out / _FACTS, facts)
    (out / _UNFINISHED).unlink(missing_ok=True)


def run_fingerprint(store: CropStore, model: str, settings: TrainingSettings, parent: Run | None = None) -> str:
    """What a run of this model on this store would be known by, started from scratch or from another run."""
    started = [] if parent is None else [parent.fingerprint]
    return fingerprint([store.fingerprint, model, settings.model_dump(mode="json"), *started])


def _parts(store: CropStore, settings: TrainingSettings) -> np.ndarray:
    """(N,) part of each cell."""
    if settings.split_by == "cell":
        return split_cells(store.labels, shares=settings.split, seed=settings.seed)
    of_group = {"guide": [v.GUIDE], "well": [v.PLATE, v.WELL], "plate": [v.PLATE]}[settings.split_by]
    columns = pl.DataFrame([store.column(name) for name in of_group])
    groups = columns.select(pl.struct(of_group).rank("dense") - 1).to_series().to_numpy()
    return split_groups(store.labels, groups, shares=settings.split, seed=settings.seed)


def _transform(store: CropStore, rows: np.ndarray, settings: TrainingSettings) -> Transform:
    if settings.normalization == "paper":
        return paper_transform(settings.image_size, len(store.channels))
    by = {"screen": None, "batch": v.BATCH, "plate": v.PLATE}[settings.normalize_by]
    return measured_transform(store, rows, size=settings.image_size, seed=settings.seed, by=by)


def _refuse_one_sided(labels: np.ndarray, parts: np.ndarray, settings: TrainingSettings) -> None:
    """Make sure that there are cells to validate on, and cells on both sides of the comparison to train on."""
    training = labels[parts == TRAIN]
    counts = {
        "control to train on": int((training == 0).sum()),
        "perturbed cell to train on": int((training > 0).sum()),
        "cell to validate on": int((parts == VALIDATION).sum()),
    }
    if lacking := [what for what, n in counts.items() if n == 0]:
        raise RunError(
            f"The split {settings.split} of {len(labels):,} cells by {settings.split_by} leaves no "
            f"{' and no '.join(lacking)}. Give that part a larger share in training.split, "
            + ("or take more cells." if settings.split_by == "cell" else "or use training.split_by: cell.")
        )


def _make_room(out: Path, made_from: str) -> None:
    """The folder of this run: empty, or with what a training of the same run can go on from.

    A folder of anything else is left alone.
    """
    if (out / _UNFINISHED).is_file():
        if read_json(out / _UNFINISHED) != {"fingerprint": made_from}:
            shutil.rmtree(out)
    elif not (out / _FACTS).is_file() and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RunError(f"{out} exists and is no run of ours. Choose another folder; nothing was written.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out} cannot be made: {error.strerror}. Choose another folder.") from None
    for file in half_written(out):
        remove(file)
    write_json(out / _UNFINISHED, {"fingerprint": made_from})
