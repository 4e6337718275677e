"""Technical artefacts: can it be read from a cell's embedding how the cell was imaged?

The targets (``targets.py``): batch, place in the field, place in the well, and any column that the user names; a
cell's stage is no artefact, but can be asked for alike. Position is judged within each batch, median over batches.
Each target is asked in three ways:

- as the paper does: a logistic regression on standardised features, classes weighted to balance, learns on 60 % of
  the cells and is judged on the other 40 % (stratified), after Multi-ContrastiveVAE, Figure 3B: F1, AUROC;
- on unseen tiles (``by_tile.py``): AUROC by tile. Where it is far below AUROC, the probe knew the tiles;
- by the nearest neighbours (``mixing.py``): kNN same.

A column of numbers is predicted by a ridge regression (``regression.py``), split in the same two ways.

Scores near chance are good: nothing technical is left to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from contrascope.benchmarks.by_tile import auroc_by_tile, tile_folds
from contrascope.benchmarks.held_out import trained_on_note
from contrascope.benchmarks.mixing import mixing
from contrascope.benchmarks.probe import MAX_STEPS, Labels, Matrix, auroc, f1_by_chance, f1_score, linear_probe
from contrascope.benchmarks.regression import explained, predicted_numbers, spearman, with_shuffles
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.benchmarks.targets import (
    FIELD_TARGET,
    WELL_TARGET,
    Classes,
    NotComputable,
    Numbers,
    Rows,
    batch_target,
    class_target,
    column_target,
    field_target,
    tiles_of,
    well_target,
)
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import flags, rows_by_name
from contrascope.profiles.spaces import chosen_spaces, constant_note, embedding
from contrascope.vocabulary import BATCH, CONTROL

TEST_SHARE = 0.4
F1, AUROC, AUROC_BY_TILE, KNN_SAME = "F1", "AUROC", "AUROC by tile", "kNN same"
R2, SPEARMAN, R2_BY_TILE, SPEARMAN_BY_TILE = "R2", "Spearman", "R2 by tile", "Spearman by tile"
LOW, HIGH = "low", "high"
EXTRA = ("target", "n_classes", "n_batches", "n_tiles", LOW, HIGH)
Found = dict[str, Any]


def artifacts(
    cells: AnnData,
    *,
    spaces: Sequence[str] | None = None,
    among: Literal["all", "controls"] = "all",
    columns: str | Sequence[str] = (),
    classes: str | Sequence[str] = (),
    well_position: str | Sequence[str] = (),
    neighbours: int = 30,
    seed: int = 0,
    max_cells: int = 20_000,
) -> Result:
    """How well batch and position can be read from each embedding.

    Args:
        cells: N cells; ``obs`` columns batch, plate, well, tile, field_distance, tile_row, tile_column as far as there
            are any.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        among: All cells, or controls only, where no perturbation can differ between batches; notes say how many of
            them the model was trained on, as these say less than others in the salient space.
        columns: Further targets: a column of ``obs``, or several. More than 20 different numbers are predicted as
            numbers, anything else is classes.
        classes: Likewise, of columns whose numbers are names, however many they are.
        well_position: Columns for the place in the well, in any unit, instead of the grid of tiles: one, the distance
            from the well's centre, or two, coordinates.
        neighbours: Nearest neighbours of a cell that are looked at.
        seed: Of the choice of cells, the splits, the neighbours asked and the permutations.
        max_cells: At most so many cells a target, chosen at random.

    Returns:
        Table: space, metric, target, n_classes (0: numbers), n_batches, n_tiles (0: unknown), low, high, value,
        chance, n (cells). Metrics:

        - F1 and AUROC on 40 % of the cells. Chance is 0.5 for AUROC; for F1 the mean over permutations of the
            predictions against the labels.
        - AUROC by tile: mean over folds of whole tiles; low and high are the lowest and the highest fold.
        - kNN same: share of a cell's neighbours that are of its class, chance is the share of that class among all
            other cells; low and high hold 95 % of what resampled tiles (cells, if tiles are
            unknown) give.
        - R2 and Spearman on 40 % of the cells, and by tile, of numbers; chance is their mean when the numbers are
            shuffled among the cells.

        Notes say what could not be judged and why.

    Raises:
        BenchmarkError: None of the targets can be judged, or there is no such column.
    """
    if max_cells < 1 or neighbours < 1:
        raise BenchmarkError(f"max_cells is {max_cells} and neighbours {neighbours}; both must be 1 or more.")
    rows = np.random.default_rng(seed).permutation(_rows(cells, among))
    named = _Named(_listed(columns), _listed(classes), _listed(well_position))
    targets, notes = _targets(cells.obs, rows, max_cells, named)
    judge = _Judge(tiles_of(cells.obs), neighbours, seed)
    notes += judge.notes(targets)
    if among == "controls":
        notes += trained_on_note(cells, rows)
    table: list[Found] = []
    for space in chosen_spaces(cells, spaces):
        matrix = embedding(cells, space)
        notes += constant_note(matrix, space)
        for target in targets:
            scores, unfinished = judge(target, matrix)
            table += [{SPACE: space, "target": target.name} | score for score in scores]
            if unfinished:
                notes.append(f"{unfinished} probe(s) of {target.name} in {space} stopped at {MAX_STEPS} steps.")
    frame = tidy(table, extra=EXTRA)
    return Result("artifacts", frame, _headline(frame), tuple(notes))


@dataclass(frozen=True)
class _Named:
    """Columns that the user named."""

    columns: list[str]
    classes: list[str]
    well_position: list[str]

    def targets(self) -> Iterator[tuple[str, Callable[..., Classes | Numbers]]]:
        """Each target and the function that makes it."""
        yield BATCH, batch_target
        yield FIELD_TARGET, field_target
        yield WELL_TARGET, partial(well_target, position=self.well_position)
        for name in dict.fromkeys([*self.columns, *self.classes]):
            make = class_target if name in self.classes else column_target
            if name != BATCH:
                yield _shown(name), partial(make, column=name)


def _shown(column: str) -> str:
    """What the target of a column is called: by the column's name, unless that is a target's."""
    return f"{column} column" if column in (FIELD_TARGET, WELL_TARGET) else column


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(dict.fromkeys(names))


def _rows(cells: AnnData, among: str) -> Rows:
    if among not in ("all", "controls"):
        raise BenchmarkError(f"among is '{among}'. Choose one of: all, controls.")
    by_name = rows_by_name(cells.obs_names)
    if among == "all":
        return by_name
    if CONTROL not in cells.obs:
        raise BenchmarkError(f"among='controls' needs obs['{CONTROL}']; obs has {first_few(cells.obs.columns, 8)}.")
    return by_name[flags(cells.obs[CONTROL])[by_name]]


def _targets(obs: pd.DataFrame, rows: Rows, max_cells: int, named: _Named) -> tuple[list[Classes | Numbers], list[str]]:
    """The targets that can be judged, and a sentence for each that cannot."""
    if unknown := [name for name in (*named.columns, *named.classes, *named.well_position) if name not in obs]:
        raise BenchmarkError(
            f"artifacts was asked for {first_few(unknown)}. The cells have {first_few(obs.columns, 12)}."
        )
    if len(named.well_position) > 2:
        raise BenchmarkError(
            f"well_position names {len(named.well_position)} columns. Give one, the distance from the well's centre, "
            "or two, coordinates in the well."
        )
    targets, notes = [], []
    for target, make in named.targets():
        try:
            targets.append(replace(make(obs, rows, max_cells=max_cells), name=target))
        except NotComputable as reason:
            notes.append(f"{target} was left out: {reason}.")
    if not targets:
        raise BenchmarkError(f"No artefact can be judged on these {len(rows):,} cells. {' '.join(notes)}")
    return targets, notes


@dataclass(frozen=True)
class _Judge:
    """Asks one space for one target.

    Attributes:
        tiles: (N,) each cell's tile; None if tiles are unknown.
        neighbours: Of the mixing.
        seed: Of everything random.
    """

    tiles: NDArray[np.intp] | None
    neighbours: int
    seed: int

    def __call__(self, target: Classes | Numbers, matrix: Matrix) -> tuple[list[Found], int]:
        """The metrics of a target, and how many probes did not converge."""
        every = np.concatenate([rows for rows, _ in target.problems]) if isinstance(target, Classes) else target.rows
        shared = {"n_tiles": 0 if self.tiles is None else len(np.unique(self.tiles[every])), N: len(every)}
        if isinstance(target, Numbers):
            return [score | shared for score in self._numbers(target, matrix)], 0
        n_classes = int(max(labels.max() for _, labels in target.problems)) + 1
        n_batches = n_classes if target.name == BATCH else len(target.problems)
        shared |= {"n_classes": n_classes, "n_batches": n_batches}
        by_cell, unfinished = self._by_cell(target, matrix)
        by_tile, unfinished_by_tile = self._by_tile(target, matrix)
        scores = [*by_cell, *by_tile, self._mixing(target, matrix)]
        return [score | shared for score in scores], unfinished + unfinished_by_tile

    def notes(self, targets: Sequence[Classes | Numbers]) -> list[str]:
        """What cannot be asked by tile."""
        if self.tiles is None:
            return ["Nothing was judged by tile: the cells have no plate, well and tile, nor batch and tile."]
        few = [t.name for t in targets if not self._has_folds(t, self.tiles)]
        return [f"By tile {first_few(few)} could not be judged: a class has one tile."] if few else []

    @staticmethod
    def _has_folds(target: Classes | Numbers, tiles: NDArray[np.intp]) -> bool:
        if isinstance(target, Numbers):
            return len(np.unique(tiles[target.rows])) > 1
        return any(
            min(len(np.unique(tiles[rows[labels == c]])) for c in range(labels.max() + 1)) > 1
            for rows, labels in target.problems
        )

    def _by_cell(self, target: Classes, matrix: Matrix) -> tuple[list[Found], int]:
        """F1 and AUROC with their chance, medians over the problems."""
        judged = [_score(matrix[rows], labels, target.macro, self.seed) for rows, labels in target.problems]
        f1, chance, area, finished = np.array(judged, dtype=float).T
        scores = [
            {METRIC: F1, VALUE: np.median(f1), CHANCE: np.median(chance)},
            {METRIC: AUROC, VALUE: np.median(area), CHANCE: 0.5},
        ]
        return scores, int((finished == 0).sum())

    def _by_tile(self, target: Classes, matrix: Matrix) -> tuple[list[Found], int]:
        """Medians over the problems of each fold, and their mean."""
        if self.tiles is None:
            return [], 0
        judged = [
            auroc_by_tile(matrix[rows], labels, self.tiles[rows], seed=self.seed) for rows, labels in target.problems
        ]
        areas = np.array([area for area, _ in judged])
        folds = [np.median(fold[np.isfinite(fold)]) for fold in areas.T if np.isfinite(fold).any()]
        if not folds:
            return [], 0
        score = {METRIC: AUROC_BY_TILE, VALUE: np.mean(folds), CHANCE: 0.5, LOW: min(folds), HIGH: max(folds)}
        return [score], sum(unfinished for _, unfinished in judged)

    def _mixing(self, target: Classes, matrix: Matrix) -> Found:
        """Medians over the problems."""
        generator = np.random.default_rng(self.seed)
        tiles = np.arange(len(matrix)) if self.tiles is None else self.tiles
        judged = [
            mixing(matrix[rows], labels, tiles[rows], neighbours=self.neighbours, generator=generator)
            for rows, labels in target.problems
        ]
        value, chance = (np.median([part.mean() for part in parts]) for parts in list(zip(*judged, strict=True))[:2])
        spreads = [spread for found in judged if np.isfinite(spread := found.spread(generator)).all()]
        low, high = np.percentile(np.median(spreads, axis=0), [2.5, 97.5]) if spreads else (np.nan, np.nan)
        return {METRIC: KNN_SAME, VALUE: value, CHANCE: chance, LOW: max(value + low, 0), HIGH: min(value + high, 1)}

    def _numbers(self, target: Numbers, matrix: Matrix) -> Iterator[Found]:
        features, values = matrix[target.rows], with_shuffles(target.values, self.seed)
        cells = train_test_split(np.arange(len(values)), test_size=TEST_SHARE, random_state=self.seed)
        tiles = [] if self.tiles is None else tile_folds(self.tiles[target.rows], seed=self.seed)
        ways = ([tuple(cells)], (R2, SPEARMAN)), (tiles, (R2_BY_TILE, SPEARMAN_BY_TILE))
        for splits, metrics in ways:
            if splits:
                truth, guessed = predicted_numbers(features, values, splits)
                for metric, of_each in zip(metrics, (explained, spearman), strict=True):
                    value, *chance = of_each(truth, guessed)
                    found = {METRIC: metric, VALUE: value, CHANCE: np.mean(chance)}
                    yield found | {"n_classes": 0, "n_batches": 1}


def _score(features: Matrix, labels: Labels, macro: bool, seed: int) -> tuple[float, float, float, bool]:
    """F1, its chance level, AUROC of one probe on held-out cells, and whether it converged."""
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=seed)
    answers = linear_probe(features[train], labels[train], features[test])
    truth, predicted = labels[test], answers.predicted
    chance = f1_by_chance(truth, predicted, macro=macro, seed=seed)
    return f1_score(truth, predicted, macro=macro), chance, auroc(truth, answers.probability), answers.converged


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    """Everything but neighbours of targets other than the batch, and the correlations of numbers."""
    minor = table[METRIC].isin([SPEARMAN, SPEARMAN_BY_TILE]) | (
        (table[METRIC] == KNN_SAME) & (table["target"] != BATCH)
    )
    rows = table[~minor].copy()
    rows[METRIC] = rows["target"] + " " + rows[METRIC]
    return rows[list(COLUMNS)].reset_index(drop=True)
