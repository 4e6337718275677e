"""CellProfiler's measurements of a cell, by cp_measure, with CellProfiler's names.

Three objects, as in its pipelines: ``Cells``, ``Cytoplasm``, ``Nuclei``. Nucleus and cytoplasm do not overlap and are
two labels of one image. Form is measured once an object; intensity, texture, granularity and distribution once an
object and channel; correlation once an object and pair of channels. What is not defined, a coefficient of Costes where
nothing lies below the threshold for instance, is NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np
from cp_measure.core import (
    measurecolocalization,
    measuregranularity,
    measureobjectintensity,
    measureobjectintensitydistribution,
    measureobjectsizeshape,
)
from cp_measure.core.numba.measuretexture import get_texture

from contrascope.features import names
from contrascope.features.segment import Mask
from contrascope.store.export import without_slashes

Measurement = Callable[..., dict[str, Any]]
OBJECTS = ("Cells", "Cytoplasm", "Nuclei")

_SHAPE: dict[str, Measurement] = {
    "sizeshape": measureobjectsizeshape.get_sizeshape,
    "zernike": measureobjectsizeshape.get_zernike,
    "feret": measureobjectsizeshape.get_feret,
}
_CHANNEL: dict[str, Measurement] = {
    "intensity": measureobjectintensity.get_intensity,
    "texture": get_texture,
    "granularity": measuregranularity.get_granularity,
    "radial_distribution": measureobjectintensitydistribution.get_radial_distribution,
    "radial_zernikes": measureobjectintensitydistribution.get_radial_zernikes,
}
_PAIR: dict[str, Measurement] = {
    "pearson": measurecolocalization.get_correlation_pearson,
    "overlap": measurecolocalization.get_correlation_overlap,
    "manders_fold": measurecolocalization.get_correlation_manders_fold,
    "rwc": measurecolocalization.get_correlation_rwc,
    "costes": measurecolocalization.get_correlation_costes,
}
FAST = frozenset({"sizeshape", "intensity", "texture", "pearson", "overlap", "manders_fold", "rwc"})
FULL = frozenset({*_SHAPE, *_CHANNEL, *_PAIR})
FAMILIES = {"fast": FAST, "full": FULL}
"""Name of a set of features -> what is measured."""

_UP_TO_WHITE = frozenset({"texture", "costes"})
"""Families that know values from 0 to 1 only: what is brighter is white to them."""
_GREYS = (255, 65535)
"""Fewest and most steps in which Costes' threshold is sought."""


def measured(pixels: np.ndarray, mask: Mask, channels: tuple[str, ...], which: str, greys: int) -> dict[str, float]:
    """All measurements of one cell.

    Args:
        pixels: (C, H, W) float64, 1 at each channel's white level.
        mask: The cell, with a nucleus that is not empty.
        channels: Names of the C channels.
        which: A key of ``FAMILIES``.
        greys: Steps from 0 to the white level that the camera told apart, for Costes' threshold.

    Returns:
        Name -> value, NaN where it is not defined; the names are those of ``feature_names``. A slash in a channel's
        name becomes ``_``: AnnData has no place for one.
    """
    values, channels = {}, tuple(without_slashes(channels))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # undefined results are NaN, which says the same
        for objects, labels in _label_images(mask):
            for name, of_objects in _all(pixels, labels, channels, which, greys):
                found = np.asarray(of_objects, float)
                for i, thing in enumerate(objects):
                    values[f"{thing}_{name}"] = float(found[i]) if i < len(found) else np.nan
    return values


@cache
def feature_names(channels: tuple[str, ...], which: str) -> list[str]:
    """Names of all measurements, sorted: by object, category, feature, channel."""
    y, x = np.mgrid[:32, :32] - 16
    mask = Mask(y * y + x * x < 36, y * y + x * x < 144, "")
    pixels = np.random.default_rng(0).random((len(channels), 32, 32))
    return sorted(measured(pixels, mask, channels, which, _GREYS[0]))


def greys_of(white: tuple[float, ...]) -> int:
    """Steps between black and white that images with these white levels can have."""
    return int(np.clip(round(max(white)), *_GREYS))


def _label_images(mask: Mask) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Objects and an image of their labels 1, 2, ...; cytoplasm comes last, for it may be empty."""
    yield ("Nuclei", "Cytoplasm"), mask.nucleus.astype(int) + 2 * mask.cytoplasm
    yield ("Cells",), mask.cell.astype(int)


def _all(
    pixels: np.ndarray, labels: np.ndarray, channels: tuple[str, ...], which: str, greys: int
) -> Iterator[tuple[str, Any]]:
    """Each measurement's name without the object, and its value for each label."""
    chosen = FAMILIES[which]
    upto = np.clip(pixels, 0, 1)
    for family in _SHAPE.keys() & chosen:
        for name, values in _SHAPE[family](labels, None).items():
            yield names.of_shape(name), values
    for family in _CHANNEL.keys() & chosen:
        images = upto if family in _UP_TO_WHITE else pixels
        for channel, image in zip(channels, images, strict=True):
            for name, values in _CHANNEL[family](labels, image).items():
                yield names.of_channel(family, name, channel), values
    for family in _PAIR.keys() & chosen:
        measure = partial(_PAIR[family], scale_max=greys) if family == "costes" else _PAIR[family]
        images = upto if family in _UP_TO_WHITE else pixels
        for i, j in combinations(range(len(channels)), 2):
            for name, values in measure(images[i], images[j], labels).items():
                yield names.of_pair(name, channels[i], channels[j]), values
