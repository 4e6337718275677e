"""Explained: is a phenotype made of what controls vary in anyway?

For each group of perturbations, after Multi-ContrastiveVAE, Figure 4D and E:

1. every feature is standardised by the mean and standard deviation of the controls of the same batch;
2. features are tested, cells of the group against control cells, by the Mann-Whitney test (two-sided): it asks for no
   distribution, a few wild cells do not carry it, and it says the same of a feature and of its logarithm. Bonferroni
   over features, 5 %;
3. those that differ are ranked by their robust z-score, (median of the group - median of controls) / (1.4826 MAD of
   controls), whichever the sign;
4. the first principal component of the control cells, features in standard deviations, is regressed on the top k of
   them, k = 1 ... 15: R^2 is the share of it that they explain.

A phenotype that moves cells to where controls are as well is made of features that explain much; a novel one of
features that explain little. Chance is R^2 of as many features chosen at random. With R the correlations of features
in controls and v, l the first eigenvector and eigenvalue of R, features S explain l v_S' R_SS^-1 v_S: no cell is looked
at again.

Cells are the units of the test, so that with very many of them nearly all features differ, by however little: what
counts is their order. At most ``max_cells`` of each group are taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from contrascope.benchmarks.groups import Annotations, groups_in_screen
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import flags, rows_by_name
from contrascope.profiles.feature_names import feature_names
from contrascope.profiles.gloss import gloss
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import BATCH, CONTROL, FEATURES, PERTURBATION

MOST_FEATURES = 15
HEADLINE_FEATURES = 5
ALPHA = 0.05
DRAWS = 200
MIN_CONTROLS = 20
"""Of a batch, to standardise by them."""
DIFFER, EXPLAINED, ROBUST_Z = "features that differ", "explained share of PC1", "robust z"
EXTRA = ("group", "k", "features", "feature", "gloss", "p", "null_low", "null_high")
Matrix = NDArray[np.float64]
Rows = NDArray[np.intp]


def explained(
    cells: AnnData,
    *,
    groups: Mapping[str, str] | None = None,
    annotations: Annotations | None = None,
    spaces: Sequence[str] | None = None,
    max_cells: int = 20_000,
    seed: int = 0,
) -> Result:
    """How much of what controls vary in is explained by the features that a group of perturbations alters.

    Args:
        cells: N cells with ``obs`` columns perturbation, control, and batch if there is more than one.
        groups: Perturbation -> group; with annotations, set -> group.
        annotations: A GMT file, or set -> genes; without groups, each set is a group.
        spaces: Whose features: keys of ``obsm`` or ``combined``; default as in ``benchmark``, and measurements by
            their names (``features``) where they are there.
        max_cells: At most so many cells of each group, and of the controls, chosen at random.
        seed: Of the choice of cells and of the random features.

    Returns:
        Table: space, metric, group, k, features, feature, gloss, p, null_low, null_high, value, chance, n. Metrics:

        - features that differ: share of them, after Bonferroni; chance is what the test lets through (n in features);
        - explained share of PC1, for k = 1 ... 15: R^2 of the top ``features`` (k, or all that differ where they are
            fewer); chance is the mean, null_low and null_high the 2.5th and 97.5th percentile of as many at random
            (n in control cells);
        - robust z: of the k-th ``feature``, in plain words in ``gloss`` where its name is one of CellProfiler's or of
            pooled screens', with its p after Bonferroni (n in cells of the group).

    Raises:
        BenchmarkError: No groups, no controls, no overlap, or no feature that varies in controls.
    """
    plan = _plan(cells.obs, groups, annotations, max_cells, seed)
    notes, rows = list(plan.notes), []
    for space in _with_measurements(cells, spaces):
        values = _standardised(embedding(cells, space), plan)
        found, said = _judge(values, np.array(feature_names(cells, space), dtype=object), plan, space, seed)
        rows += [{SPACE: space} | row for row in found]
        notes += said
    table = tidy(rows, extra=EXTRA)
    return Result("explained", table, _headline(table), tuple(notes))


def _with_measurements(cells: AnnData, spaces: Sequence[str] | None) -> list[str]:
    """The spaces asked for; by default measurements too, of which alone can be said in words what differs."""
    shown = chosen_spaces(cells, spaces)
    return shown if spaces is not None or FEATURES not in cells.obsm or FEATURES in shown else [*shown, FEATURES]


@dataclass(frozen=True)
class _Plan:
    """Which cells are looked at, the same in every space.

    Attributes:
        batch: (N,) number of each cell's batch, -1 where its batch has too few controls.
        control: (N,) whether a cell is a control of such a batch.
        controls, groups: Rows of the cells chosen.
    """

    batch: NDArray[np.intp]
    control: NDArray[np.bool_]
    controls: Rows
    groups: dict[str, Rows]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Component:
    """The first principal component of F features in standard deviations.

    Attributes:
        correlations: (F, F) of the features.
        eigenvalue: The component's variance; the features together have F.
        vector: (F,) weights of the features in it.
    """

    correlations: Matrix
    eigenvalue: float
    vector: Matrix

    @staticmethod
    def of(values: Matrix) -> Component:
        """Of cells (N, F), every feature of which varies."""
        correlations = np.atleast_2d(np.corrcoef(values, rowvar=False))
        eigenvalues, vectors = np.linalg.eigh(correlations)
        return Component(correlations, float(eigenvalues[-1]), vectors[:, -1])

    def explained_by(self, features: Rows) -> float:
        """R^2, 0 to 1, of the component regressed on these features."""
        # Least squares, as features may be copies of each other.
        among = self.correlations[np.ix_(features, features)]
        weights = np.linalg.lstsq(among, self.vector[features], rcond=1e-10)[0]
        return float(np.clip(self.eigenvalue * self.vector[features] @ weights, 0.0, 1.0))


def _plan(
    obs: pd.DataFrame, groups: Mapping[str, str] | None, annotations: Annotations | None, max_cells: int, seed: int
) -> _Plan:
    if groups is None and annotations is None:
        raise BenchmarkError("explained compares groups of perturbations. Give groups, annotations, or both.")
    if missing := [name for name in (PERTURBATION, CONTROL) if name not in obs]:
        raise BenchmarkError(f"The cells lack {', '.join(missing)} in obs; it has {first_few(obs.columns, 8)}.")
    control = flags(obs[CONTROL])
    batch, notes = _batches(obs, control)
    kept = batch >= 0
    names = obs[PERTURBATION].astype(str).to_numpy()
    found, said = groups_in_screen(set(names[kept & ~control]), groups=groups, annotations=annotations)
    generator, by_name = np.random.default_rng(seed), rows_by_name(obs.index)

    def some(mask: NDArray[np.bool_]) -> Rows:
        rows = by_name[mask[by_name]]
        return rows if len(rows) <= max_cells else generator.choice(rows, max_cells, replace=False)

    controls = some(kept & control)
    chosen = {group: some(kept & ~control & np.isin(names, members)) for group, members in found.items()}
    return _Plan(batch, kept & control, controls, chosen, (*notes, *said))


def _batches(obs: pd.DataFrame, control: NDArray[np.bool_]) -> tuple[NDArray[np.intp], list[str]]:
    """(N,) each cell's batch, -1 where it has too few controls; cells without a column of batches are one batch."""
    codes = pd.factorize(obs[BATCH])[0] if BATCH in obs else np.zeros(len(obs), dtype=np.intp)
    controls = np.bincount(codes[control & (codes >= 0)], minlength=codes.max(initial=0) + 1)
    enough = np.append(controls >= MIN_CONTROLS, False)  # the last for cells without a batch, -1
    if not enough.any():
        raise BenchmarkError(
            f"Features are standardised by the controls of their batch: no batch has {MIN_CONTROLS} of them, the most "
            f"is {controls.max()}. Name the control label of the screen, or give coarser batches."
        )
    left_out = int((~enough[codes]).sum())
    note = f"{left_out:,} cells were left out: their batches have fewer than {MIN_CONTROLS} controls."
    return np.where(enough[codes], codes, -1), [note] if left_out else []


