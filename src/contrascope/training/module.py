"""The Lightning module: one step of training, one of validation, and what is logged of them."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from contrascope.config import TrainingSettings
from contrascope.errors import RunError, first_few
from contrascope.models.contrastive import ContrastiveVAE
from contrascope.models.objective import (
    BACKGROUND_SALIENT,
    SALIENT_TECHNICAL,
    TECHNICAL_PERTURBATION,
    Terms,
    objective,
)
from contrascope.models.peers import mean_over_all, noise_like, sharing
from contrascope.sampling.augment import turned
from contrascope.sampling.technical import Technical
from contrascope.sampling.transforms import Transform
from contrascope.training.distributed import ALONE, World, gathered
from contrascope.training.means import Means
from contrascope.training.schedules import beta_at, learning_rate_at, warmup_within
from contrascope.vocabulary import Batch

VALIDATION_LOSS = "validation/loss"
_VALIDATION_SEED = 1
_NOISE = "training noise"


class TrainingModule(L.LightningModule):
    """A model in training.

    Args:
        model: Any member of the family.
        transform: From raw pixels to the model's range.
        settings: Learning rate, schedules, weights.
        steps: Steps of the whole training.
        technical: How the cells were imaged, where the model or a weight asks for it.
        world: This process among those that train the model.
        log_every: Steps of which the last is logged; working it out takes some milliseconds.
    """

    def __init__(
        self,
        model: ContrastiveVAE,
        transform: Transform,
        settings: TrainingSettings,
        *,
        steps: int,
        technical: Technical | None = None,
        world: World = ALONE,
        log_every: int = 1,
    ):
        super().__init__()
        self.model, self.transform, self.settings, self.steps = model, transform, settings, steps
        self.technical, self.world, self.log_every = technical, world, log_every
        self.independence_weights = independence_weights(model, settings)
        self.warmup = warmup_within(settings.beta_warmup_steps, steps=steps)
        self._noise_state: Tensor | None = None
        self._gone_on_from = 0

    def on_fit_start(self) -> None:
        """Start the noise of training; torch's own generator will not do, each validation's loader draws from it."""
        fresh = torch.Generator(device=self.device).manual_seed(self.settings.seed + self._gone_on_from)
        if self._noise_state is not None and len(self._noise_state) == len(fresh.get_state()):
            fresh.set_state(self._noise_state)  # otherwise it comes from a device of another kind, and means nothing
        self._training_noise = fresh

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where the noise has come to belongs to what training goes on from."""
        checkpoint[_NOISE] = self._training_noise.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Comes before ``on_fit_start``."""
        self._noise_state, self._gone_on_from = checkpoint[_NOISE], int(checkpoint["global_step"])

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch: the mean over its cells, beta as the step has it."""
        with sharing(self.world.share):
            return self._step(batch)

    def _step(self, batch: Batch) -> Tensor:
        s = self.settings
        beta = beta_at(self.global_step, warmup_steps=self.warmup, beta=s.beta)
        terms = self._terms(self._seen(batch), self._training_noise)
        loss = self._loss(terms, beta=beta)
        if not torch.isfinite(mean := mean_over_all(loss.detach())):
            _refuse_pixels(batch, self.world)
            raise RunError(
                f"Training diverged: the loss is {mean.item()} at step {self.global_step}. {_advice(terms, s)}, and "
                f"train into another folder, or delete this one."
            )
        if (self.global_step + 1) % self.log_every == 0:
            self._log(terms, batch, "train", loss=loss, beta=beta)
        return s.loss_scale * loss

    def _seen(self, batch: Batch) -> Batch:
        """A batch as the model trains on it."""
        batch = self._prepared(batch, gain=self._gain(batch))
        if not self.settings.augment:
            return batch
        images = turned(batch.images, generator=self._training_noise, share=self.world.share)
        return batch._replace(images=images.contiguous(memory_format=torch.channels_last))

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._means = Means()

    def validation_step(self, batch: Batch, number: int) -> None:
        """The objective on held-out cells, always with all of beta."""
        # Noise that follows from the batch is the same each time, and whichever process is given the batch.
        place = number * self.world.size + self.world.rank
        noise = torch.Generator(device=self.device).manual_seed(_VALIDATION_SEED + place)
        terms = self._terms(self._prepared(batch), noise)
        loss = self._loss(terms, beta=self.settings.beta)
        self._log(terms, batch, "validation", loss=loss)

    def on_validation_epoch_end(self) -> None:
        """Means over all held-out cells, whichever process saw them."""
        self.log_dict({name: float(value) for name, value in self._means.over_all(self.world).items()})

    def _gain(self, batch: Batch) -> Tensor | None:
        """(B, C) random gains, whose logarithms are normal."""
        if not self.settings.gain_spread:
            return None
        each = batch.images[:, :, 0, 0].float()
        return torch.exp(self.settings.gain_spread * noise_like(each, self._training_noise))

    def _prepared(self, batch: Batch, *, gain: Tensor | None = None) -> Batch:
        """A batch in the model's range, and with how its cells were imaged if that counts."""
        batch = self.transform.batch(batch, gain=gain)
        return batch if self.technical is None else self.technical.batch(batch)

    def _terms(self, batch: Batch, noise: torch.Generator) -> Terms:
        return objective(self.model, batch, generator=noise, independence=self.independence_weights)

    def _loss(self, terms: Terms, *, beta: float) -> Tensor:
        s, risen = self.settings, beta / self.settings.beta
        independence = {name: risen * weight for name, weight in self.independence_weights.items()}
        return terms.total(beta=beta, wasserstein_weight=s.wasserstein_weight, independence=independence).mean()

    def configure_optimizers(self) -> Any:
        """Adam, with the learning rate of the schedule at each step."""
        s = self.settings
        optimizer = torch.optim.Adam(self.model.parameters(), lr=s.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_at(step, steps=self.steps, decay=s.learning_rate_decay)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip each entry of the gradient; Lightning's own clipping refuses a fused optimizer."""
        if self.settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_value_(self.model.parameters(), self.settings.gradient_clip)

    def _log(self, terms: Terms, batch: Batch, part: str, *, loss: Tensor, beta: float | None = None) -> None:
        """Means over all cells, or over the cells a term is about."""
        control = batch.perturbation == 0
        values = {
            f"{part}/loss": loss[None].expand(len(control)),
            f"{part}/reconstruction": terms.reconstruction,
            f"{part}/KL background": terms.background,
        }
        if self.model.has_salient:
            values |= {f"{part}/KL salient": terms.salient[~control], f"{part}/leak of controls": terms.leak[control]}
        if self.model.has_technical:
            values[f"{part}/KL technical"] = terms.technical
        for name, value in terms.dependence.items():
            values[f"{part}/dependence {name}"] = value[None].expand(len(control))
        if beta is not None:
            values["beta"] = loss.new_tensor([beta])
        if part == "validation":
            self._means.add(values)
            return
        means = mean_over_all(torch.stack([x.detach().float().mean() for x in values.values()]))
        self.log_dict(dict(zip(values, means, strict=True)), on_step=True, on_epoch=False)


def _advice(terms: Terms, settings: TrainingSettings) -> str:
    """What to change after a loss that is no number. Every process has to ask, as it counts the cells of all."""
    parts = {name: term for name, term in (terms._asdict() | terms.dependence).items() if name != "dependence"}
    finite = torch.isfinite(mean_over_all(torch.stack([term.detach().float().mean() for term in parts.values()])))
    if finite.all():
        weights = ", ".join(f"{name} {value:g}" for name, value in _weights(settings).items())
        return f"Its terms are numbers, and their weights too large for float32: lower the largest of {weights}"
    wrong = [name for name, is_number in zip(parts, finite.tolist(), strict=True) if not is_number]
    clip = "set" if settings.gradient_clip is None else "lower"
    return (
        f"What is no number any more: {', '.join(wrong)}. Lower training.learning_rate (it is "
        f"{settings.learning_rate:g}) or {clip} training.gradient_clip"
    )


def _weights(settings: TrainingSettings) -> dict[str, float]:
    """Of the terms of a loss."""
    names = ("beta", "wasserstein_weight", "independence_weight", "salient_technical_weight")
    return {name: getattr(settings, name) for name in (*names, "technical_perturbation_weight", "loss_scale")}


def _refuse_pixels(batch: Batch, world: World) -> None:
    """Name the cells whose pixels are no numbers, whichever process holds them: a lower rate would not help them."""
    sound = torch.isfinite(batch.images.float()).flatten(1).all(1)
    wrong = sorted({row for rows in gathered(world, batch.rows[~sound].tolist()) for row in rows})
    if wrong:
        rows = first_few([f"{row:,}" for row in wrong])
        raise RunError(
            f"Crops hold NaN or infinite pixels: cells of the store, by row: {rows}; maybe others that no batch has "
            f"shown yet. Leave these cells out of the table that the store is made from, or mend their tiles, and make "
            f"the store again."
        )


def independence_weights(model: ContrastiveVAE, settings: TrainingSettings) -> dict[str, float]:
    """Weight of each dependence that the settings ask for and the model has the spaces for."""
    weights = {}
    if model.has_salient:
        weights[BACKGROUND_SALIENT] = settings.independence_weight
        weights[SALIENT_TECHNICAL] = settings.salient_technical_weight
    if model.has_technical:
        weights[TECHNICAL_PERTURBATION] = settings.technical_perturbation_weight
    return {name: weight for name, weight in weights.items() if weight > 0}


def asks_how_imaged(model: ContrastiveVAE, settings: TrainingSettings) -> bool:
    """Whether a model in training must be told how cells were imaged."""
    asked = model.has_technical or model.condition is not None
    return asked or SALIENT_TECHNICAL in independence_weights(model, settings)
