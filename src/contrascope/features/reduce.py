"""Measurements as a space: standardised on the controls of each batch, cleaned, and turned onto principal components.

1. Each feature in units of the controls of its batch, a control in units of the others (``scales.py``): else controls
   would lie closer together than cells that do nothing, and the fewer there are the closer. Medians and MAD leave it.
2. Features that are not finite, constant or said before are left out (``choose.py``).
3. Principal components of the cells: eigenvectors of the covariance of what is left. The covariance is summed block by
   block (``profiles/moments.py``), so the components are exact, and no more is held than F x F numbers and a block.

Three passes over the cells, of which none is in memory if they lie in a file; one more for each lot of medians. What is
held of each cell is its row of ``obs`` and its components.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, SettingsError, first_few
from contrascope.features.choose import REASON, listed, repeated, unusable
from contrascope.features.scales import Labelled, Scales, Seen, Values, blocks, plain_scales, robust_scales, seen
from contrascope.features.stored import features_opened
from contrascope.profiles.aggregate import flags, numbered
from contrascope.profiles.blocks import Cells, OpenedCells
from contrascope.profiles.correct import CORRECTED, FEW_TO_COMPARE
from contrascope.profiles.corrections import FEWEST
from contrascope.profiles.moments import Gathering
from contrascope.store.store import CropStore
from contrascope.vocabulary import BATCH, CELLPROFILER, CONTROL, FEATURES

SPACE = CELLPROFILER
"""What the components are called in ``obsm`` and ``varm``."""
COMPONENTS = 64
"""The paper's."""
MISSING = 0.05
Rows = NDArray[np.intp]
_NOTHING = 1e-10
"""Of the largest variance: a component below it is rounding."""


def reduce_features(
    cells: Cells,
    *,
    components: int | None = None,
    variance: float | None = None,
    robust: bool = False,
    batch: str = BATCH,
    correlation: float | None = None,
    missing: float = MISSING,
    clip: float | None = None,
    space: str = FEATURES,
    keep: bool = False,
    store: CropStore | None = None,
) -> AnnData:
    """Principal components of measurements, as an embedding that every benchmark takes.

    Args:
        cells: N cells, in memory or a .h5ad or .zarr, with the ``obs`` column control (bool) and features in ``obsm``;
            or a .parquet of ``measure_cells``, with its store.
        components: How many; default 64, or all there are if those are fewer.
        variance: In place of a number: as many as hold this share of the variance.
        robust: Median and MAD of the controls in place of mean and standard deviation.
        batch: The column of batches; without a column ``batch`` all cells are one.
        correlation: Leave out features that correlate more than this with one before them; None for copies only.
        missing: Share of the cells in which a feature may be not finite; it counts as the centre of the controls there.
        clip: Standardised values are brought within -clip and clip; None leaves them.
        space: The key of ``obsm`` that holds the features.
        keep: Also ``obsm["features"]``: the features that were used, standardised, float32 with their names.
        store: What a .parquet was measured from: it says which cells are controls, and of which batch.

    Returns:
        The cells that were measured, ``obs`` as it was; ``obsm["cellprofiler"]`` (N, K) float32; ``var`` the F features
        used; ``varm["cellprofiler"]`` (F, K) their loadings; and under ``uns["contrascope"]["reduced"]`` the
        explained_variance_ratio (K,), its sum, the features dropped with reasons, the fewest controls of a batch, and
        settings. Robust, ``uns["corrected"]`` as ``corrected`` has it, for benchmarks to know.

    Raises:
        SettingsError: Both a number and a share, or one out of range; a .parquet without its store.
        BenchmarkError: No controls, too few in a batch, no features, or none left.
    """
    _refuse_settings(components, variance, correlation, missing, clip)
    with features_opened(cells, batch=batch, store=store) as (obs, found):
        _refuse_space(found, space)
        features = replace(found, spaces={space: found.spaces[space]})
        names = _names(features, space)
        labelled = _labelled(found.labels)
        there = seen(features, space, labelled)
        controls = _controls_of_batches(there, labelled)
        present = controls > 0
        scales = robust_scales(features, space, labelled) if robust else plain_scales(there)
        reasons = unusable(there, scales, present, missing=missing)
        usable = np.flatnonzero(reasons == "")
        if not len(usable):
            _refuse_all(reasons)
        measured = _Measured(features, space, labelled, there, clip)
        mean, covariance = measured.moments(scales, usable)
        stay, dropped = _without_repeats(usable, reasons, covariance, names, above=correlation)
        axes, variances = _axes(covariance[np.ix_(stay, stay)])
        k, used = _how_many(variances, components, variance), usable[stay]
        points, kept = measured.projected(scales, used, mean[stay], axes[:, :k], keep=keep)
        facts = {key: value for key, value in found.facts.items() if key not in ("features", "holds")}
    var = pd.DataFrame(index=pd.Index([names[i] for i in used], dtype=object))
    result = AnnData(obs=obs[there.measured].copy(), var=var, obsm={SPACE: points}, varm={SPACE: axes[:, :k]})
    if keep:
        result.obsm[FEATURES] = pd.DataFrame(kept, index=result.obs_names, columns=list(var.index))
    share = np.asarray(variances[:k] / variances.sum())
    result.uns["contrascope"] = facts | {
        "reduced": {
            "explained_variance_ratio": share,
            "explained_variance": float(share.sum()),
            "dropped": dropped,
            "features": len(names),
            "used": len(used),
            "unmeasured": int((~there.measured).sum()),
            "scales": "median and MAD" if robust else "mean and standard deviation",
            "batches": int(present.sum()),
            "fewest": int(controls[present].min()),
            "clip": 0.0 if clip is None else float(clip),
        }
    }
    if robust:
        result.uns[CORRECTED] = {"how": "robust-batch", "controls": int(controls[present].min())}
    return result


