"""Typed settings, read from and written to YAML; the only home of defaults.

A screen file says what a screen is made of and, if wanted, how it is to be analysed. Every key is known
here, and a key that is not is an error: a misspelt setting must never be ignored. ``${VAR}`` in a value is
replaced from the environment; relative paths are relative to the screen file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contrascope.errors import SettingsError

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Settings whose keys are all known; frozen once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RoundSettings(Settings):
    """Channels imaged in one sitting, and the one among them that places the round against the others."""

    channels: Annotated[list[str], Field(min_length=1)]
    reference: str


class ImageSettings(Settings):
    """Where the tiles are and what their channels mean.

    Attributes:
        pattern: File name with ``{plate} {well} {row} {column} {tile} {channel}`` and ``*`` for anything.
            With ``{channel}`` there is one file a channel, else a file holds all of them. The readers
            ``ome-zarr`` (plates, URLs) and ``bioio`` (``FILE::SCENE``) say what it may be besides.
        channels: Names in the order of the file's planes; or, with ``{channel}``, names as they stand in
            the file names, or name -> how the file name spells it.
        reference_channel: The channel that cell positions refer to; the others are shifted onto it.
        pixel_size_um: Width of a pixel in micrometres, for scale bars.
        align: Measure and undo the shift of each channel, tile by tile.
        max_shift: Largest shift looked for, in pixels; with ``rounds``, within a round.
        rounds: Name -> the channels of a round of imaging, where a tile's channels come from several. A round's
            ``reference``, DNA imaged again for instance, is found against ``reference_channel``, and the round's
            other channels against it: ``{first: {channels: [DNA, GFP], reference: DNA}, second: {channels: [DNA2,
            p53], reference: DNA2}}``. Every channel is in one round.
        max_round_shift: Largest shift between rounds that is looked for, in pixels. Cells of which a round shows
            less than the whole crop are dropped, and counted.
        resample: ``whole`` moves channels by whole pixels and leaves every value as it was; ``subpixel`` interpolates
            the fraction that is left, for what depends on where channels touch, at the price of some noise smoothed.
        on_bad_tile: ``fail`` names all tiles that cannot be read; ``skip`` goes on and accounts for their cells.
        reader: Name of the reader.
    """

    pattern: str
    channels: Annotated[list[str], Field(min_length=1)] | Annotated[dict[str, str], Field(min_length=1)]
    reference_channel: str
    pixel_size_um: Annotated[float, Field(gt=0)] | None = None
    align: bool = True
    max_shift: Annotated[int, Field(ge=0)] = 40
    rounds: dict[str, RoundSettings] = {}
    max_round_shift: Annotated[int, Field(ge=0)] = 200
    resample: Literal["whole", "subpixel"] = "whole"
    on_bad_tile: Literal["fail", "skip"] = "fail"
    reader: str = "tiff"

    @property
    def channel_names(self) -> list[str]:
        """Names of the C channels, in the store's order."""
        return list(self.channels)

    @field_validator("channels", mode="before")
    @classmethod
    def _spellings_are_text(cls, channels: object) -> object:
        # YAML reads {GFP: 1} as a number; a file name is text.
        return {str(k): str(v) for k, v in channels.items()} if isinstance(channels, dict) else channels

    @model_validator(mode="after")
    def _reference_is_a_channel(self) -> ImageSettings:
        names = self.channel_names
        if len(set(names)) < len(names):
            raise ValueError(f"channels has a name twice: {', '.join(names)}")
        if self.reference_channel not in names:
            raise ValueError(f"reference_channel is '{self.reference_channel}', channels are {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _each_channel_is_in_one_round(self) -> ImageSettings:
        imaged = [name for members in self.rounds.values() for name in members.channels]
        if self.rounds and sorted(imaged) != sorted(self.channel_names):
            raise ValueError(
                f"rounds hold {', '.join(imaged)}; each of {', '.join(self.channel_names)} is needed in one round"
            )
        for name, members in self.rounds.items():
            wanted = self.reference_channel if self.reference_channel in members.channels else members.reference
            if members.reference not in members.channels or members.reference != wanted:
                raise ValueError(
                    f"the reference of round {name} is '{members.reference}'; it must be one of the round's "
                    f"channels, {', '.join(members.channels)}, and reference_channel where that is among them"
                )
        return self


class ControlRule(Settings):
    """Cells that count as control: those whose ``column`` holds one of ``values``; ``name*`` is a prefix."""

    column: str
    values: Annotated[list[str], Field(min_length=1)]


class CellTableSettings(Settings):
    """The cell table and how its columns map onto ours.

    Attributes:
        table: CSV, TSV (both also .gz), Parquet (one file, or a folder of parts) or HDF5.
        key: Which table of an HDF5 file, if it holds several.
        preset: Column names of a known pipeline; ``columns`` overrides single ones.
        columns: Our name -> the table's column, or a list of columns to join: with ``_``, but a well's row and
            column with nothing between.
        constants: Our name -> one value for all cells (a table of a single plate, say).
        control: A label, or several, of the perturbation column; or a column with its values. A preset may
            bring one, which this overrides.
    """

    table: Path
    key: str | None = None
    preset: str | None = None
    columns: dict[str, str | Annotated[list[str], Field(min_length=1)]] = {}
    constants: dict[str, str] = {}
    control: str | list[str] | ControlRule | None = None

    @field_validator("constants", mode="before")
    @classmethod
    def _constants_are_text(cls, constants: object) -> object:
        return {k: str(v) for k, v in constants.items()} if isinstance(constants, dict) else constants

    @model_validator(mode="after")
    def _control_is_known(self) -> CellTableSettings:
        if self.control is None and self.preset is None:
            raise ValueError("cells.control is missing: name the label of the controls")
        return self


class CropSettings(Settings):
    """How a cell is cut out.

    Attributes:
        size: Height and width of a crop in pixels.
        clip_percentiles: Intensities outside these percentiles of a tile and channel are clipped.
    """

    size: Annotated[int, Field(ge=8, le=1024)] = 100
    clip_percentiles: tuple[float, float] = (0.1, 99.9)

    @field_validator("clip_percentiles")
    @classmethod
    def _ordered(cls, pair: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= pair[0] < pair[1] <= 100:
            raise ValueError(f"clip_percentiles must be 0 <= low < high <= 100, not {pair}")
        return pair


class TrainingSettings(Settings):
    """All a training run depends on besides the store. Presets fill it: ``auto``, ``clean``, ``paper``.

    Attributes:
        image_size: Pixels a crop is resized to, with anti-aliasing.
        background_size, salient_size: Z and S. A model without salient space uses Z + S for its one space. Where Z
            is too small for what cells do anyway, the salient space of perturbed cells is used to make up for it, and
            fills with batch and place in the field (docs/log.md).
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
            prior knows perturbations (mcvae, cvae-z).
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
            columns among perturbed cells.
        technical_perturbation_weight: Weight, in nats, of the dependence (HSIC) of the technical space on the
            perturbation, for a model with a technical space.
        beta_warmup_steps: Steps over which beta rises from 0 to 1.
        batch_size: Cells a step, half of them controls.
        loss_scale: The authors sum over control-perturbed pairs, 2; the mean per cell is 1.
        gradient_clip: Largest absolute value of a gradient's entry. The loss is in nats, thousands a cell: with
            the closed-form scale 0.5 clips nearly every entry and leaves little but signs (docs/log.md).
        balance: Places of a perturbation in an epoch: ``none`` one for each of its cells; ``sqrt`` and ``uniform`` give
            rare perturbations more, by the square root of their number of cells, or as many as any other.
        split_by: What is split: single cells, or whole guides, wells or plates.
        validations_per_epoch, patience: Early stopping, on the validation loss at beta = 1.
        precision: ``bf16`` autocast or ``fp32``.
    """

    preset: Literal["auto", "clean", "paper"]
    architecture: str
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
    beta_warmup_steps: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2, multiple_of=2)]
    loss_scale: Annotated[float, Field(gt=0)]
    gradient_clip: Annotated[float, Field(gt=0)] | None
    validations_per_epoch: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    balance: Literal["none", "sqrt", "uniform"]
    split: tuple[float, float, float]
    split_by: Literal["cell", "guide", "well", "plate"]
    precision: Literal["bf16", "fp32"]
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _papers_normalization_is_the_screens(self) -> TrainingSettings:
        if self.normalization == "paper" and self.normalize_by != "screen":
            raise ValueError(
                f"normalization: paper measures nothing, so there is nothing to take by {self.normalize_by}"
            )
        return self

    @field_validator("split")
    @classmethod
    def _shares_sum_to_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(split) < 0 or abs(sum(split) - 1) > 1e-6 or split[0] == 0:
            raise ValueError(f"split is train, validation, test shares that sum to 1, not {split}")
        return split


