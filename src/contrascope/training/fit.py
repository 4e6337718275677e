"""Making a run: a model trained on a store, by one process or several, and the folder that says all about it.

``run.json`` is written last. Until then ``unfinished.json`` says whose folder it is, and ``resume.safetensors``
holds what a training that was killed goes on from; a folder that has neither json is none of ours and left
alone. Training that is stopped by Ctrl-C leaves a run that can be used, and that goes on when asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.config import OF_EMBEDDING, TrainingSettings, fingerprint, training_settings
from contrascope.errors import RunError, first_few
from contrascope.litter import is_bare
from contrascope.models.variants import build_model
from contrascope.sampling.split import SPLIT_NAMES, TRAIN, VALIDATION, split_cells, split_groups
from contrascope.sampling.technical import Technical, measured_technical
from contrascope.sampling.transforms import Transform, measured_transform, paper_transform
from contrascope.store.files import half_written, read_json, remove, sha256, write_json, write_parquet
from contrascope.store.store import CropStore, as_store
from contrascope.training.distributed import (
    ALONE,
    Devices,
    World,
    devices_per_node,
    errors_once,
    launched,
    on_first_rank,
    process_group,
)
from contrascope.training.files import FACTS, RESUME, SPLIT, UNFINISHED, WEIGHTS
from contrascope.training.inherit import inherit, refuse_misfit
from contrascope.training.loggers import opened, refuse_absent
from contrascope.training.matching import is_kept, keep_matched
from contrascope.training.module import asks_how_imaged
from contrascope.training.processes import Processes
from contrascope.training.run import CELLS_TRAINED_ON, FORMAT, OLDER_RUNS_HAVE, Run, open_run
from contrascope.training.trainer import train


def fit(
    store: CropStore | str | Path,
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
    killed or stopped goes on where it was, on a CPU to the very same weights. ``views`` and ``salient_reference`` say
    how cells are embedded: where they alone are others, the run has them from then on, with the weights that it had.

    On several devices each process holds an even share of every batch, and ``batch_size`` is that of the whole: the
    training follows that of one device, whatever their number. On one machine the processes are started here, and a
    script or a notebook need do nothing; on several, start the script with torchrun or srun, one process a device, on
    folders that all of them see. Models and architectures must then be known by entry points or to the script.

    Args:
        store: The cells, or where their store is.
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
        RunError: ``out`` holds something else, be it finished or not; the store has too few cells to split, the
            devices cannot share its batches, or training diverged or was stopped by Ctrl-C.
        StoreError: The store is damaged, or lacks what the settings ask for: technical columns, controls in each
            batch; or the disk is full.
        LostError: Another of several processes is gone; the same call goes on from where the training was.
    """
    store = as_store(store)
    out, settings = local_path(out), training_settings(len(store), preset=preset, **changes)
    parent = open_run(start_from) if isinstance(start_from, str | Path) else start_from
    if parent is not None:
        parent.check_fits(store)
        refuse_misfit(parent, model, settings)
    made_from, world = run_fingerprint(store, model, settings, parent), launched()
    number = devices_per_node(devices, nodes, world)
    refuse_absent(loggers)
    if finished := _finished(out, made_from):
        return _seen_as_asked(finished, store, settings, world or ALONE)
    if world is None and number > 1:
        arguments = {"model": model, "out": str(out.absolute())} | settings.model_dump(mode="json")
        arguments |= {"start_from": parent and str(parent.path.absolute()), "loggers": list(loggers)}
        Processes("contrascope.training.fit:fit", store, arguments, number).wait()
        return open_run(out)
    world = world or ALONE
    with process_group(world), errors_once(world):
        return _trained(store, model, settings, out, made_from, world, parent, loggers)


def _finished(out: Path, made_from: str) -> Run | None:
    """The run in a folder, if it needs no more training."""
    if not (out / FACTS).is_file():
        return None
    run = open_run(out)
    if run.fingerprint != made_from:
        raise RunError(
            f"{out} holds a run made from other inputs: it has fingerprint {run.fingerprint}, this one would have "
            f"{made_from} (store, model and settings count). Choose another folder, or delete this one."
        )
    return None if run.facts["outcome"]["interrupted"] else run