def account(reduced: AnnData) -> str:
    """What was done to the features, in a sentence or two."""
    facts = reduced.uns["contrascope"]["reduced"]
    reasons = facts["dropped"][REASON].value_counts()
    why = "; ".join(f"{n:,}: {reason}" for reason, n in reasons.items())
    few = ""
    if "median" in facts["scales"] and facts["fewest"] < FEW_TO_COMPARE:
        few = (
            f" Medians of as few as {facts['fewest']:,} controls a batch lie nearer to these than to any other cell, "
            f"of which benchmarks will make hits: mean and deviation do not, nor do {FEW_TO_COMPARE} controls."
        )
    unmeasured = f" {facts['unmeasured']:,} cells without any measurement are left out." if facts["unmeasured"] else ""
    return (
        f"{reduced.obsm[SPACE].shape[1]} components hold {facts['explained_variance']:.0%} of the variance of "
        f"{facts['used']:,} features of {facts['features']:,}{f', others dropped ({why})' if why else ''}; each in "
        f"units of {facts['scales']} of the controls of {facts['batches']:,} batches.{few}{unmeasured}"
    )


@dataclass(frozen=True)
class _Measured:
    """Cells of which one pass has told what was measured; their values are read again as they are asked for."""

    cells: OpenedCells
    space: str
    labelled: Labelled
    found: Seen
    clip: float | None

    def standardised(self, scales: Scales, used: Rows, label: str) -> Iterator[Values]:
        """(B, F) features in use, of the measured cells in order."""
        narrow = scales.of(used)
        for rows, values in blocks(self.cells, self.space, label):
            measured = self.found.measured[rows]
            batch = self.labelled.batch[rows][measured]
            control = self.labelled.control[rows][measured]
            yield narrow.standardised(values[np.ix_(measured, used)], batch, control=control, clip=self.clip)

    def moments(self, scales: Scales, used: Rows) -> tuple[Values, Values]:
        """Mean (F,) and covariance (F, F) of the measured cells, standardised."""
        gathering = Gathering()
        for z in self.standardised(scales, used, "Covariance of features"):
            if len(z):
                gathering.add(np.zeros(len(z), np.intp), {self.space: z})
        moments = gathering.moments([0])[self.space]
        return moments.mean[0], moments.scatter[0] / max(1, int(moments.n[0]) - 1)

    def projected(
        self, scales: Scales, used: Rows, mean: Values, axes: Values, *, keep: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(N, K) components of the measured cells, and (N, F) their features if they are kept."""
        n, start = int(self.found.measured.sum()), 0
        points = np.empty((n, axes.shape[1]), np.float32)
        kept = np.empty((n if keep else 0, len(used)), np.float32)
        for z in self.standardised(scales, used, "Components"):
            here = slice(start, start + len(z))
            start = here.stop
            points[here] = (z - mean) @ axes
            if keep:
                kept[here] = z
        return points, kept


def _without_repeats(
    usable: Rows, reasons: NDArray[np.object_], covariance: Values, names: list[str], *, above: float | None
) -> tuple[Rows, pd.DataFrame]:
    """Which of the usable features stay, as positions among them, and the list of all that do not."""
    deviation = np.sqrt(np.diag(covariance))
    same, like = repeated(covariance / np.outer(deviation, deviation), above=above)
    of = np.arange(len(names))
    of[usable] = usable[like]
    reasons = reasons.copy()
    reasons[usable] = same
    return np.flatnonzero(same == ""), listed(names, reasons, of)


def _axes(covariance: Values) -> tuple[Values, Values]:
    """Eigenvectors in columns and eigenvalues, the largest first; those without variance are left out."""
    variances, axes = np.linalg.eigh(covariance)
    there = variances[::-1] > _NOTHING * variances[-1]
    axes, variances = axes[:, ::-1][:, there], variances[::-1][there]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0)  # on any machine
    return axes, variances


def _how_many(variances: Values, components: int | None, variance: float | None) -> int:
    if variance is None:
        return min(components or COMPONENTS, len(variances))
    held = np.cumsum(variances) / variances.sum()
    return min(int(np.searchsorted(held, variance - 1e-12)) + 1, len(variances))


def _names(cells: OpenedCells, space: str) -> list[str]:
    matrix = cells.spaces[space]
    given = getattr(matrix, "columns", None)
    if given is None:
        given = cells.facts.get("features", {}).get(space)
    return [f"{space} {i}" for i in range(1, matrix.shape[1] + 1)] if given is None else [str(name) for name in given]


def _labelled(labels: pd.DataFrame) -> Labelled:
    if CONTROL not in labels:
        raise BenchmarkError(
            f"The cells lack {CONTROL} in obs: features are standardised on controls. Match them to a store."
        )
    control = flags(labels[CONTROL])
    if BATCH not in labels:
        return Labelled(control, np.zeros(len(labels), np.intp), ["all cells"])
    codes, names = numbered(labels[BATCH])
    return Labelled(control, codes, [str(name) for name in names])


def _refuse_settings(
    components: int | None, variance: float | None, correlation: float | None, missing: float, clip: float | None
) -> None:
    if components is not None and variance is not None:
        raise SettingsError("components and variance both say how many components there are. Give one of them.")
    if components is not None and components < 1:
        raise SettingsError(f"components is {components}. At least 1 was needed.")
    for name, value in (("variance", variance), ("correlation", correlation)):
        if value is not None and not 0 < value <= 1:
            raise SettingsError(f"{name} is {value}. A share above 0 and up to 1 was needed.")
    if not 0 <= missing < 1:
        raise SettingsError(f"missing is {missing}. A share of cells, from 0 to below 1, was needed.")
    if clip is not None and not clip > 0:
        raise SettingsError(f"clip is {clip}. A number of standard deviations above 0 was needed.")


def _refuse_space(cells: OpenedCells, space: str) -> None:
    if space not in cells.spaces:
        raise BenchmarkError(
            f"There are no '{space}' in obsm, which has {first_few(cells.spaces, 8)}. Measure the cells "
            "(contrascope features) or match a table to them (contrascope match-features) first, or name the space."
        )


def _controls_of_batches(found: Seen, labelled: Labelled) -> NDArray[np.intp]:
    """(M,) controls that were measured; each batch with a measured cell needs some to be standardised by."""
    controls = np.bincount(labelled.batch[labelled.control & found.measured], minlength=len(labelled.batches))
    present = np.bincount(labelled.batch[found.measured], minlength=len(labelled.batches)) > 0
    if not present.any():
        raise BenchmarkError("No cell has a finite feature: nothing was measured. Look at how the features were made.")
    if len(few := np.flatnonzero((controls < FEWEST) & present)):
        shown = first_few([f"{labelled.batches[i]} ({controls[i]:,})" for i in few])
        raise BenchmarkError(
            f"Features are standardised on the controls of each batch, and {len(few):,} of "
            f"{int(present.sum()):,} batches have too few: {shown}. {FEWEST} were needed in each. Name a column of "
            "larger batches (--batch plate), or take these cells out."
        )
    return np.where(present, controls, 0)


def _refuse_all(reasons: NDArray[Any]) -> None:
    counts = pd.Series(reasons).value_counts()
    why = "; ".join(f"{n:,}: {reason}" for reason, n in counts.items())
    raise BenchmarkError(
        f"No feature is left of {len(reasons):,} ({why}). Features that vary in the controls of each batch were "
        "needed: larger batches, mean and deviation in place of robust scales, or more missing values allowed may help."
    )
