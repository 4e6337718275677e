"""What has to be known of a store before its cells can be measured one by one.

Each channel has a white level, the 99.9th percentile of its pixels in crops all over the store. Measurements are made
in its unit, as CellProfiler makes them on images from 0 to 1: taken as shares of 65,535, the counts of a camera that
seldom reaches 3,000 would leave its textures, which know 256 grey levels, with a dozen of them. The size of nuclei is
measured in the same crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from contrascope.config import FeatureSettings
from contrascope.errors import SettingsError, StoreError
from contrascope.features.segment import Anatomy
from contrascope.store.store import CropStore

_SAMPLE = 500
"""Crops that are looked at, evenly over the store."""
_WHITE = 99.9
_SMALLEST = 4.0
"""Nuclei of fewer pixels across are noise."""


@dataclass(frozen=True)
class Plan:
    """How the cells of a store are measured.

    Attributes:
        channels: Names of the C channels.
        white: (C,) the white level of each, in the store's own values.
        anatomy: Where nuclei and cells are seen.
        features: ``fast`` or ``full``.
    """

    channels: tuple[str, ...]
    white: tuple[float, ...]
    anatomy: Anatomy
    features: str

    def scaled(self, crops: np.ndarray) -> np.ndarray:
        """(B, C, H, W) float64 of crops as stored, in units of the white levels."""
        return crops / np.array(self.white)[:, None, None]


def plan_for(store: CropStore, settings: FeatureSettings) -> Plan:
    """How to measure a store.

    Raises:
        SettingsError: A channel is not there, or the nucleus's is not known.
        StoreError: A channel is dark everywhere, or no nucleus is found by which to tell their size.
    """
    nucleus = _nuclear(store, settings.nucleus)
    others = [name for name in store.channels if name != nucleus] or [nucleus]
    cell = tuple(_index(store, name) for name in settings.cell or others)
    crops = store.read(np.unique(np.linspace(0, len(store) - 1, _SAMPLE).astype(int)))
    white = np.percentile(crops, _WHITE, axis=(0, 2, 3))
    if (dark := [name for name, level in zip(store.channels, white, strict=True) if level <= 0]) != []:
        raise StoreError(
            f"{store.path} has nothing to measure in {', '.join(dark)}: of {crops[:, 0].size:,} pixels 99.9 % are 0 or "
            f"less. Values above 0 were needed. Extract the crops again without this channel, or from other images."
        )
    i = _index(store, nucleus)
    diameter = settings.diameter or _diameter(crops[:, i] / white[i], nucleus)
    return Plan(tuple(store.channels), tuple(white.tolist()), Anatomy(i, cell, diameter), settings.features)


def _nuclear(store: CropStore, named: str | None) -> str:
    """The channel of nuclei: the one named, or the one that cell positions refer to."""
    reference = store.provenance.get("settings", {}).get("images", {}).get("reference_channel")
    if (name := named or reference) is None:
        raise SettingsError(
            f"{store.path} does not say in which channel nuclei are bright. Name it (--nucleus), one of: "
            f"{', '.join(store.channels)}."
        )
    return str(name)


def _index(store: CropStore, channel: str) -> int:
    if channel not in store.channels:
        raise SettingsError(f"There is no channel '{channel}'. Choose one of: {', '.join(store.channels)}.")
    return store.channels.index(channel)


def _diameter(images: np.ndarray, channel: str) -> float:
    """Median diameter of what lies at the centre of (B, H, W) images and does not touch their border."""
    found = [d for image in images if (d := _central_diameter(image)) >= _SMALLEST]
    if not found:
        raise StoreError(
            f"No nucleus lies at the centre of any of {len(images):,} crops in channel {channel}, so their size is not "
            f"known. Name the channel in which nuclei are bright (--nucleus), or their size in pixels (--diameter)."
        )
    return round(float(np.median(found)), 1)


def _central_diameter(image: np.ndarray) -> float:
    """Of a disc as large as what is bright at the centre; 0 if nothing is, or if it is cut by the border."""
    smooth = ndimage.gaussian_filter(np.asarray(image, float), 1)
    if smooth.min() == smooth.max():
        return 0.0
    parts, _ = ndimage.label(smooth > threshold_otsu(smooth))
    label = parts[parts.shape[0] // 2, parts.shape[1] // 2]
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return 0.0 if label == 0 or label in edge else float(2 * np.sqrt((parts == label).sum() / np.pi))