def _standardised(values: Matrix, plan: _Plan) -> Matrix:
    """(N, F) in standard deviations of the controls of a cell's batch; what does not vary there becomes 0."""
    result = np.zeros_like(values)
    for batch in np.unique(plan.batch[plan.batch >= 0]):
        rows = np.flatnonzero(plan.batch == batch)
        controls = values[rows[plan.control[rows]]]
        mean, deviation = controls.mean(axis=0), controls.std(axis=0)
        varies = deviation > 1e-9 * np.abs(mean)
        result[rows] = np.where(varies, (values[rows] - mean) / np.where(varies, deviation, 1.0), 0.0)
    return result


def _judge(
    values: Matrix, names: NDArray[Any], plan: _Plan, space: str, seed: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of one space, and its notes."""
    controls = values[plan.controls]
    median = np.median(controls, axis=0)
    scale = 1.4826 * np.median(np.abs(controls - median), axis=0)
    used = np.flatnonzero(scale > 0)
    if not len(used):
        raise BenchmarkError(f"No feature of {space} varies in the controls: there is nothing to explain.")
    notes = []
    if constant := values.shape[1] - len(used):
        notes.append(f"{constant:,} of {values.shape[1]:,} features of {space} hardly vary in controls: left out.")
    controls, names, median, scale = controls[:, used], names[used], median[used], scale[used]
    component, most = Component.of(controls), min(MOST_FEATURES, len(used))
    chance, few = _chance(component, most, seed), []
    share = component.eigenvalue / len(used)
    notes.append(f"The first component of the controls holds {share:.0%} of {len(used):,} features' variance, {space}.")
    rows: list[dict[str, Any]] = []
    for group, cells in plan.groups.items():
        here = values[cells][:, used]
        p = np.minimum(1.0, len(used) * mannwhitneyu(here, controls, axis=0, method="asymptotic").pvalue)
        z = (np.median(here, axis=0) - median) / scale
        differing = np.flatnonzero(p < ALPHA)
        ranked = differing[np.argsort(-np.abs(z[differing]), kind="stable")]
        if len(ranked) < most:
            few.append(f"{group} ({len(ranked)})")
        found = [
            {METRIC: DIFFER, VALUE: len(ranked) / len(used), CHANCE: ALPHA / len(used), N: len(used)},
            *_curve(component, ranked, chance, len(controls)),
            *_top(ranked, names, z, p, len(here)),
        ]
        rows += [{"group": group} | row for row in found]
    if altered := [text for group in plan.groups if (text := _most_altered(rows, group))]:
        notes.append(f"Most altered in {space}: {first_few(altered, 8)}.")
    if few:
        notes.append(f"Fewer than {most} features of {space} differ from controls in {first_few(few, 8)}.")
    return rows, notes


def _curve(component: Component, ranked: Rows, chance: Matrix, controls: int) -> Iterator[dict[str, Any]]:
    """R^2 of the top k features; where fewer differ, of those that do; where none does, there is none."""
    for k in range(1, chance.shape[1] + 1) if len(ranked) else ():
        used = min(k, len(ranked))
        null = chance[:, used - 1]
        low, high = np.percentile(null, [2.5, 97.5])
        yield {
            METRIC: EXPLAINED,
            "k": k,
            "features": used,
            VALUE: component.explained_by(ranked[:used]),
            CHANCE: null.mean(),
            "null_low": low,
            "null_high": high,
            N: controls,
        }


def _chance(component: Component, most: int, seed: int) -> Matrix:
    """(draws, k) R^2 of the first k of the features in random order, k = 1 ... most."""
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(component.vector))[:most] for _ in range(DRAWS)]
    return np.array([[component.explained_by(order[:k]) for k in range(1, most + 1)] for order in orders])


def _top(ranked: Rows, names: NDArray[Any], z: Matrix, p: Matrix, cells: int) -> Iterator[dict[str, Any]]:
    for k, feature in enumerate(ranked[:MOST_FEATURES], start=1):
        facts = {
            "k": k,
            "feature": names[feature],
            "gloss": gloss(str(names[feature])) or None,
            "p": p[feature],
            N: cells,
        }
        yield {METRIC: ROBUST_Z, VALUE: z[feature], CHANCE: 0.0} | facts


def _most_altered(rows: Sequence[Mapping[str, Any]], group: str) -> str | None:
    """The first of a group's features in plain words; None where its name has none."""
    first = next((row for row in rows if row["group"] == group and row.get("feature") is not None), None)
    return f"{group}, {first['gloss']} (z {first[VALUE]:+.1f})" if first and first["gloss"] else None


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    """How many features differ, and what the top five explain, group by group."""
    wanted = (table[METRIC] == DIFFER) | ((table[METRIC] == EXPLAINED) & (table["k"] == HEADLINE_FEATURES))
    rows = table[wanted].copy()
    by = np.where(rows["k"].notna(), f" by top {HEADLINE_FEATURES}", "")
    rows[METRIC] = [
        f"{metric}{top}, {group}" for metric, top, group in zip(rows[METRIC], by, rows["group"], strict=True)
    ]
    return rows[list(COLUMNS)].reset_index(drop=True)
