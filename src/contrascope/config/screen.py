"""A screen file: what a screen is made of and, if wanted, how it is to be analysed.

``${VAR}`` in a value is replaced from the environment; relative paths are relative to the screen file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from contrascope.addresses import local_path
from contrascope.config.features import RivalSettings
from contrascope.config.settings import Settings, read_yaml, validated
from contrascope.config.training import training_settings
from contrascope.errors import SettingsError


class RoundSettings(Settings):
    """Channels imaged in one sitting, and the one among them that places the round against the others.

    Attributes:
        channels: Names of the round's channels.
        reference: The one that is compared with ``reference_channel``.
    """

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
        align: Measure and undo the shift of each channel, tile by tile. For a tile that does not show it clearly the
            median of its plate's tiles stands in, if enough of them agree; else the channel is left as it is.
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
    rounds: dict[str, RoundSettings] = Field(default_factory=dict)
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
    """Cells that count as control: those whose ``column`` holds one of ``values``; ``name*`` is a prefix.

    Attributes:
        column: A column of the table, by the table's own name.
        values: What controls have there.
    """

    column: str
    values: Annotated[list[str], Field(min_length=1)]


class CellTableSettings(Settings):
    """The cell table and how its columns map onto ours.

    Attributes:
        table: CSV, TSV (both also .gz), Parquet (one file, or a folder of parts) or HDF5.
        key: Which table of an HDF5 file, if it holds several.
        preset: Column names of a known pipeline; ``columns`` overrides single ones.
        columns: Our name -> the table's column, or a list of columns to join: with ``_``, but a well's row and
            column with nothing between. In a guide or perturbation fields that are empty are left out, but for the
            first: a drug without a dose is called by its name, and what has no name is missing.
        constants: Our name -> one value for all cells (a table of a single plate, say).
        control: A label, or several, of the perturbation column; or a column with its values. A preset may
            bring one, which this overrides.
    """

    table: Path
    key: str | None = None
    preset: str | None = None
    columns: dict[str, str | Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    constants: dict[str, str] = Field(default_factory=dict)
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


MAP_CELLS = 10_000
"""Cells in a UMAP, at most, unless told."""
MOST_MAP_CELLS = 100_000
"""A page moves so many smoothly (perf/report.py)."""


class AnnotationSettings(Settings):
    """What is known about genes.

    Attributes:
        complexes: A file of sets or pairs of related genes (GMT, Enrichr text, a table of CORUM, pairs, STRING's
            links), or ``efaar:NAME`` from an installed efaar-benchmarking.
        functions: Gene and group, in two columns (CSV, TSV), or a file of sets.
    """

    complexes: Path | None = None
    functions: Path | None = None

    @property
    def by_benchmark(self) -> dict[str, Path]:
        """Benchmark -> what is known for it."""
        return {name: file for name, file in self if file is not None}


class EmbeddingSettings(Settings):
    """What is wanted of each cell besides its place in the spaces.

    Attributes:
        uncertainty: Also posterior standard deviations.
        error: Also the reconstruction error.
    """

    uncertainty: bool = False
    error: bool = False


class ScreenSettings(Settings):
    """A screen file. ``training`` and ``benchmarks`` may be left out: defaults then apply.

    Attributes:
        name: Of the screen, for titles.
        images: Where the tiles are.
        cells: Where the cells are, and which are controls.
        crop: How cells are cut out.
        annotations: What is known about genes, for benchmarks.
        model: vae, cvae, cvae-s, cvae-z, mcvae or three-space.
        start_from: A finished run's folder, whose weights the training starts with: of the same model, channels, crop
            size and sizes.
        training: Settings of the training that differ from its preset, and ``preset`` itself.
        embedding: What is wanted of each cell besides its place in the spaces.
        benchmarks: Benchmark -> its options. Those named here run besides the ones that always can.
        features: Measure the cells as CellProfiler does, and judge that beside the learned spaces; ``{}`` is enough.
        map_cells: Cells in the maps, at most; chosen at random where there are more.
    """

    name: Annotated[str, Field(min_length=1)]
    images: ImageSettings
    cells: CellTableSettings
    crop: CropSettings = CropSettings()
    annotations: AnnotationSettings = AnnotationSettings()
    model: str = "mcvae"
    start_from: str | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    embedding: EmbeddingSettings = EmbeddingSettings()
    benchmarks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    features: RivalSettings | None = None
    map_cells: Annotated[int, Field(ge=10, le=MOST_MAP_CELLS)] = MAP_CELLS

    @model_validator(mode="after")
    def _training_is_known(self) -> ScreenSettings:
        training_settings(10_000, **self.training)
        return self


def load_screen_settings(path: Path, overrides: dict[str, Any] | None = None) -> ScreenSettings:
    """A screen file as settings, its paths absolute.

    Args:
        path: The YAML file.
        overrides: Dotted key -> value, on top of the file: ``{"crop.size": 64}``.

    Raises:
        SettingsError: Not there, not YAML, an unknown key, an unset ``${VAR}``.
    """
    values = {key: value for key, value in read_yaml(path).items() if value is not None}  # "training:" and no more
    for key, value in (overrides or {}).items():
        _set_dotted(values, key, value)
    settings = validated(ScreenSettings, _expanded(values, path), where=str(path))
    return _with_absolute_paths(settings, path.parent.resolve())


def _set_dotted(values: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
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
    files = {name: _beside(folder, file) for name, file in settings.annotations.by_benchmark.items()}
    return settings.model_copy(
        update={
            "images": settings.images.model_copy(update={"pattern": _absolute(settings.images.pattern, folder)}),
            "cells": settings.cells.model_copy(update={"table": _file(settings.cells.table, folder)}),
            "annotations": AnnotationSettings(**files),
            "start_from": settings.start_from and _absolute(settings.start_from, folder),
            "benchmarks": {name: _files_beside(folder, options) for name, options in settings.benchmarks.items()},
        }
    )


def _beside(folder: Path, annotations: Path) -> Path:
    """A path from the screen file's folder; what an installed package has stands for itself."""
    return annotations if str(annotations).startswith("efaar:") else _file(annotations, folder)


def _files_beside(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Options with the files that they name beside the screen file as paths to these."""
    return {
        key: str(folder / value) if isinstance(value, str) and value and (folder / value).is_file() else value
        for key, value in options.items()
    }


def _file(path: Path, folder: Path) -> Path:
    """A path from the screen file's folder, of what is read from this machine."""
    return folder / local_path(path).expanduser()


def _absolute(pattern: str, folder: Path) -> str:
    """A path from the screen file's folder; a URL stands for itself."""
    return pattern if "://" in pattern else str(folder / Path(pattern).expanduser())
