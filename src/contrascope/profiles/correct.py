"""Cells, sums of cells or profiles, corrected on their controls.

Every correction is affine, and the mean of an affine image is the image of the mean. So profiles of corrected cells
need no second look at the cells: sums by guide and batch are mapped, S -> S A_b + n c_b, with maps made from the
moments of the controls of each batch, which were gathered in the same pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.errors import BenchmarkError, SettingsError, first_few
from contrascope.profiles.aggregate import (
    ROWS_AT_ONCE,
    cells_in_each_row,
    dense,
    flags,
    holds_sums,
    numbered,
    refuse_unfinite,
    spaces_of,
)
from contrascope.profiles.blocks import Cells, sums_or_cells
from contrascope.profiles.corrections import CORRECTIONS, FEWEST, MAD_TO_DEVIATION, Correction, scaling
from contrascope.profiles.moments import Gathering, Maps, Moments, from_stored, no_moments
from contrascope.profiles.sums import ALL_CELLS, CONTROLS, summed
from contrascope.tables import read_anndata
from contrascope.vocabulary import BACKGROUND, BATCH, COMBINED, CONTROL, SALIENT

CORRECTED = "corrected"
"""Key of ``uns``: how cells were corrected, and the fewest controls that a map was made of."""
ENOUGH = 10
"""Controls a feature, for a covariance to fit those that it was not taken of as well as its own (docs/log.md)."""
FEW_TO_COMPARE = 100
"""Controls of a map, with fewer of which cells that do nothing are hits. They lie further off than the controls that it
was taken from, by some 4 / n of a variance: standardised on each of 40 batches, perturbations that do nothing were at
p <= .05 by energy distance in 100 % with 15 controls a batch, 29 % with 30, 6 % with 60 and 5 % with 98; in 3, 5, 4 and
3 % where each control was held out (``features/scales.py``), which sums of cells do not allow. These are figures of
``examples/calibration.py``."""
Values = NDArray[np.float64]


def corrected(cells: AnnData, how: str, *, batch: str = BATCH, ridge: float | None = None) -> AnnData:
    """Embeddings corrected on controls, in memory.

    Args:
        cells: N cells, or guide profiles, with the ``obs`` column control (bool) and embeddings in ``obsm``; or sums.
        how: A name of ``CORRECTIONS``; ``corrections.py`` has the formulas.
        batch: The column of batches in ``obs``. Sums have but the one they were taken by.
        ridge: In place of the correction's own, where it takes a covariance; in units of a standardised variance.

    Returns:
        The same rows and columns of ``obs``; the same spaces in ``obsm``, in the dtype they had if that is a float;
        ``uns["corrected"]`` says how, of corrections made one after another the one with the weakest
        covariance, or without any the one of the fewest controls.

    Raises:
        SettingsError: There is no such correction, or it takes no ridge.
        BenchmarkError: Too few controls, in a batch or altogether; a missing column; NaN; medians asked of sums.
    """
    correction = correction_named(how, ridge=ridge)
    rows = _Rows.of(cells, batch, correction)
    spaces = {}
    for space in spaces_of(cells.obsm):
        maps = _maps(cells, space, rows, correction, how=how, ridge=ridge)
        spaces[space] = _mapped(cells.obsm[space], maps, rows, space)
    kept = {key: value for key, value in cells.uns.items() if key != CONTROLS}
    if how != "none" and not holds_sums(cells):
        kept[CORRECTED] = _said(how, int(np.bincount(rows.batch[rows.control]).min()), before=_correction_of(cells))
    return AnnData(obs=cells.obs.copy(), obsm=spaces, uns=kept)


def refuse_fitted(cells: AnnData, spaces: Sequence[str]) -> None:
    """Make sure that controls may be compared with other cells, where both were corrected on these controls.

    A covariance of few controls makes them, and them alone, white: any other cell then lies further off.

    Raises:
        BenchmarkError: The cells were whitened on fewer than ten controls a feature.
    """
    done = _correction_of(cells)
    if done is None or not CORRECTIONS[done["how"]].covariance:
        return
    names = set(spaces) | ({BACKGROUND, SALIENT} & set(cells.obsm) if COMBINED in spaces else set())
    for space in sorted(names & set(cells.obsm)):
        if done["controls"] < (needed := ENOUGH * cells.obsm[space].shape[1]):
            raise BenchmarkError(
                f"The cells were corrected by '{done['how']}', whose covariances come of as few as "
                f"{done['controls']:,} controls for the {cells.obsm[space].shape[1]:,} features of {space}. These very "
                f"controls would now be compared with the other cells, which lie further off for that reason alone: "
                f"perturbations that do nothing would be hits. {needed:,} controls were needed for each map. Give the "
                f"cells uncorrected, or corrected without a covariance (standardise, centre-batch)."
            )


def fitted_on_few(cells: AnnData) -> Iterator[str]:
    """A note where controls that cells were corrected on were few, for benchmarks that compare both."""
    if (done := _correction_of(cells)) is not None and done["controls"] < FEW_TO_COMPARE:
        yield (
            f"BEWARE: the cells were corrected by '{done['how']}' on as few as {done['controls']:,} controls, to which "
            f"these controls lie nearer than any other cell. Perturbations that do nothing may be called hits, the "
            f"more the fewer controls there were; {FEW_TO_COMPARE} were needed for each map. Take larger batches, or "
            "give the cells uncorrected."
        )


def _said(how: str, controls: int, *, before: dict[str, Any] | None) -> dict[str, Any]:
    """What stands in ``uns`` of a correction: of several, one with a covariance, and the one of the fewest controls."""
    said = [{"how": how, "controls": controls}, *([before] if before else [])]
    return min(said, key=lambda one: (not CORRECTIONS[one["how"]].covariance, one["controls"]))


def _correction_of(cells: AnnData) -> dict[str, Any] | None:
    """What ``corrected`` says of cells; None of any others."""
    said = cells.uns.get(CORRECTED)
    if not isinstance(said, Mapping) or {"how", "controls"} - said.keys() or said["how"] not in CORRECTIONS:
        return None  # nothing, or not of ours
    return dict(said)


def corrected_sums(cells: Cells, how: str, *, batch: str = BATCH, ridge: float | None = None) -> AnnData:
    """What ``averaged`` makes corrected profiles of, in one pass over the cells.

    Returns:
        Corrected sums by guide and batch; or the cells themselves, where they are in memory and nothing is to be
        summed first.
    """
    correction = correction_named(how, ridge=ridge)
    cells = sums_or_cells(cells)
    if isinstance(cells, AnnData) and (holds_sums(cells) or how == "none" or correction.robust):
        return cells if how == "none" else corrected(cells, how, batch=batch, ridge=ridge)
    if correction.robust:
        return corrected(read_anndata(cells), how, batch=batch, ridge=ridge)  # medians need all controls in memory
    # Sums by batch only where batches are told apart: there are many times fewer without.
    column = batch if correction.by_batch else None
    sums = summed(cells, batch=column, squares=False, controls=how != "none")
    return sums if how == "none" else corrected(sums, how, ridge=ridge)


def correction_named(how: str, *, ridge: float | None = None) -> Correction:
    """A correction by its name.

    Raises:
        SettingsError: There is none of that name, or it takes no ridge.
    """
    if how not in CORRECTIONS:
        raise SettingsError(f"There is no correction '{how}'. Choose one of: {', '.join(CORRECTIONS)}.")
    correction = CORRECTIONS[how]
    if ridge is not None and correction.ridge is None:
        takes = [name for name, other in CORRECTIONS.items() if other.ridge is not None]
        raise SettingsError(f"'{how}' has no covariance and takes no ridge. These do: {', '.join(takes)}.")
    if ridge is not None and ridge < 0:
        raise SettingsError(f"ridge is {ridge}. It is added to variances: 0 or more was needed.")
    return correction


@dataclass(frozen=True)
class _Rows:
    """What the rows of a table are, N of them in M batches.

    Attributes:
        cells: (N,) how many cells a row is the sum of.
        control: (N,).
        batch: (N,) number of its batch.
        batches: (M,) names.
    """

    cells: NDArray[np.int64]
    control: NDArray[np.bool_]
    batch: NDArray[np.intp]
    batches: list[str]

    @classmethod
    def of(cls, cells: AnnData, batch: str, correction: Correction) -> _Rows:
        """The rows of cells or sums; all in one batch where the correction does not tell them apart."""
        if CONTROL not in cells.obs:
            raise BenchmarkError(f"The cells lack {CONTROL} in obs; it has {first_few(cells.obs.columns, 8)}.")
        counts, control = cells_in_each_row(cells), flags(cells.obs[CONTROL])
        if not correction.by_batch:
            return cls(counts, control, np.zeros(cells.n_obs, np.intp), [ALL_CELLS])
        if batch not in cells.obs or (holds_sums(cells) and batch != BATCH):
            raise BenchmarkError(
                f"This correction takes a map for each batch, and there is no '{batch}' in obs; it has "
                f"{first_few(cells.obs.columns, 8)}. Name the column of batches, or choose a correction for all cells. "
                "Sums know but the batch that they were taken by."
            )
        codes, names = numbered(cells.obs[batch])
        return cls(counts, control, codes, [str(name) for name in names])


def _maps(cells: AnnData, space: str, rows: _Rows, correction: Correction, *, how: str, ridge: float | None) -> Maps:
    moments = _stored(cells, space, rows, correction, how) if holds_sums(cells) else _gathered(cells, space, rows)
    _refuse_few(moments, rows, correction, how)
    if not np.isfinite(moments.scatter).all():
        refuse_unfinite(dense(cells.obsm[space]), space=space)
    if correction.robust:
        return _robust(dense(cells.obsm[space]), rows)
    return correction.maps(moments, ridge=ridge)


def _gathered(cells: AnnData, space: str, rows: _Rows) -> Moments:
    gathering = Gathering()
    for part in _parts(len(rows.batch)):
        control = rows.control[part]
        if control.any():
            gathering.add(rows.batch[part][control], {space: dense(cells.obsm[space][part])[control]})
    found = gathering.moments(list(range(len(rows.batches))))
    return found.get(space) or no_moments(len(rows.batches), cells.obsm[space].shape[1])


def _stored(cells: AnnData, space: str, rows: _Rows, correction: Correction, how: str) -> Moments:
    if correction.robust:
        raise BenchmarkError(f"'{how}' takes medians, which sums of cells do not tell. Give the cells themselves.")
    if CONTROLS not in cells.uns:
        raise BenchmarkError(
            f"These sums came without the moments of their controls, from which '{how}' is made. Take the sums again, "
            "or give the cells themselves."
        )
    stored = cells.uns[CONTROLS]
    if space not in stored["spaces"]:  # there is no control at all
        return no_moments(len(rows.batches), cells.obsm[space].shape[1])
    names = rows.batches if correction.by_batch else list(stored["batch"])
    return from_stored(stored, space, names)


def _refuse_few(moments: Moments, rows: _Rows, correction: Correction, how: str) -> None:
    features = moments.mean.shape[1]
    fewest = correction.fewest(features)
    counts = moments.n if correction.by_batch else moments.n.sum(keepdims=True)
    few = np.flatnonzero(counts < fewest)
    if (not correction.steps and not correction.robust) or not len(few):
        return
    why = f", more than the {features} features," if fewest > FEWEST else ""
    found = first_few([f"{rows.batches[i]} ({counts[i]:,})" for i in few])
    if correction.by_batch:
        raise BenchmarkError(
            f"'{how}' is measured on the controls of each batch, and {len(few):,} of {len(counts):,} batches have too "
            f"few: {found}. {fewest} controls{why} were needed in each. Drop these batches, join batches into larger "
            f"ones (a column such as plate), or choose a correction that is measured on all controls."
        )
    raise BenchmarkError(
        f"'{how}' is measured on the controls, of which there are {counts[0]:,}. {fewest}{why} were needed. Name the "
        "control label of the screen, or choose a correction that needs fewer."
    )


def _robust(values: Values, rows: _Rows) -> Maps:
    """Median and median absolute deviation of the controls of each batch."""
    medians, spreads = [], []
    for number in range(len(rows.batches)):
        controls = values[rows.control & (rows.batch == number)]
        medians.append(np.median(controls, axis=0))
        spreads.append(MAD_TO_DEVIATION * np.median(np.abs(controls - medians[-1]), axis=0))
    centre, spread = np.array(medians), np.array(spreads)
    return scaling(centre, spread, 1e-10 * np.abs(centre))


def _mapped(matrix: Any, maps: Maps, rows: _Rows, space: str) -> NDArray[Any]:
    kind = getattr(matrix, "dtype", None)
    result = np.empty(matrix.shape, kind if kind is not None and kind.kind == "f" else np.float64)
    alike = len(maps.matrix) == 1
    for part in _parts(len(result)):
        x, batch, cells = dense(matrix[part]), rows.batch[part], rows.cells[part, None]
        if not np.isfinite(x).all():
            refuse_unfinite(dense(matrix), space=space)
        for number in [0] if alike else np.unique(batch).tolist():
            here = slice(None) if alike else batch == number
            result[part][here] = x[here] @ maps.matrix[number] + cells[here] * maps.offset[number]
    return result


def _parts(rows: int) -> list[slice]:
    return [slice(start, start + ROWS_AT_ONCE) for start in range(0, rows, ROWS_AT_ONCE)]
