"""Hits: which perturbations do anything at all?

The cells of each perturbation are compared with controls of their batches, features in standard deviations of the
controls. A statistic says how far apart they are (``two_samples.py``), and three kinds of p-values what that is worth:

- p_cells: labels permuted among the cells of a batch. Small where the cells are not drawn as the controls' are, for
  whatever reason: the perturbation, or what the cells of one guide went through together.
- p_guides: every guide by itself against controls, every control guide against the other control guides, by the same
  statistic; the mean over the perturbation's guides against means of as many guides, labels permuted among its and
  the control guides. Small where its guides are further off than guides that do nothing. Control guides are drawn down
  to the numbers of cells of the perturbation's guides (``matched_guides.py``), and all to the number that half of the
  guides have: chance weighs on guides of few cells more, and T^2 and AUC grow with the cells of what acts.
- p_map: the perturbation's guides (or wells) find each other before they find those of controls (``retrieval.py``).
  Small where they go the same way.

Where the cells say which of them a model was trained on (``split``), p_held_out and held_out ask the others whether the
effect is there in them too (``held_out.py``).

q is Benjamini-Hochberg over the perturbations of a space. Effects: the statistic in standard deviations of its
permutations, and the Mahalanobis distance of the means by the controls' shrunk covariance, beside what permutations of
the labels give.

A comparison of 200 cells with 800 controls, 64 features and 999 permutations takes some .06 core-seconds for energy
distance: six core-minutes a space for 5,000 perturbations; Hotelling's T^2 takes two thirds of that, the AUC twice.
As many held-out cells take .03 more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.benchmarks import two_samples
from contrascope.benchmarks.comparisons import (
    CONTROL_GUIDE,
    MIN_CELLS,
    PERTURBED,
    Cast,
    Comparison,
    cast_of,
    lost_cells,
)
from contrascope.benchmarks.held_out import held_out_cells, held_out_effects
from contrascope.benchmarks.hits_table import METRICS, headline, in_columns, ranked, with_q_values
from contrascope.benchmarks.matched_guides import MatchedGuides, steps_of_cells
from contrascope.benchmarks.result import CHANCE, METRIC, SPACE, VALUE, N, Result
from contrascope.benchmarks.retrieval import Replicates, mean_average_precisions, replicates_of
from contrascope.benchmarks.ruler import Ruler
from contrascope.benchmarks.significance import LEVEL, guide_p, least_guide_p, permutation_p, permuted_labels
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.correct import fitted_on_few, refuse_fitted
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import BATCH, GUIDE, PLATE

MIN_CONTROL_GUIDES = 5
"""With fewer, not even two guides of a perturbation could be told from them at .05."""
MOST_CONTROLS = 20_000
"""That scale and covariance are taken from."""
Values = NDArray[np.float64]
Statistic = Literal["energy", "hotelling", "auc"]


def hits(
    cells: AnnData,
    *,
    spaces: Sequence[str] | None = None,
    statistic: Statistic = "energy",
    within: str = BATCH,
    replicates: str = GUIDE,
    permutations: int = 999,
    max_cells: int = 200,
    seed: int = 0,
) -> Result:
    """How far each perturbation's cells are from controls, and whether that is more than chance.

    Args:
        cells: N cells with ``obs`` columns guide, perturbation, control and maybe batch; their order does not matter.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        statistic: "energy", "hotelling" or "auc".
        within: Column of the batches in which labels are permuted and controls are taken. Where no batch holds both
            kinds of cells, as where batches are wells of one perturbation each, the column "plate" stands in. Without
            a column "batch" all cells are one.
        replicates: Column that tells the replicates for mean average precision: guide, or well.
        permutations: Of every kind.
        max_cells: At most so many cells of a perturbation, and of a guide.
        seed: Of the choice of cells and of all permutations.

    Returns:
        Table: a row for each perturbation and space, by effect, the largest first, then the control guides. value is
        the statistic, chance its mean over permutations, n the cells compared; columns as in ``hits_table.EXTRA``.
        Headline: share of perturbations with p and q up to .05, beside the share that chance gives.

    Raises:
        BenchmarkError: A missing column or label, no controls, nothing that can be compared, NaN in an embedding, or
            cells that were whitened on too few of the controls they are compared with.
    """
    _check(statistic, permutations, max_cells)
    chosen = chosen_spaces(cells, spaces)
    refuse_fitted(cells, chosen)
    cast, notes = cast_of(cells.obs, within=within, seed=seed)
    if within == BATCH and not cast.has_both_in_a_batch and PLATE in cells.obs:
        cast, notes = cast_of(cells.obs, within=PLATE, seed=seed)
        notes.append("No batch holds controls and perturbed cells, so labels are permuted within plates.")
    plan, more = _plan(cast, max_cells)
    unit, held = replicates_of(cells.obs, cast, replicates), held_out_cells(cells.obs)
    notes += [*fitted_on_few(cells), *lost_cells(cast), *more, *_limits(plan, permutations)]
    method = _Method(statistic, permutations)
    tables: list[pd.DataFrame] = []
    for space in chosen:
        matrix = embedding(cells, space)
        ruler = Ruler.of(matrix[cast.some_controls(MOST_CONTROLS)])
        notes += ruler.remarks(space)
        if ruler.varies.any():
            found = ranked(_judged(cast, plan, matrix, ruler, method))
            precision = _retrieved(cast, unit, matrix, ruler, method)
            found = found.merge(precision, how="left", left_on=PERTURBED, right_index=True)
            if held is not None:
                limits = {"max_cells": max_cells, "permutations": permutations}
                shown = held_out_effects(cast, held, matrix, ruler, **limits)
                found = found.merge(shown, how="left", left_on=PERTURBED, right_index=True)
            tables.append(found.assign(**{SPACE: space}))
    if not tables:
        raise BenchmarkError("No space varies among the controls. " + " ".join(notes))
    table = with_q_values(in_columns(tables))
    if table["map"].isna().all():
        notes.append(
            f"Mean average precision was left out: by '{replicates}' no perturbation has two replicates, or the "
            "controls have not."
        )
    notes += _least_of_retrieval(table, len(plan.perturbations))
    return Result("hits", table, headline(table, level=LEVEL, permutations=permutations), tuple(notes))


def _least_of_retrieval(table: pd.DataFrame, count: int) -> Iterator[str]:
    """A note on what retrieval can say at best: the p-value of replicates that are found before all else."""
    perfect = table[table["map"] > 1 - 1e-9]
    if perfect.empty:
        return
    least = float(perfect["p_map"].min())
    needed = math.ceil(least * count / LEVEL - 1e-9)
    if needed > 1:
        reach = f"q <= {LEVEL} takes {needed:,} of {count:,} such perturbations" if needed <= count else "none is a hit"
        yield (
            f"Where all replicates of a perturbation are found before any control p_map is {least:.2g}, so {reach} by "
            f"retrieval. More replicates would lower it."
        )


@dataclass(frozen=True)
class _Plan:
    """Who is compared, the same for every space, by number.

    Attributes:
        perturbations, control_guides: With as many cells as are allowed.
        guides: The guides of each perturbation that can be compared.
        null: The control guides.
        step: Of both, the number of cells that each is drawn down to, at most.
    """

    perturbations: dict[int, Comparison]
    control_guides: dict[int, Comparison]
    guides: dict[int, list[int]]
    null: list[int]
    step: dict[int, int]

    @property
    def has_null(self) -> bool:
        """Whether there are control guides enough."""
        return len(self.null) >= MIN_CONTROL_GUIDES


@dataclass(frozen=True)
class _Method:
    """How two groups are compared, and how often labels are permuted."""

    statistic: Statistic
    permutations: int

    def labels(
        self, comparison: Comparison, generator: np.random.Generator, count: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """(count + 1, N) labels, first as they are, and (N,) the folds of a probe, within which they are permuted."""
        folds = np.zeros_like(comparison.batch)
        if self.statistic == "auc":
            folds = two_samples.folds_of(comparison.perturbed, comparison.batch, generator)
        stratum = comparison.batch * two_samples.FOLDS + folds
        return permuted_labels(comparison.perturbed, stratum, count, generator), folds

    def values(self, features: Values, labels: NDArray[np.bool_], folds: NDArray[np.intp]) -> Values:
        """The statistic for each labelling."""
        if self.statistic == "energy":
            return two_samples.energy_distances(features, labels)
        if self.statistic == "hotelling":
            return two_samples.hotelling(features, labels)
        return two_samples.probe_aucs(features, labels, folds)

    def rounding(self, features: Values) -> float:
        """Below which two values are a tie: some times the rounding of what they are computed from."""
        width = features.shape[1]
        return 1e-6 * {"energy": width**0.5, "hotelling": float(width), "auc": 1.0}[self.statistic]


def _check(statistic: str, permutations: int, max_cells: int) -> None:
    if statistic not in METRICS:
        raise BenchmarkError(f"statistic is '{statistic}'. Choose one of: {', '.join(METRICS)}.")
    if permutations < 19 or max_cells < MIN_CELLS:
        raise BenchmarkError(
            f"permutations={permutations} and max_cells={max_cells} were asked for. At least 19 permutations were "
            f"needed, for p = .05 to be reached, and {MIN_CELLS} cells."
        )


def _plan(cast: Cast, max_cells: int) -> tuple[_Plan, list[str]]:
    """All comparisons; guides get the median number of cells of a guide at most, of a control guide if that is less."""
    own = cast.guides_of_perturbation
    found = {p: c for p in own if (c := cast.of_perturbation(p, max_cells)) is not None}
    if not found:
        raise BenchmarkError(
            f"None of {len(own):,} perturbations has {MIN_CELLS} cells in batches with controls. Where a well holds "
            "one perturbation alone, batches are plates: give within='plate'."
        )
    notes = []
    if left_out := [cast.perturbations[p] for p in own if p not in found]:
        notes.append(f"{first_few(left_out)}: fewer than {MIN_CELLS} cells in batches with controls; left out.")
    controls = {g: c for g in cast.control_guides if (c := cast.of_guide(g, max_cells)) is not None}
    medians = [np.median([len(cast.cells_of_guide[g]) for p in found for g in own[p]])]
    medians += [np.median([c.n for c in controls.values()])] if controls else []
    steps = steps_of_cells(max(MIN_CELLS, min(max_cells, *map(int, medians))))
    guides = [*controls, *(g for p in found for g in own[p])]
    compared = {g: c for g in guides if (c := cast.of_guide(g, steps[0])) is not None}
    step = {g: next(n for n in steps if n <= c.n) for g, c in compared.items()}
    of = {p: [g for g in own[p] if g in step] for p in found}
    return _Plan(found, controls, of, [g for g in controls if g in step], step), notes


def _limits(plan: _Plan, permutations: int) -> Iterator[str]:
    """Notes on what p-values can say at best."""
    count, guides = len(plan.perturbations), len(plan.null)
    if (needed := math.ceil(count / (permutations + 1) / LEVEL - 1e-9)) > 1:
        yield (
            f"With {permutations:,} permutations p is {1 / (permutations + 1):.2g} at least, so q <= {LEVEL} takes "
            f"{needed:,} of {count:,} perturbations with that p. With more permutations fewer hits can be told."
        )
    if not plan.has_null:
        yield (
            f"There are {guides} control guides with {MIN_CELLS} cells or more, {MIN_CONTROL_GUIDES} were needed for a "
            "null of guides that do nothing. p_cells stands alone: it does not know by how much such guides differ."
        )
        return
    least = min((least_guide_p(len(c), guides, permutations) for c in plan.guides.values() if c), default=1.0)
    if least * count > LEVEL:
        yield f"With {guides} control guides p_guides is {least:.2g} at least; a single hit cannot reach q <= {LEVEL}."


def _judged(cast: Cast, plan: _Plan, matrix: Values, ruler: Ruler, method: _Method) -> pd.DataFrame:
    """Rows of perturbations and control guides in one space."""
    rows = []

    def value(guide: int, cells: int) -> float:
        comparison = cast.of_guide(guide, cells) or cast.of_guide(guide, plan.step[guide])
        assert comparison is not None, "it is in the plan"
        return _value(comparison, matrix, ruler, method)

    matched = MatchedGuides(plan.step, plan.null, value)
    for p, comparison in plan.perturbations.items():
        name = cast.perturbations[p]
        row = _compared(comparison, cast.generator(f"labels of {name}"), matrix, ruler, method)
        row |= {METRIC: METRICS[method.statistic], PERTURBED: name, "n_guides": len(cast.guides_of_perturbation[p])}
        if plan.has_null and (guides := plan.guides[p]):
            values = matched.in_slots(guides)
            row |= {"guide_mean": matched.own(guides).mean(), "guide_chance": values[len(guides) :].mean()}
            row["n_control_guides"] = len(plan.null)
            row["p_guides"] = guide_p(values, method.permutations, cast.generator(f"guides of {name}"))
        rows.append(row)
    for g, comparison in plan.control_guides.items():
        name = cast.guides[g]
        row = _compared(comparison, cast.generator(f"labels of {name}"), matrix, ruler, method)
        metric = f"{METRICS[method.statistic]}, {CONTROL_GUIDE}"
        rows.append(row | {METRIC: metric, PERTURBED: name, "n_guides": 1})
    return pd.DataFrame(rows)


def _value(comparison: Comparison, matrix: Values, ruler: Ruler, method: _Method) -> float:
    """The statistic of a guide, nothing permuted."""
    labels, folds = method.labels(comparison, np.random.default_rng(0), 0)
    return float(method.values(ruler.measured(matrix[comparison.rows]), labels, folds)[0])


def _compared(
    comparison: Comparison, generator: np.random.Generator, matrix: Values, ruler: Ruler, method: _Method
) -> dict[str, Any]:
    """The statistic among its permutations, and the Mahalanobis distance likewise."""
    features = ruler.measured(matrix[comparison.rows])
    labels, folds = method.labels(comparison, generator, method.permutations)
    values = method.values(features, labels, folds)
    null, spread = values[1:], values[1:].std(ddof=1)
    shifts = two_samples.squared_shifts(features @ ruler.whitening, labels)
    rounding = method.rounding(features)
    return {
        VALUE: values[0],
        CHANCE: null.mean(),
        N: comparison.n,
        "n_controls": len(comparison.rows) - comparison.n,
        "null_p95": np.percentile(null, 95),
        "effect": (values[0] - null.mean()) / spread if spread > rounding else 0.0,
        "p_cells": permutation_p(values, rounding=rounding),
        "mahalanobis": shifts[0] ** 0.5,
        "mahalanobis_chance": shifts[1:].mean() ** 0.5,
    }


def _retrieved(cast: Cast, unit: Replicates, matrix: Values, ruler: Ruler, method: _Method) -> pd.DataFrame:
    """Mean average precision of each perturbation's replicates, by name."""
    profiles = ruler.measured(unit.means(matrix))
    control = unit.perturbation < 0
    own = {cast.perturbations[p]: profiles[unit.perturbation == p] for p in cast.guides_of_perturbation}
    return mean_average_precisions(own, profiles[control], null_size=method.permutations, seed=cast.seed)