def _seen_as_asked(run: Run, store: CropStore, settings: TrainingSettings, world: World) -> Run:
    """A finished run with the settings of embedding that are asked for now."""
    asked = settings.model_dump(mode="json")
    wanted = Run(run.path, run.facts | {"settings": asked})
    if run.settings.model_dump(mode="json") == asked and (not wanted.is_matched or is_kept(wanted)):
        return run

    def keep() -> None:
        if wanted.is_matched:
            keep_matched(wanted, store, np.flatnonzero(run.split() == SPLIT_NAMES[TRAIN]))
        write_json(run.path / FACTS, wanted.facts)

    with process_group(world):
        on_first_rank(world, keep)
    return wanted


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
    # Looked at only where the model asks: a screen may have more wells than a technical column can have levels.
    measure = cache(lambda: measured_technical(store, settings.technical))
    network = build_model(
        model,
        settings,
        channels=len(store.channels),
        perturbations=len(store.perturbations),
        levels=lambda: measure().levels,
    )
    technical = measure() if asks_how_imaged(network, settings) else Technical({})
    if network.condition is not None:
        parts = _with_each_level(parts, technical.bound(store), settings)
    _refuse_one_sided(store.labels, parts, settings)
    transform = _transform(store, np.flatnonzero(parts == TRAIN), settings)
    if parent is not None:
        inherit(network, store.perturbations, technical, parent)
    on_first_rank(world, lambda: _make_room(out, made_from))
    hyperparameters = {"model": model, "store": store.name, "fingerprint": made_from} | settings.model_dump(mode="json")
    with opened(loggers if world.rank == 0 else (), out, hyperparameters) as others:
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
    on_first_rank(world, lambda: (out / RESUME).unlink(missing_ok=True))
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
    """The split, the matched controls and ``run.json``, of a training that is over."""
    write_parquet(out / SPLIT, pl.DataFrame({v.SPLIT: pl.Series(SPLIT_NAMES, dtype=pl.String).gather(parts)}))
    facts = {
        "format": FORMAT,
        "model": model,
        "settings": settings.model_dump(mode="json"),
        "channels": store.channels,
        "crop_size": list(store.crop_size),
        "dtype": store.dtype.name,
        "perturbations": store.perturbations,
        CELLS_TRAINED_ON: _cells_of_each(store, parts),
        "store": {"name": store.name, "cells": len(store), "fingerprint": store.fingerprint},
        "fingerprint": made_from,
        "versions": {name: version(name) for name in ("contrascope", "torch", "lightning")},
    } | came_of_it
    if (run := Run(out, facts)).is_matched:
        keep_matched(run, store, np.flatnonzero(parts == TRAIN))
    write_json(out / FACTS, facts)
    (out / UNFINISHED).unlink(missing_ok=True)


def _cells_of_each(store: CropStore, parts: np.ndarray) -> list[int]:
    """Of each perturbation, how many cells there are to train on."""
    return np.bincount(store.labels[parts == TRAIN], minlength=len(store.perturbations) + 1)[1:].tolist()


def run_fingerprint(store: CropStore, model: str, settings: TrainingSettings, parent: Run | None = None) -> str:
    """What a run of this model on this store would be known by, started from scratch or from another run."""
    # A run that was stopped and gone on with has other weights than before, and the same fingerprint.
    started = [] if parent is None else [parent.fingerprint, sha256(parent.path / WEIGHTS)]
    said = settings.model_dump(mode="json", exclude=set(OF_EMBEDDING))
    # A setting that is newer than a run and was left as it was makes no other run of it.
    trained = {name: value for name, value in said.items() if (name, value) not in OLDER_RUNS_HAVE.items()}
    return fingerprint([store.fingerprint, model, trained, *started])


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


def _with_each_level(parts: np.ndarray, technical: Technical, settings: TrainingSettings) -> np.ndarray:
    """The parts, with cells to train on of each level that a decoder is told.

    Where single cells are split, those of a level so rare that none is trained on are moved there.
    """
    missing = technical.without(np.flatnonzero(parts == TRAIN))
    if missing and settings.split_by != "cell":
        column, levels = next(iter(missing.items()))
        raise RunError(
            f"decoder_knows is technical, and no cell to train on has the {column} {first_few(levels)}, as split_by is "
            f"{settings.split_by}: what the decoder is told of the others there would be numbers that nothing was "
            f"learned for. Split by another column, or name others than {column} in training.technical."
        )
    return np.where(technical.having(missing), np.int8(TRAIN), parts)


def _make_room(out: Path, made_from: str) -> None:
    """The folder of this run: empty, or with what a training of the same run can go on from.

    A folder of anything else is left alone.
    """
    if (out / UNFINISHED).is_file():
        if (other := read_json(out / UNFINISHED)) != {"fingerprint": made_from}:
            raise RunError(
                f"{out} holds a training that is not finished, of other inputs: it has fingerprint "
                f"{other.get('fingerprint')}, this one would have {made_from} (store, model and settings count). Go on "
                f"with that one by its own settings, choose another folder, or delete this one."
            )
    elif not (out / FACTS).is_file() and out.exists() and not is_bare(out):
        raise RunError(f"{out} exists and is no run of ours. Choose another folder; nothing was written.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out} cannot be made: {error.strerror}. Choose another folder.") from None
    for file in half_written(out):
        remove(file)
    write_json(out / UNFINISHED, {"fingerprint": made_from})
