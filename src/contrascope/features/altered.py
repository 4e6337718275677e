"""Which measured features a perturbation alters most, in plain words.

    change = mean over its cells of (x - centre_b) / spread_b      (of the controls of the cell's batch b)

so in standard deviations of control cells. Plain features, of which everybody has a picture (size, roundness, mean
brightness by compartment), come first, as far as they are altered. Features whose names mean nothing to us are passed
over, and of several that mean the same, at other scales or in another compartment, the most altered one stands for all.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from contrascope.features.scales import Labelled, blocks, plain_scales, seen
from contrascope.profiles.aggregate import flags, group_sums, need_labels, numbered
from contrascope.profiles.blocks import Cells, opened
from contrascope.profiles.gloss import gloss
from contrascope.vocabulary import BATCH, CONTROL, FEATURES, PERTURBATION

PLAIN = re.compile(
    r"(Nuclei|Cells)_AreaShape_(Area|FormFactor|Eccentricity)|(Nuclei|Cytoplasm)_Intensity_MeanIntensity_.+"
)
"""Names of plain features."""
MOST_PLAIN, ALTERED = 2, 5
LEAST = 0.25
"""Standard deviations of control cells: what is altered less is not worth a word."""
_OF_COMPARTMENTS = frozenset(("in", "of", "the", "nucleus", "cell", "cytoplasm"))
COLUMNS = (PERTURBATION, "place", "feature", "gloss", "change")


def altered_features(cells: Cells, *, count: int = ALTERED, batch: str = BATCH) -> pd.DataFrame:
    """The features that are altered most, of each perturbation.

    Args:
        cells: Measured cells, with ``obsm["features"]`` by name.
        count: So many of each, at most.
        batch: The column of batches, each with controls; without a column ``batch`` all cells are one.

    Returns:
        Columns perturbation, place from 1, feature, gloss (what it means), change (in standard deviations of control
        cells). Features that do not vary among the controls of every batch are left out.
    """
    with opened(cells, batch=batch) as found:
        need_labels(found.labels.columns)
        features = replace(found, spaces={FEATURES: found.spaces[FEATURES]})
        control = flags(found.labels[CONTROL])
        numbers_of_batch, batches = (
            numbered(found.labels[BATCH])
            if BATCH in found.labels
            else (np.zeros(len(control), np.intp), np.array(["all cells"], dtype=object))
        )
        there = seen(features, FEATURES, Labelled(control, numbers_of_batch, list(batches)))
        scales = plain_scales(there)
        named = [str(name) for name in found.spaces[FEATURES].columns]
        meant = [gloss(name) for name in named]
        used = np.flatnonzero(scales.varies().all(axis=0) & np.array([bool(words) for words in meant]))
        numbers, names = numbered(found.labels[PERTURBATION])
        sums = np.zeros((len(names), len(used)))
        for rows, values in blocks(features, FEATURES, "Averaging features"):
            z = scales.of(used).standardised(values[:, used], numbers_of_batch[rows])
            sums += group_sums(z * there.measured[rows, None], numbers[rows], len(names))
        measured = np.bincount(numbers, weights=there.measured, minlength=len(names))
        is_control = np.bincount(numbers, weights=control, minlength=len(names)) > 0
    rows_of: list[tuple[str, int, str, str, float]] = []
    for number in np.flatnonzero(~is_control & (measured > 0)):
        change = sums[number] / measured[number]
        rows_of += _most(str(names[number]), change, [named[i] for i in used], [meant[i] for i in used], count)
    return pd.DataFrame(rows_of, columns=list(COLUMNS))


def _most(
    perturbation: str, change: np.ndarray, names: list[str], meant: list[str], count: int
) -> list[tuple[str, int, str, str, float]]:
    """Rows of one perturbation: plain features first, then the others, each meaning once."""
    order = [i for i in np.argsort(-np.abs(change), kind="stable") if abs(change[i]) >= LEAST]
    chosen = [i for i in order if PLAIN.fullmatch(names[i])][: min(MOST_PLAIN, count)]
    told = {_meaning(_said(meant[i])) for i in chosen}
    for i in order:
        if len(chosen) < count and (meaning := _meaning(_said(meant[i]))) not in told:
            told.add(meaning)
            chosen.append(i)
    rows = enumerate(chosen, start=1)
    return [(perturbation, place, names[i], _said(meant[i]), float(change[i])) for place, i in rows]


def _said(meant: str) -> str:
    """The gloss without scale and angle, which are for the table and not for a sentence."""
    return meant.split(", at ")[0]


def _meaning(said: str) -> frozenset[str]:
    """What a gloss says, whichever compartment it is of, and whichever of two channels comes first."""
    return frozenset(said.split(" (")[0].split()) - _OF_COMPARTMENTS
