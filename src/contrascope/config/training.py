"""What a training depends on besides the store, and the presets that say it for a screen of a size."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from contrascope.config.settings import Settings, validated
from contrascope.errors import SettingsError

OF_EMBEDDING = ("views", "salient_reference")
"""Settings that say how cells are embedded, and that no weight depends on."""


class TrainingSettings(Settings):
    """All a training run depends on besides the store. Presets fill it: ``auto``, ``clean``, ``paper``.

    Attributes:
        preset: Where the values that are not given come from.
        architecture: Encoders and decoder: ``conv5``, ``residual``, or one that another package registers.
        encoders: ``apart`` gives each space an encoder of its own, as in the paper; ``shared`` has one with a head for
            all spaces, a smaller network that is trained and embeds in less time. A model of one space has one anyway.
        image_size: Pixels a crop is resized to, with anti-aliasing.
        background_size: Z. Where it is too small for what cells do anyway, the salient space of perturbed cells is
            used to make up for it, and fills with batch and place in the field (docs/log.md).
        salient_size: S. A model without salient space uses Z + S for its one space.
        likelihood_scale: ``closed-form`` is the per-channel optimum of sigma-VAE; ``learned`` one scalar.
        focus: ``cell`` weighs the likelihood's pixels down towards the crop's rim, where neighbours are; ``crop``
            weighs them all alike.
        normalization: ``measured`` takes offset and spread from the store's controls; ``paper`` is
            (arcsinh(v) - 7) / 7.
        normalize_by: Whose controls offset and spread are measured on: all of the ``screen``, or those of a cell's own
            ``batch`` or ``plate``, which takes gain and offset of a well away.
        augment: Flip and turn each cell at random while training, by right angles.
        gain_spread: While training, make each channel of each cell brighter or dimmer at random, by factors whose
            logarithm has this standard deviation: the model then knows brightness as something that controls vary in.
            0 leaves it out.
        wasserstein_weight: lambda, the weight of W2^2(q(s|x), delta_0) on controls.
        control_prior: Whether the mean of controls in the background space is 0 or learned, where a model's background
            prior knows perturbations (mcvae, cvae-z, three-space).
        technical: Columns of the cell table that say how a cell was imaged: its batch, its ``field_distance``. A
            column of fractions is cut into eight levels. For models with a technical space, and the settings below.
        technical_size: T, dimensions of the technical space.
        decoder_knows: ``technical`` tells the decoder each cell's levels of the technical columns, so that no space
            need hold them.
        independence: How the dependence of background and salient space is measured: ``hsic``, about 0 to 1, or
            ``total-correlation``, in nats, by a critic that learns beside the model.
        independence_weight: Weight, in nats, of that dependence among perturbed cells. 0 leaves it out; it has no
            effect on a model without salient space.
        salient_technical_weight: Weight, in nats, of the dependence (HSIC) of the salient space on the technical
            columns among perturbed cells. It has no effect on a model without salient space.
        technical_perturbation_weight: Weight, in nats, of the dependence (HSIC) of the technical space on the
            perturbation, for a model with a technical space.
        learning_rate: Of Adam, at its highest.
        learning_rate_decay: Let the rate fall to a fiftieth along half a cosine, after a short rise; else it stays.
        beta: Weight of what the spaces hold, the KLs and the leak (Higgins et al. 2017); dependences have
            weights of their own, which rise with it. 1 is the bound that the paper derives; with
            more, a space spends a nat only on what explains so many of the image (docs/log.md, "What a nat costs").
        beta_warmup_steps: Steps over which beta rises from 0; of a training of few steps, half of them at most.
        epochs: Passes over the perturbed cells of the training part; a rest that fills no batch waits for the next.
        batch_size: Cells a step, half of them controls.
        loss_scale: The authors sum over control-perturbed pairs, 2; the mean per cell is 1.
        gradient_clip: Largest absolute value of a gradient's entry. The loss is in nats, thousands a cell: with
            the closed-form scale 0.5 clips nearly every entry and leaves little but signs (docs/log.md).
        balance: Places of a perturbation in an epoch: ``none`` one for each of its cells; ``sqrt`` and ``uniform`` give
            rare perturbations more, by the square root of their number of cells, or as many as any other.
        views: Over how many of the eight ways to lay a cell (flips and right-angle turns) posterior means are averaged
            when cells are embedded: all ``8``, or ``1``, as it was imaged. What is left does not depend on how a cell
            happened to lie; embedding takes eight times as long. 8 needs ``augment``.
        salient_reference: Where the embedding's salient space is measured from. ``origin``: posterior means as they
            are. ``matched``: less what controls of the same background (and technical) means have on average, so that
            what controls vary in together in all spaces is gone from it (``models/matched.py``).
        split: Shares of cells to train on, to validate on while training, and to test on; only the last may be 0.
        split_by: What is split: single cells, or whole guides, wells or plates.
        validations_per_epoch: How often the validation loss is looked at, as nearly as whole steps allow: with all of
            beta, and a mean over held-out cells as the screen has them, where batches of training are half controls.
        patience: Validations without a lower loss after which training stops early.
        precision: ``bf16`` computes in bfloat16 where the device has it in hardware, and in float32 where it has not
            and would be many times slower; ``fp32`` always in float32.
        seed: Of weights, order, noise and split.
    """

    preset: Literal["auto", "clean", "paper"]
    architecture: str
    encoders: Literal["apart", "shared"]
    image_size: Annotated[int, Field(ge=16, le=256)]
    background_size: Annotated[int, Field(ge=1)]
    salient_size: Annotated[int, Field(ge=1)]
    likelihood_scale: Literal["closed-form", "learned"]
    focus: Literal["cell", "crop"]
    normalization: Literal["measured", "paper"]
    normalize_by: Literal["screen", "batch", "plate"]
    augment: bool
    gain_spread: Annotated[float, Field(ge=0, le=1)]
    wasserstein_weight: Annotated[float, Field(ge=0)]
    control_prior: Literal["fixed", "learned"]
    technical: Annotated[list[str], Field(min_length=1)]
    technical_size: Annotated[int, Field(ge=1)]
    decoder_knows: Literal["nothing", "technical"]
    independence: Literal["hsic", "total-correlation"]
    independence_weight: Annotated[float, Field(ge=0)]
    salient_technical_weight: Annotated[float, Field(ge=0)]
    technical_perturbation_weight: Annotated[float, Field(ge=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    learning_rate_decay: bool
    beta: Annotated[float, Field(gt=0)]
    beta_warmup_steps: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2, multiple_of=2)]
    loss_scale: Annotated[float, Field(gt=0)]
    gradient_clip: Annotated[float, Field(gt=0)] | None
    validations_per_epoch: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    balance: Literal["none", "sqrt", "uniform"]
    views: Literal[1, 8]
    salient_reference: Literal["origin", "matched"]
    split: tuple[float, float, float]
    split_by: Literal["cell", "guide", "well", "plate"]
    precision: Literal["bf16", "fp32"]
    seed: Annotated[int, Field(ge=0, lt=2**63)]

    @model_validator(mode="after")
    def _papers_normalization_is_the_screens(self) -> TrainingSettings:
        if self.normalization == "paper" and self.normalize_by != "screen":
            raise ValueError(
                f"normalization: paper measures nothing, so there is nothing to take by {self.normalize_by}"
            )
        return self

    @model_validator(mode="after")
    def _views_have_been_seen_in_training(self) -> TrainingSettings:
        if self.views > 1 and not self.augment:
            raise ValueError(
                f"views: {self.views} embeds each cell flipped and turned, which augment: false never trains on; "
                f"set views: 1 or augment: true"
            )
        return self

    @field_validator("split")
    @classmethod
    def _shares_sum_to_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(split) < 0 or abs(sum(split) - 1) > 1e-6 or 0 in split[:2]:
            raise ValueError(
                f"split is train, validation, test shares that sum to 1, the first two above 0, not {split}"
            )
        return split


_ARCHITECTURE = {
    "architecture": "conv5",
    "encoders": "apart",
    "image_size": 64,
    "background_size": 32,
    "salient_size": 32,
    "wasserstein_weight": 8.0,
    "beta": 1.0,
    "control_prior": "fixed",
    "gain_spread": 0.0,
    "technical": ["batch"],
    "technical_size": 16,
    "decoder_knows": "nothing",
    "independence": "hsic",
    "independence_weight": 0.0,
    "salient_technical_weight": 0.0,
    "technical_perturbation_weight": 100.0,
    "balance": "none",
    "split": (0.83, 0.02, 0.15),
    "split_by": "cell",
    "normalize_by": "screen",
    "precision": "bf16",
    "seed": 0,
}


def paper_preset(n_cells: int) -> dict[str, Any]:
    """The authors' settings, for screens of millions; the number of cells changes nothing."""
    return _ARCHITECTURE | {
        "preset": "paper",
        "likelihood_scale": "learned",
        "focus": "crop",
        "normalization": "paper",
        "augment": False,
        "views": 1,
        "salient_reference": "origin",
        "learning_rate": 1e-4,
        "learning_rate_decay": False,
        "beta_warmup_steps": 4500,
        "epochs": 2,
        "batch_size": 2048,
        "loss_scale": 2.0,
        "gradient_clip": 0.5,
        "validations_per_epoch": 10,
        "patience": 5,
        "precision": "fp32",
    }