_ARCHITECTURE = {
    "architecture": "conv5",
    "image_size": 64,
    "background_size": 32,
    "salient_size": 32,
    "wasserstein_weight": 8.0,
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
        "augment": True,
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
    "salient_technical_weight": 300.0,
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


class AnnotationSettings(Settings):
    """Files with what is known about genes: sets of genes (GMT) that form complexes."""

    complexes: Path | None = None


class ScreenSettings(Settings):
    """A screen file. ``training`` and ``benchmarks`` may be left out: defaults then apply.

    Attributes:
        benchmarks: Benchmark -> its options. Those named here run besides the ones that always can.
    """

    name: Annotated[str, Field(min_length=1)]
    images: ImageSettings
    cells: CellTableSettings
    crop: CropSettings = CropSettings()
    annotations: AnnotationSettings = AnnotationSettings()
    model: str = "mcvae"
    training: dict[str, Any] = {}
    benchmarks: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _training_is_known(self) -> ScreenSettings:
        training_settings(10_000, **self.training)
        return self


def validated(kind: type[S], values: object, *, where: str) -> S:
    """Settings of a kind from plain values, or one paragraph on all that is wrong with them."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        sentences = " ".join(_sentence(e, kind) for e in error.errors())
        raise SettingsError(f"{where} cannot be used: {sentences}") from None


def load_screen_settings(path: Path, overrides: dict[str, Any] | None = None) -> ScreenSettings:
    """A screen file as settings, its paths absolute.

    Args:
        path: The YAML file.
        overrides: Dotted key -> value, on top of the file: ``{"crop.size": 64}``.

    Raises:
        SettingsError: Not there, not YAML, an unknown key, an unset ``${VAR}``.
    """
    values = read_yaml(path)
    for key, value in (overrides or {}).items():
        _set_dotted(values, key, value)
    settings = validated(ScreenSettings, _expanded(values, path), where=str(path))
    return _with_absolute_paths(settings, path.parent.resolve())


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no file {path}. Give the path of a screen file.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} is not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds {type(values).__name__}, a mapping of settings was needed.")
    return values


def fingerprint(values: object) -> str:
    """A short name for a value: equal JSON, equal fingerprint (16 hexadecimal digits of SHA-256)."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sentence(error: Any, kind: type[BaseModel]) -> str:
    """One pydantic complaint as a sentence."""
    where = ".".join(str(part) for part in error["loc"]) or "settings"
    if error["type"] == "extra_forbidden":
        known = _keys_at(kind, error["loc"][:-1])
        return f"'{where}' is not a setting" + (f"; known here: {', '.join(known)}." if known else ".")
    if error["type"] == "missing":
        return f"'{where}' is missing."
    if error["type"] == "value_error":
        return f"'{where}': {error['ctx']['error']}."
    return f"'{where}' is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}."


def _keys_at(kind: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        field = kind.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        kind = field.annotation
    return sorted(kind.model_fields)


def _set_dotted(values: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise SettingsError(f"'{key}' cannot be set: '{parent}' is not a group of settings.")
    values[last] = value


def _expanded(value: Any, path: Path) -> Any:
    """The same value with every ``${VAR}`` replaced from the environment."""
    if isinstance(value, dict):
        return {key: _expanded(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, path) for item in value]
    return re.sub(r"\$\{(\w+)\}", lambda m: _variable(m[1], path), value) if isinstance(value, str) else value


def _variable(name: str, path: Path) -> str:
    if name not in os.environ:
        raise SettingsError(
            f"{path} uses ${{{name}}}, but the environment variable {name} is not set. "
            f"Set it, or override the setting on the command line with --set KEY=VALUE."
        )
    return os.environ[name]


def _with_absolute_paths(settings: ScreenSettings, folder: Path) -> ScreenSettings:
    complexes = settings.annotations.complexes
    return settings.model_copy(
        update={
            "images": settings.images.model_copy(update={"pattern": _absolute(settings.images.pattern, folder)}),
            "cells": settings.cells.model_copy(update={"table": folder / settings.cells.table}),
            "annotations": AnnotationSettings(complexes=folder / complexes if complexes else None),
        }
    )


def _absolute(pattern: str, folder: Path) -> str:
    """A path from the screen file's folder; a URL stands for itself."""
    return pattern if "://" in pattern else str(folder / pattern)
