"""Technical artefacts: can it be read from a cell's embedding how the cell was imaged?

A logistic regression on standardised features, classes weighted to balance, learns on 60 % of the cells and
is judged on the other 40 % (stratified), after Multi-ContrastiveVAE, Figure 3B. The targets:

- batch: plate + well, over all cells;
- field: innermost against outermost cells of the field of view, within each batch, median over batches;
- well: cells of tiles at the well's edge against as many central tiles, likewise;
- any column that the user names, its values the classes, over all cells. A cell's stage is no artefact, but can be
  asked for alike.

Scores near chance are good: nothing technical is left to read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from contrascope.benchmarks.probe import MAX_STEPS, Labels, Matrix, auroc, f1_by_chance, f1_score, linear_probe
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import BATCH, CONTROL, FIELD_DISTANCE, TILE_COLUMN, TILE_ROW

INNERMOST, OUTERMOST = 0.304, 0.811
"""450 and 1,200 px from the centre of the authors' 2,960 px tiles, as shares of the half-width."""
TEST_SHARE = 0.4
MIN_CELLS = 20
"""Cells a class needs: with fewer, 40 % of them say nothing."""
MOST_CLASSES = 1000
"""Of a column: with more of them, a probe would take hours to learn little."""
F1, AUROC = "F1", "AUROC"
EXTRA = ("target", "n_classes", "n_batches")
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Probe:
    """A target as classification problems: one over all cells, or one for each batch.

    Attributes:
        target: batch, field, well, or the name of a column.
        problems: Rows of the cells and their classes, 0 ... K - 1.
        macro: F1 is the mean over classes; else that of class 1 (border cells, edge tiles).
    """

    target: str
    problems: list[tuple[Rows, Labels]]
    macro: bool


class _NotComputable(Exception):  # noqa: N818
    """Why a target cannot be judged on these cells."""


def artifacts(
    cells: AnnData,
    *,
    spaces: Sequence[str] | None = None,
    among: Literal["all", "controls"] = "all",
    columns: str | Sequence[str] = (),
    seed: int = 0,
    max_cells: int = 20_000,
) -> Result:
    """How well batch and position can be read from each embedding.

    Args:
        cells: N cells; ``obs`` columns batch, field_distance, tile_row, tile_column as far as there are any.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        among: All cells, or controls only, where no perturbation can differ between batches.
        columns: Further targets: a column of ``obs`` with a few values, or several.
        seed: Of the choice of cells, the split and the permutations.
        max_cells: At most so many cells a target, chosen at random.

    Returns:
        Table: space, metric (F1, AUROC), target, n_classes, n_batches, value, chance, n (cells). Chance is
        0.5 for AUROC; for F1 the mean over permutations of the predictions against the labels. Notes say what
        could not be judged and why.

    Raises:
        BenchmarkError: None of the targets can be judged, or there is no such column.
    """
    generator = np.random.default_rng(seed)
    rows = generator.permutation(_rows(cells, among))
    named = [columns] if isinstance(columns, str) else columns
    probes, notes = _probes(cells.obs, rows, max_cells, named)
    table: list[dict[str, Any]] = []
    for space in chosen_spaces(cells, spaces):
        matrix = embedding(cells, space)
        for probe in probes:
            scores, unfinished = _judge(probe, matrix, seed)
            table += [{SPACE: space, "target": probe.target} | score for score in scores]
            if unfinished:
                notes.append(f"{unfinished} probe(s) of {probe.target} in {space} stopped at {MAX_STEPS} steps.")
    frame = tidy(table, extra=EXTRA)
    return Result("artifacts", frame, _headline(frame), tuple(notes))


def batch_probe(obs: pd.DataFrame, rows: Rows, *, max_cells: int) -> Probe:
    """Which of all batches is a cell from? Batches with too few cells are left out."""
    return column_probe(obs, rows, max_cells=max_cells, column=BATCH)


def column_probe(obs: pd.DataFrame, rows: Rows, *, max_cells: int, column: str) -> Probe:
    """Which of the values of a column does a cell have? Values of too few cells are left out."""
    _need(obs, column)
    rows = rows[:max_cells]
    codes, _ = pd.factorize(obs[column].to_numpy()[rows])
    large = np.bincount(codes[codes >= 0], minlength=1) >= MIN_CELLS
    keep = (codes >= 0) & np.append(large, False)[codes]
    if not 2 <= large.sum() <= MOST_CLASSES:
        raise _NotComputable(
            f"{int(large.sum())} value(s) with {MIN_CELLS} cells or more, two to {MOST_CLASSES} were needed"
        )
    return Probe(column, [(rows[keep], np.unique(codes[keep], return_inverse=True)[1])], macro=True)


def field_probe(obs: pd.DataFrame, rows: Rows, *, max_cells: int) -> Probe:
    """Is a cell from the centre (0) or the border (1) of its field of view?"""
    _need(obs, BATCH, FIELD_DISTANCE)
    distance = obs[FIELD_DISTANCE].to_numpy(dtype=float)
    label = np.where(distance <= INNERMOST, 0, np.where(distance >= OUTERMOST, 1, -1))
    return _within_batches("field", obs, rows, label, max_cells)


