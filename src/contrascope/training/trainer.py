"""The training itself, by Lightning: what is logged, kept, stopped, and gone on with after a crash."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from contrascope import progress
from contrascope.allocator import keep_freed_memory
from contrascope.config import TrainingSettings
from contrascope.errors import RunError
from contrascope.models.contrastive import ContrastiveVAE, in_channels_last
from contrascope.models.precision import in_bfloat16, repeatable
from contrascope.sampling.samplers import BalancedBatches
from contrascope.sampling.split import TRAIN, VALIDATION
from contrascope.sampling.technical import Technical
from contrascope.sampling.transforms import Transform
from contrascope.store.files import appearing
from contrascope.store.store import CropStore
from contrascope.training.checkpoint import SafeCheckpoints
from contrascope.training.data import TrainingStream, ValidationStream
from contrascope.training.distributed import ALONE, Environment, World
from contrascope.training.files import FACTS, MATCHED, METRICS, RESUME, WEIGHTS
from contrascope.training.latent import LatentStatistics
from contrascope.training.logs import TidyMetrics
from contrascope.training.module import VALIDATION_LOSS, TrainingModule
from contrascope.training.quiet import quietly
from contrascope.training.schedules import validated_every

CHECKPOINT_SECONDS = 300.0
"""A crash costs at most this much training."""
_STEPS_BETWEEN_WORDS = 10
"""Several processes agree on whether to save every so many steps: a word costs each of them a wait for its device."""


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
    training, held_out = np.flatnonzero(parts == TRAIN), np.flatnonzero(parts == VALIDATION)
    sampler = BalancedBatches(
        store.labels, training, batch_size=settings.batch_size, seed=settings.seed, balance=settings.balance
    )
    _refuse_uneven(sampler.half, settings, world)
    keep_freed_memory()
    steps = settings.epochs * len(sampler)
    told = technical.bound(store) if technical.columns else None
    log_every = max(1, min(50, len(sampler) // 10))
    module = TrainingModule(
        in_channels_last(network),
        transform,
        settings,
        steps=steps,
        technical=told,
        world=world,
        log_every=log_every,
    )
    if module.independence:  # a matter of a batch, which must not be cells of one well as they lie in the store
        held_out = np.random.default_rng(settings.seed).permutation(held_out)
    best, clock, resume = _BestWeights(out), _Checkpoints(out / RESUME, CHECKPOINT_SECONDS), out / RESUME
    start, bf16 = _steps_taken(resume), in_bfloat16(settings.precision, _device())
    with quietly(), repeatable(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)
        trainer = L.Trainer(
            max_epochs=settings.epochs,
            **_placed(world),
            precision="bf16-mixed" if bf16 else "32-true",
            val_check_interval=validated_every(len(sampler), times=settings.validations_per_epoch),
            logger=[
                TidyMetrics(out / METRICS, start=start),
                TensorBoardLogger(out, name="", version="tensorboard", purge_step=start or None),
                *loggers,
            ],
            callbacks=[
                LatentStatistics(world),
                best,
                _Stopping(
                    VALIDATION_LOSS, patience=settings.patience, check_on_train_epoch_end=False, check_finite=False
                ),
                _Progress(steps),
                clock,
            ],
            plugins=[SafeCheckpoints(), LightningEnvironment() if world.size == 1 else Environment(world)],
            log_every_n_steps=log_every,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
        )
        stream = TrainingStream(store, sampler, lambda: trainer.global_step, world.share)
        interrupted = _fit(
            trainer,
            module,
            DataLoader(stream, batch_size=None),
            DataLoader(ValidationStream(store, held_out, settings.batch_size, world.share), batch_size=None),
            resume,
        )
    _refuse_no_weights(best, trainer.global_step)
    if not interrupted:
        progress.report("Training", steps, steps)
    taken = int(trainer.global_step)
    return {
        "steps": taken,
        "batch_size": 2 * sampler.half,
        "epochs": math.ceil(taken / len(sampler)),
        "beta_warmup_steps": module.warmup,
        "interrupted": interrupted,
        "stopped_early": taken < steps and not interrupted,
        "best_validation_loss": best.loss,
        "best_step": best.step,
        "cells_per_second": round(taken * 2 * sampler.half / clock.seconds, 1),
        "seconds": round(clock.seconds, 1),
        "precision": "bf16" if bf16 else "fp32",
    }


def _placed(world: World) -> dict[str, Any]:
    """Where Lightning is to train."""
    if world.size == 1:
        return {"accelerator": _device(), "devices": 1}
    # Buffers are not sent around: what the scale remembers is computed over all processes, and so alike in each.
    strategy = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return {"accelerator": _device(), "devices": world.devices, "num_nodes": world.nodes, "strategy": strategy}


def _device() -> str:
    """The type of device to train on, as torch and Lightning name it. No Mac's GPU: none has ever been tried."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _refuse_uneven(half: int, settings: TrainingSettings, world: World) -> None:
    if half % world.size:
        raise RunError(
            f"{world.size} devices cannot share batches evenly that have {half:,} perturbed cells and as many controls "
            f"(training.batch_size is {settings.batch_size:,}). Choose a batch_size that twice the number of devices "
            f"divides, {2 * world.size * max(1, half // world.size):,} for instance, or another number of devices."
        )


