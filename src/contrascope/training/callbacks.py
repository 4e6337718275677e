"""What happens beside the steps of a training: weights kept, checkpoints saved, early stopping, progress told."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from safetensors.torch import save_file

from contrascope import progress
from contrascope.errors import RunError
from contrascope.store.files import appearing
from contrascope.training.files import FACTS, MATCHED, WEIGHTS
from contrascope.training.module import VALIDATION_LOSS, TrainingModule

CHECKPOINT_SECONDS = 300.0
"""A crash costs at most this much training."""
_STEPS_BETWEEN_WORDS = 10
"""Several processes agree only every so many steps on whether to save: each time, all of them wait for their device."""


class Stopping(EarlyStopping):
    """Early stopping that is not forgotten where a run is killed after it, before ``run.json`` is written.

    Args:
        patience: Validations without a lower loss.
    """

    def __init__(self, patience: int):
        super().__init__(VALIDATION_LOSS, patience=patience, check_on_train_epoch_end=False, check_finite=False)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After a checkpoint is read; Lightning's own has how long it has waited in it, not that it is over."""
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class BestWeights(L.Callback):
    """Keeps the weights of the lowest validation loss, each time as a whole file.

    In the folder of a training that was stopped and is gone on with, what is said of its former weights goes with them.

    Args:
        out: The run's folder.
    """

    def __init__(self, out: Path):
        self.out, self.loss, self.step = out, float("inf"), 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the weights if the loss is the lowest so far, and end a training whose loss is no finite number."""
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

    def refuse_none(self, step: int) -> None:
        """Make sure that there are weights to use, of a training that ended at ``step``."""
        if not math.isfinite(self.loss):
            raise RunError(
                f"Training was stopped at step {step:,}, before its first validation: there are no weights to use yet. "
                f"The same command starts it again."
            )

    def state_dict(self) -> dict[str, Any]:
        """Loss and step of the weights kept."""
        return {"loss": self.loss, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The weights kept by a training that is gone on with."""
        self.loss, self.step = state_dict["loss"], state_dict["step"]


class Checkpoints(L.Callback):
    """Saves what training can go on from: after each validation, and between them every so many seconds.

    It must be the last of the callbacks, so that it saves what the others have come to. Between validations it saves
    as the next batch begins: when a batch ends, Lightning has not yet logged it, and a crash would lose its metrics.

    Args:
        path: The file, replaced each time as a whole.
    """

    def __init__(self, path: Path):
        self.path = path
        self._before, self._began = 0.0, time.monotonic()
        self._saved = self._began

    @property
    def seconds(self) -> float:
        """Time spent in training, with what a former training had spent when it was saved."""
        return self._before + time.monotonic() - self._began

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Save, when the last time is long enough ago."""
        if trainer.world_size > 1 and trainer.global_step % _STEPS_BETWEEN_WORDS:
            return
        due = time.monotonic() - self._saved > CHECKPOINT_SECONDS
        # All save together, so that none waits for the others in vain.
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            # Lightning counts the last step again when it goes on: it expects to be saved before it has counted it.
            loop = trainer.fit_loop.epoch_loop
            loop._batches_that_stepped -= 1
            self._save(trainer)
            loop._batches_that_stepped += 1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, with the weights that validation found best."""
        self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The time spent so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The time spent by a training that is gone on with."""
        self._before = state_dict["seconds"]

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()


class Progress(L.Callback):
    """Says how far the training is, of ``steps``."""

    def __init__(self, steps: int):
        self.steps = steps

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Tell."""
        progress.report("Training", trainer.global_step, self.steps)