def well_probe(obs: pd.DataFrame, rows: Rows, *, max_cells: int) -> Probe:
    """Is a cell from the centre (0) or the edge (1) of its well?"""
    _need(obs, BATCH, TILE_ROW, TILE_COLUMN)
    label = np.full(len(obs), -1)
    place = obs[[TILE_ROW, TILE_COLUMN]].to_numpy(dtype=float)
    for inside in obs.groupby(BATCH, observed=True).indices.values():
        placed = inside[np.isfinite(place[inside]).all(axis=1)]
        tiles, tile_of = np.unique(place[placed], axis=0, return_inverse=True)
        label[placed] = edge_or_central(tiles)[tile_of.ravel()]
    return _within_batches("well", obs, rows, label, max_cells)


def edge_or_central(tiles: NDArray[np.float64]) -> NDArray[np.intp]:
    """1 for tiles at the edge of a well, 0 for as many central ones (fewer if there are no more), -1 between.

    A tile is at the edge when it is the first or last of its row or of its column, which holds for square and
    for round wells.

    Args:
        tiles: (T, 2), row and column of each tile of one well.
    """
    edge = np.zeros(len(tiles), dtype=bool)
    for along, across in ((0, 1), (1, 0)):
        for line in np.unique(tiles[:, along]):
            on_line = np.flatnonzero(tiles[:, along] == line)
            edge[on_line[[tiles[on_line, across].argmin(), tiles[on_line, across].argmax()]]] = True
    label = np.where(edge, 1, -1)
    middle = (tiles.min(axis=0) + tiles.max(axis=0)) / 2 if len(tiles) else 0.0
    order = np.argsort(np.linalg.norm(tiles - middle, axis=1), kind="stable")
    label[order[~edge[order]][: edge.sum()]] = 0
    return label


TARGETS: tuple[tuple[str, Callable[..., Probe]], ...] = (
    ("batch", batch_probe),
    ("field", field_probe),
    ("well", well_probe),
)


def _rows(cells: AnnData, among: str) -> Rows:
    if among not in ("all", "controls"):
        raise BenchmarkError(f"among is '{among}'. Choose one of: all, controls.")
    if among == "all":
        return np.arange(cells.n_obs)
    if CONTROL not in cells.obs:
        raise BenchmarkError(f"among='controls' needs obs['{CONTROL}']; obs has {first_few(cells.obs.columns, 8)}.")
    return np.flatnonzero(cells.obs[CONTROL].to_numpy(dtype=bool))


def _probes(obs: pd.DataFrame, rows: Rows, max_cells: int, columns: Sequence[str]) -> tuple[list[Probe], list[str]]:
    """The targets that can be judged, and a sentence for each that cannot."""
    if unknown := [name for name in columns if name not in obs]:
        raise BenchmarkError(
            f"artifacts was asked for {first_few(unknown)}. The cells have {first_few(obs.columns, 12)}."
        )
    probes, notes = [], []
    targets = list(TARGETS) + [(name, partial(column_probe, column=name)) for name in columns]
    for target, make in targets:
        try:
            probes.append(make(obs, rows, max_cells=max_cells))
        except _NotComputable as reason:
            notes.append(f"{target} was left out: {reason}.")
    if not probes:
        raise BenchmarkError(f"No artefact can be judged on these {len(rows):,} cells. {' '.join(notes)}")
    return probes, notes


def _need(obs: pd.DataFrame, *columns: str) -> None:
    missing = [name for name in columns if name not in obs or obs[name].isna().all()]
    if missing:
        raise _NotComputable(f"the cells have no {', '.join(missing)}")


def _within_batches(target: str, obs: pd.DataFrame, rows: Rows, label: Labels, max_cells: int) -> Probe:
    """A problem for each batch that has enough cells of both classes; -1 is neither."""
    rows = rows[label[rows] >= 0][:max_cells]
    codes, batches = pd.factorize(obs[BATCH].to_numpy()[rows])
    of_batch = [rows[codes == batch] for batch in range(len(batches))]
    problems = [(r, label[r]) for r in of_batch if np.bincount(label[r], minlength=2).min() >= MIN_CELLS]
    if not problems:
        raise _NotComputable(f"no batch has {MIN_CELLS} cells on both sides")
    return Probe(target, problems, macro=False)


def _judge(probe: Probe, matrix: Matrix, seed: int) -> tuple[list[dict[str, Any]], int]:
    """F1 and AUROC with their chance, medians over the problems; and how many probes did not converge."""
    judged = [_score(matrix[rows], labels, probe.macro, seed) for rows, labels in probe.problems]
    f1, chance, area, finished = np.array(judged, dtype=float).T
    shared = {
        "n_classes": int(max(labels.max() for _, labels in probe.problems)) + 1,
        "n_batches": len(probe.problems),
        N: sum(len(rows) for rows, _ in probe.problems),
    }
    if probe.target == BATCH:
        shared["n_batches"] = shared["n_classes"]
    scores = [
        {METRIC: F1, VALUE: np.median(f1), CHANCE: np.median(chance)} | shared,
        {METRIC: AUROC, VALUE: np.median(area), CHANCE: 0.5} | shared,
    ]
    return scores, int((finished == 0).sum())


def _score(features: Matrix, labels: Labels, macro: bool, seed: int) -> tuple[float, float, float, bool]:
    """F1, its chance level, AUROC of one probe on held-out cells, and whether it converged."""
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=seed)
    answers = linear_probe(features[train], labels[train], features[test])
    truth, predicted = labels[test], answers.predicted
    chance = f1_by_chance(truth, predicted, macro=macro, seed=seed)
    return f1_score(truth, predicted, macro=macro), chance, auroc(truth, answers.probability), answers.converged


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.copy()
    rows[METRIC] = rows["target"] + " " + rows[METRIC]
    return rows[list(COLUMNS)]