def _fit(trainer: L.Trainer, module: TrainingModule, training: Any, held_out: Any, resume: Path) -> bool:
    """Lightning's fit; whether Ctrl-C ended it."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, training, held_out, ckpt_path=resume if resume.is_file() else None)
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


def _refuse_no_weights(best: _BestWeights, step: int) -> None:
    if not math.isfinite(best.loss):
        raise RunError(
            f"Training was stopped at step {step:,}, before its first validation: there are no weights to use yet. "
            f"The same command starts it again."
        )


class _Stopping(EarlyStopping):
    """Early stopping that is not forgotten where a run is killed after it, before ``run.json`` is written."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After a checkpoint is read; Lightning's own has how long it has waited in it, not that it is over."""
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class _BestWeights(L.Callback):
    """Keeps the weights of the lowest validation loss, each time as a whole file.

    In the folder of a training that was stopped and is gone on with, what is said of its former weights goes with them.
    """

    def __init__(self, out: Path):
        self.out, self.loss, self.step = out, float("inf"), 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        loss = float(trainer.callback_metrics[VALIDATION_LOSS])
        if not math.isfinite(loss):
            raise RunError(
                f"The validation loss is {loss} at step {trainer.global_step:,}. Look for crops with NaN or infinite "
                f"pixels, or lower training.learning_rate (it is {pl_module.settings.learning_rate:g})."
            )
        if loss < self.loss:
            self.loss, self.step = loss, trainer.global_step
            if not trainer.is_global_zero:
                return
            weights = {name: w.contiguous().cpu() for name, w in pl_module.model.state_dict().items()}
            for of_the_former in (FACTS, MATCHED):
                (self.out / of_the_former).unlink(missing_ok=True)
            with appearing(self.out / WEIGHTS) as beside:
                save_file(weights, beside)

    def state_dict(self) -> dict[str, Any]:
        return {"loss": self.loss, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loss, self.step = state_dict["loss"], state_dict["step"]


class _Checkpoints(L.Callback):
    """Saves what training can go on from: after each validation, and between them every so many seconds.

    It must be the last of the callbacks, so that it saves what the others have come to. Between validations it saves
    as the next batch begins: when a batch ends, Lightning has not yet logged it, and a crash would lose its metrics.
    """

    def __init__(self, path: Path, every: float):
        self.path, self.every = path, every
        self._before, self._began = 0.0, time.monotonic()
        self._saved = self._began

    @property
    def seconds(self) -> float:
        """Time spent in training, with what a former training had spent when it was saved."""
        return self._before + time.monotonic() - self._began

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.world_size > 1 and trainer.global_step % _STEPS_BETWEEN_WORDS:
            return
        due = time.monotonic() - self._saved > self.every
        # All save together, so that none waits for the others in vain.
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            # Lightning counts the last step again when it goes on: it expects to be saved before it has counted it.
            loop = trainer.fit_loop.epoch_loop
            loop._batches_that_stepped -= 1
            self._save(trainer)
            loop._batches_that_stepped += 1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["seconds"]

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()


class _Progress(L.Callback):
    def __init__(self, steps: int):
        self.steps = steps

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        progress.report("Training", trainer.global_step, self.steps)
