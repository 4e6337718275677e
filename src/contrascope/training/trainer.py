"""The training itself, by Lightning: what is logged, kept, stopped, and gone on with after a crash."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from safetensors import SafetensorError
from torch.utils.data import DataLoader

from contrascope import progress
from contrascope.allocator import keep_freed_memory
from contrascope.config import TrainingSettings
from contrascope.errors import RunError
from contrascope.models.contrastive import ContrastiveVAE, in_channels_last
from contrascope.models.precision import device_type, in_bfloat16, repeatable
from contrascope.sampling.samplers import BalancedBatches
from contrascope.sampling.split import TRAIN, VALIDATION
from contrascope.sampling.technical import Technical
from contrascope.sampling.transforms import Transform
from contrascope.store.store import CropStore
from contrascope.training.callbacks import BestWeights, Checkpoints, Progress, Stopping
from contrascope.training.checkpoint import SafeCheckpoints
from contrascope.training.data import TrainingStream, ValidationStream
from contrascope.training.distributed import ALONE, Environment, World
from contrascope.training.files import METRICS, RESUME
from contrascope.training.latent import LatentStatistics
from contrascope.training.logs import TidyMetrics
from contrascope.training.module import TrainingModule
from contrascope.training.quiet import quietly
from contrascope.training.schedules import validated_every


def train(
    store: CropStore,
    network: ContrastiveVAE,
    transform: Transform,
    technical: Technical,
    parts: np.ndarray,
    settings: TrainingSettings,
    out: Path,
    world: World = ALONE,
    loggers: Sequence[Logger] = (),
) -> dict[str, Any]:
    """Train a network, from its first step or from where a former training in ``out`` was.

    Args:
        store: The cells.
        network: Freshly made from the settings.
        transform: From raw pixels to the model's range.
        technical: Levels of the technical columns that the model is told, not yet bound to the store; maybe none.
        parts: (N,) part of each cell, of ``sampling.split``.
        settings: Of the training.
        out: The run's folder; the best weights and the metrics are in it afterwards.
        world: This process among those that train; the first of them writes the files.
        loggers: To log to, besides metrics.csv and TensorBoard.

    Returns:
        The outcome, as ``run.json`` holds it.

    Raises:
        RunError: The loss is no finite number, Ctrl-C came before the first validation, or the processes cannot
            share the batches evenly.
    """
    sampler = BalancedBatches(
        store.labels,
        np.flatnonzero(parts == TRAIN),
        batch_size=settings.batch_size,
        seed=settings.seed,
        balance=settings.balance,
    )
    _refuse_uneven(sampler.half, settings, world)
    keep_freed_memory()
    module = TrainingModule(
        in_channels_last(network),
        transform,
        settings,
        steps=settings.epochs * len(sampler),
        technical=technical.bound(store) if technical.columns else None,
        world=world,
        log_every=_logged_every(sampler),
    )
    best, checkpoints = BestWeights(out), Checkpoints(out / RESUME)
    with quietly(), repeatable(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)
        trainer = _lightning(sampler, settings, out, world, loggers, [best, checkpoints])
        held_out = _held_out(parts, settings, module)
        interrupted = _fit(
            trainer,
            module,
            TrainingStream(store, sampler, lambda: trainer.global_step, world.share),
            ValidationStream(store, held_out, settings.batch_size, world.share),
            checkpoints.path,
        )
    best.refuse_none(trainer.global_step)
    if not interrupted:
        progress.report("Training", module.steps, module.steps)
    taken = int(trainer.global_step)
    return {
        "steps": taken,
        "batch_size": 2 * sampler.half,
        "epochs": math.ceil(taken / len(sampler)),
        "beta_warmup_steps": module.warmup,
        "interrupted": interrupted,
        "stopped_early": taken < module.steps and not interrupted,
        "best_validation_loss": best.loss,
        "best_step": best.step,
        "cells_per_second": round(taken * 2 * sampler.half / checkpoints.seconds, 1),
        "seconds": round(checkpoints.seconds, 1),
        "precision": "bf16" if in_bfloat16(settings.precision, device_type()) else "fp32",
    }


def _lightning(
    sampler: BalancedBatches,
    settings: TrainingSettings,
    out: Path,
    world: World,
    loggers: Sequence[Logger],
    keeping: list[L.Callback],
) -> L.Trainer:
    """Lightning's trainer; ``keeping`` are the callbacks that save, which must come after the others."""
    start = _steps_taken(out / RESUME)
    return L.Trainer(
        max_epochs=settings.epochs,
        **_placed(world),
        precision="bf16-mixed" if in_bfloat16(settings.precision, device_type()) else "32-true",
        val_check_interval=validated_every(len(sampler), times=settings.validations_per_epoch),
        logger=[
            TidyMetrics(out / METRICS, start=start),
            TensorBoardLogger(out, name="", version="tensorboard", purge_step=start or None),
            *loggers,
        ],
        callbacks=[
            LatentStatistics(world),
            Stopping(settings.patience),
            Progress(settings.epochs * len(sampler)),
            *keeping,
        ],
        plugins=[SafeCheckpoints(), LightningEnvironment() if world.size == 1 else Environment(world)],
        log_every_n_steps=_logged_every(sampler),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )


def _logged_every(sampler: BalancedBatches) -> int:
    """Steps from one row of metrics to the next: ten rows an epoch, and one in 50 steps at least."""
    return max(1, min(50, len(sampler) // 10))


def _held_out(parts: np.ndarray, settings: TrainingSettings, module: TrainingModule) -> np.ndarray:
    """Rows to validate on, in the order of the store, or shuffled for what is estimated within a batch.

    Independence is: it must not be that of cells of one well, as they lie in the store.
    """
    rows = np.flatnonzero(parts == VALIDATION)
    return np.random.default_rng(settings.seed).permutation(rows) if module.independence_weights else rows


def _placed(world: World) -> dict[str, Any]:
    """Where Lightning is to train."""
    if world.size == 1:
        return {"accelerator": device_type(), "devices": 1}
    # Buffers are not sent around: what the scale remembers is computed over all processes, and so alike in each.
    strategy = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return {"accelerator": device_type(), "devices": world.devices, "num_nodes": world.nodes, "strategy": strategy}


def _refuse_uneven(half: int, settings: TrainingSettings, world: World) -> None:
    if half % world.size:
        raise RunError(
            f"{world.size} devices cannot share batches evenly that have {half:,} perturbed cells and as many controls "
            f"(training.batch_size is {settings.batch_size:,}). Choose a batch_size that twice the number of devices "
            f"divides, {2 * world.size * max(1, half // world.size):,} for instance, or another number of devices."
        )


def _fit(
    trainer: L.Trainer, module: TrainingModule, training: TrainingStream, held_out: ValidationStream, resume: Path
) -> bool:
    """Lightning's fit; whether Ctrl-C ended it."""
    training_batches, held_out_batches = (DataLoader(stream, batch_size=None) for stream in (training, held_out))
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, training_batches, held_out_batches, ckpt_path=resume if resume.is_file() else None)
    except SystemExit:  # what Lightning makes of Ctrl-C; it also turns a deaf ear to the next one
        signal.signal(signal.SIGINT, handler)
        return True
    return False


def _steps_taken(resume: Path) -> int:
    """Steps of the training that a checkpoint was taken of; 0 where there is none."""
    if not resume.is_file():
        return 0
    try:
        return int(SafeCheckpoints().load_checkpoint(resume)["global_step"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"Training cannot go on from {resume}, which is damaged: {' '.join(str(error).split())[:300]}. Delete that "
            f"file to train from the start."
        ) from None