def auto_preset(n_cells: int) -> dict[str, Any]:
    """Settings that fit a screen of ``n_cells``: more passes over few cells, larger batches for many."""
    epochs = max(2, round(12 * (10_000 / max(n_cells, 2_500)) ** 0.5))
    batch_size = 128 if n_cells < 50_000 else 512 if n_cells < 1_000_000 else 2048
    steps = max(1, round(epochs * 1.2 * n_cells / batch_size))
    return _ARCHITECTURE | {
        "preset": "auto",
        "background_size": 128,
        "likelihood_scale": "closed-form",
        "focus": "cell",
        "normalization": "measured",
        "beta": 16.0,
        "augment": True,
        "views": 8,
        "salient_reference": "matched",
        "learning_rate": 1e-3,
        "learning_rate_decay": True,
        "beta_warmup_steps": min(4500, steps // 4),
        "epochs": epochs,
        "batch_size": batch_size,
        "loss_scale": 1.0,
        "gradient_clip": None,
        "validations_per_epoch": 1 if n_cells < 1_000_000 else 10,
        "patience": 5,
        "split": (0.85, 0.05, 0.10),
    }


CLEAN: dict[str, Any] = {
    "normalize_by": "batch",
    "technical": ["batch", "field_distance"],
    "salient_technical_weight": 50.0,
}
"""What ``clean`` has beyond ``auto``."""


def clean_preset(n_cells: int) -> dict[str, Any]:
    """``auto``, told each cell's batch and place in the field, so that the salient space need not hold them.

    Every batch needs controls of its own. How far it goes is in docs/results.md.
    """
    return auto_preset(n_cells) | CLEAN | {"preset": "clean"}


PRESETS = {"auto": auto_preset, "clean": clean_preset, "paper": paper_preset}


def training_settings(n_cells: int, /, *, preset: str = "auto", **changes: Any) -> TrainingSettings:
    """A preset for a store of ``n_cells``, with single settings changed.

    Raises:
        SettingsError: Unknown preset or setting, or a value out of range.
    """
    if preset not in list(PRESETS):  # a list: what YAML gives need not be hashable
        raise SettingsError(f"There is no preset '{preset}'. Choose one of: {', '.join(PRESETS)}.")
    return validated(TrainingSettings, PRESETS[preset](n_cells) | changes, where="training")
