"""Stages of the cell cycle: can a control's stage be read from its embedding?

A logistic regression on standardised features, classes weighted to balance, learns on 60 % of the control cells and
is judged on the other 40 % (stratified). Controls alone are asked: what they do anyway should be in the background,
and in a perturbed cell the stage may look otherwise. Unlike an artefact a stage is to be kept: high is good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from contrascope.benchmarks.confusion import PREDICTED, TRUTH, confusion_rows
from contrascope.benchmarks.held_out import trained_on_note
from contrascope.benchmarks.probe import MAX_STEPS, Labels, Matrix, auroc, f1_by_chance, f1_score, linear_probe
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.benchmarks.selection import need_column, texts
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import flags, rows_by_name
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import CONTROL, STAGE

TEST_SHARE = 0.4
MIN_CELLS = 20
"""Cells a stage needs: with fewer, 40 % of them say nothing."""
MOST_STAGES = 50
F1, MEAN_F1, AUROC = "F1", "mean F1", "AUROC"
EXTRA = (TRUTH, PREDICTED)
Rows = NDArray[np.intp]


def stages(
    cells: AnnData,
    *,
    spaces: Sequence[str] | None = None,
    column: str = STAGE,
    seed: int = 0,
    max_cells: int = 20_000,
) -> Result:
    """How well the stage of control cells can be read from each embedding.

    Args:
        cells: N cells with ``obs`` columns control (bool) and the stage.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        column: Of ``obs``, with a few values; cells without one are left out.
        seed: Of the choice of cells, the split and the permutations.
        max_cells: At most so many controls, chosen at random.

    Returns:
        Table: space, metric, truth, predicted, value, chance, n. Metrics on held-out controls: F1 of each stage
        (``truth``), mean F1, AUROC (of more than two stages the mean of one against the rest), and confusion, the share
        of a stage's cells said to be of each. Chance is 0.5 for AUROC; for F1 the mean over permutations of the
        answers against the cells; for confusion the share of all answers. n counts held-out cells, of the stage where
        there is one.

    Raises:
        BenchmarkError: No such column, no controls, or fewer than two stages with enough controls.
    """
    rows, labels, names, notes = _staged_controls(cells.obs, column, max_cells, seed)
    train, test = train_test_split(np.arange(len(rows)), test_size=TEST_SHARE, stratify=labels, random_state=seed)
    notes += trained_on_note(cells, rows)
    table: list[dict[str, Any]] = []
    for space in chosen_spaces(cells, spaces):
        matrix = embedding(cells, space)[rows]
        answers = linear_probe(matrix[train], labels[train], matrix[test])
        table += [{SPACE: space} | row for row in _scores(labels[test], answers.probability, names, seed)]
        if not answers.converged:
            notes.append(f"The probe in {space} stopped at {MAX_STEPS} steps.")
    frame = tidy(table, extra=EXTRA)
    return Result("stages", frame, _headline(frame), tuple(notes))


def _staged_controls(
    obs: pd.DataFrame, column: str, max_cells: int, seed: int
) -> tuple[Rows, Labels, list[str], list[str]]:
    """Controls of the stages that have enough of them: rows, stages 0 ... K - 1, their names, and notes."""
    need_column(obs, column, CONTROL, what="stages")
    by_name = rows_by_name(obs.index)
    controls = by_name[(flags(obs[CONTROL]) & obs[column].notna().to_numpy())[by_name]]
    rows = np.random.default_rng(seed).permutation(controls)[:max_cells]
    names, codes, counts = np.unique(texts(obs[column].iloc[rows]), return_inverse=True, return_counts=True)
    large = counts >= MIN_CELLS
    if not 2 <= large.sum() <= MOST_STAGES:
        found = ", ".join(f"{name} {count:,}" for name, count in list(zip(names, counts, strict=True))[:12]) or "none"
        raise BenchmarkError(
            f"obs['{column}'] has {int(large.sum())} value(s) with {MIN_CELLS} controls or more; two to {MOST_STAGES} "
            f"stages were needed. The {len(rows):,} controls with a value: {found}."
        )
    keep = large[codes]
    kept, labels = np.unique(codes[keep], return_inverse=True)
    notes = [
        f"Judged {int(keep.sum()):,} controls, {TEST_SHARE:.0%} of them held out, in {len(kept)} values of {column}."
    ]
    if not large.all():
        notes.append(f"Left out, with fewer than {MIN_CELLS} controls: {first_few(names[~large])}.")
    return rows[keep], labels, [str(names[k]) for k in kept], notes


def _scores(truth: Labels, probability: Matrix, names: list[str], seed: int) -> Iterator[dict[str, Any]]:
    predicted = probability.argmax(axis=1)
    chance = f1_by_chance(truth, predicted, macro=True, seed=seed)
    yield {METRIC: MEAN_F1, VALUE: f1_score(truth, predicted, macro=True), CHANCE: chance, N: len(truth)}
    yield {METRIC: AUROC, VALUE: auroc(truth, probability), CHANCE: 0.5, N: len(truth)}
    for k, name in enumerate(names):
        is_k, said_k = (truth == k).astype(np.intp), (predicted == k).astype(np.intp)
        value, chance = f1_score(is_k, said_k, macro=False), f1_by_chance(is_k, said_k, macro=False, seed=seed)
        yield {METRIC: F1, TRUTH: name, VALUE: value, CHANCE: chance, N: int(is_k.sum())}
    yield from confusion_rows(truth, predicted, names)


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    """AUROC, mean F1, and the F1 of the two stages where there are just two."""
    by_stage = table[METRIC] == F1
    few = table.loc[by_stage, TRUTH].nunique() == 2
    rows = table[table[METRIC].isin([MEAN_F1, AUROC]) | (by_stage & few)].copy()
    names = [f" of {name}" if isinstance(name, str) else "" for name in rows[TRUTH]]
    rows[METRIC] = [metric + name for metric, name in zip(rows[METRIC], names, strict=True)]
    return rows[list(COLUMNS)].reset_index(drop=True)
