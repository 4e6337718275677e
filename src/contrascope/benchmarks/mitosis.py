"""Mitotic genes: does the relative background norm tell them, and better than counting mitotic cells?

    relative background norm = |z|^2 / (|z|^2 + |s|^2)

with z and s a gene's profiles seen from the controls, each norm scaled to mean 1 over genes: the complement of the
salient share (``profiles/effects.py``). A gene that holds cells in mitosis moves them to where controls are as well, so
its effect is in the background (the authors' longer manuscript). Three scores stand beside each other, each judged
by the ROC curve of telling the known mitotic genes, which should score high, from all other genes:

- relative background norm, of background and salient space together (``combined``);
- effect size, the norm of the profile, in every space;
- mitotic index, the share of a gene's cells in the mitotic stage: no embedding is needed, so it is the baseline.

Intervals are 95 % of resamples of the genes, the mitotic and the others each by themselves. Equal genes are drawn for
all scores, so that the gain over the mitotic index has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_curve

from contrascope.benchmarks.gene_groups import Genes, gene_list_from
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.benchmarks.selection import need_column, texts
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import averaged, flags
from contrascope.profiles.effects import salient_share
from contrascope.profiles.normalize import centred
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import BACKGROUND, COMBINED, CONTROL, PERTURBATION, SALIENT, STAGE

RELATIVE_NORM, EFFECT_SIZE, MITOTIC_INDEX = "relative background norm", "effect size", "mitotic index"
AUROC, GAIN, TRUE_POSITIVES = "AUROC", "AUROC above mitotic index", "true positive rate"
RESAMPLES, AT_ONCE = 1000, 100
EXTRA = ("score", "false_positive_rate", "low", "high", "n_mitotic")
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Score = tuple[str, str, Values]
"""Space, name of the score, and the score of each gene (G,)."""


def mitosis(
    cells: AnnData,
    *,
    genes: Genes,
    sets: str | Sequence[str] = (),
    spaces: Sequence[str] | None = None,
    column: str = STAGE,
    mitotic: str | Sequence[str] = "mitotic",
    seed: int = 0,
) -> Result:
    """How well the share of the background in an effect tells mitotic genes, beside the mitotic index.

    Args:
        cells: N cells as for ``profile``, and the stage as a column of ``obs`` where it is known.
        genes: Known mitotic genes: names, a text file with a gene a line, or a GMT file.
        sets: Of the GMT file, the sets that count; by default all.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        column: Of ``obs``, the stage.
        mitotic: The value of it that is mitosis, or several.
        seed: Of the resampled genes.

    Returns:
        Table: space, metric, score, false_positive_rate, low, high, n_mitotic, value, chance, n (genes). Metrics: AUROC
        with its interval; AUROC above mitotic index, likewise; true positive rate at each false positive rate, which is
        its chance. The index stands as a space of its own. Genes none of whose cells has a stage are left out.

    Raises:
        BenchmarkError: No known mitotic gene in the screen, or no other; no such column or value; as of ``profile``.
    """
    chosen = chosen_spaces(cells, spaces)
    guides = averaged(cells, by="guide")
    profiles = centred(averaged(guides))
    profiles = profiles[~flags(profiles.obs[CONTROL])].copy()
    scores: list[Score] = []
    index, notes = _mitotic_index(cells.obs, column, mitotic)
    if index is not None:
        profiles, values, notes = _with_index(profiles, index)
        scores.append((MITOTIC_INDEX, MITOTIC_INDEX, values))
    names = profiles.obs_names.to_numpy(dtype=object)
    known, note = _known(gene_list_from(genes, sets=sets), names)
    if COMBINED in chosen and {BACKGROUND, SALIENT} <= set(guides.obsm):
        share = salient_share(guides)["salient share"].loc[names]
        scores.append((COMBINED, RELATIVE_NORM, 1 - share.to_numpy(dtype=float)))
    else:
        notes.append(f"The {RELATIVE_NORM} was left out: it takes background and salient space, as {COMBINED}.")
    scores += [(space, EFFECT_SIZE, np.linalg.norm(embedding(profiles, space), axis=1)) for space in chosen]
    table = tidy(list(_judged(scores, known, seed)), extra=EXTRA)
    return Result("mitosis", table, _headline(table), (note, *notes))


def resampled_auroc(score: Values, known: Flags, *, seed: int) -> Values:
    """(resamples,) AUROC with both kinds of genes drawn with replacement; equal seeds draw equal genes.

    Args:
        score: (G,) of each gene, high for mitotic ones.
        known: (G,) which genes are mitotic.
    """
    generator = np.random.default_rng(seed)
    inside, outside = score[known][:, None], score[~known]
    # Each pair is compared once, and counts as often as its two genes were drawn.
    above = (inside > outside) + 0.5 * (inside == outside)
    areas = []
    for _ in range(RESAMPLES // AT_ONCE):
        times_in, times_out = (generator.multinomial(n, np.full(n, 1 / n), size=AT_ONCE) for n in above.shape)
        areas.append(((times_in @ above) * times_out).sum(axis=1) / above.size)
    return np.concatenate(areas)


def area(inside: Values, outside: Values) -> float:
    """AUROC: how often a value of the one kind is above one of the other, ties counting half."""
    ranks = rankdata(np.concatenate([inside, outside]))[: len(inside)]
    return float((ranks.mean() - (len(inside) + 1) / 2) / len(outside))


def _mitotic_index(obs: pd.DataFrame, column: str, mitotic: str | Sequence[str]) -> tuple[pd.Series | None, list[str]]:
    """Share of each perturbation's staged cells that are mitotic; None, and why, where there are no stages."""
    if column == STAGE and column not in obs:
        return None, [f"The {MITOTIC_INDEX} was left out: the cells have no obs['{column}']. Name another column."]
    need_column(obs, column, what="mitosis")
    wanted = {str(value) for value in ([mitotic] if isinstance(mitotic, (str, bool, int)) else mitotic)}
    staged = obs[obs[column].notna()]
    stage = texts(staged[column])
    if unknown := sorted(wanted - set(stage)):
        raise BenchmarkError(
            f"No cell has {first_few(unknown)} in obs['{column}'], which was to be mitosis. "
            f"Choose among: {first_few(sorted(set(stage)), 12)}."
        )
    flags = pd.Series(np.isin(stage, list(wanted)), index=staged.index, dtype=float)
    return flags.groupby(staged[PERTURBATION].astype(str).to_numpy()).mean(), []


def _with_index(profiles: AnnData, index: pd.Series) -> tuple[AnnData, Values, list[str]]:
    """The profiles of genes with staged cells, and their mitotic index."""
    values = index.reindex(profiles.obs_names).to_numpy(dtype=float)
    missing, notes = np.isnan(values), []
    if missing.any():
        left_out = first_few(profiles.obs_names[missing])
        notes.append(f"{int(missing.sum()):,} gene(s) without a cell of known stage were left out: {left_out}.")
    return profiles[~missing].copy(), values[~missing], notes


def _known(genes: frozenset[str], names: NDArray[Any]) -> tuple[Flags, str]:
    """Which genes of the screen are known to be mitotic, and how many of them it has, as a sentence."""
    known = np.isin(names, list(genes))
    if not 0 < known.sum() < len(names):
        raise BenchmarkError(
            f"{int(known.sum()):,} of the screen's {len(names):,} genes are known to be mitotic; some were needed, and "
            f"others beside them. The list has {first_few(sorted(genes), 3)}; the screen has {first_few(names, 3)}. "
            "Bring both to the same kind of gene name, in the same case."
        )
    return known, (
        f"{int(known.sum()):,} of {len(genes):,} known mitotic genes are in the screen; they are judged against "
        f"{int((~known).sum()):,} other genes."
    )


def _judged(scores: Sequence[Score], known: Flags, seed: int) -> Iterator[dict[str, Any]]:
    counts = {N: len(known), "n_mitotic": int(known.sum())}
    baseline: tuple[float, Values] | None = None
    for space, name, values in scores:
        values = np.round(values, 12)  # so that ties stay ties however the axes lie
        score = {SPACE: space, "score": name} | counts
        value, draws = area(values[known], values[~known]), resampled_auroc(values, known, seed=seed)
        yield score | {METRIC: AUROC, VALUE: value, CHANCE: 0.5} | _interval(draws)
        if name == MITOTIC_INDEX:
            baseline = value, draws
        elif baseline:
            gain = {METRIC: GAIN, VALUE: value - baseline[0], CHANCE: 0.0}
            yield score | gain | _interval(draws - baseline[1])
        yield from (score | point for point in _curve(values, known))


def _curve(values: Values, known: Flags) -> Iterator[dict[str, Any]]:
    false, true, _ = roc_curve(known, values)
    for fpr, tpr in zip(false, true, strict=True):
        yield {METRIC: TRUE_POSITIVES, "false_positive_rate": fpr, VALUE: tpr, CHANCE: fpr}


def _interval(draws: Values) -> dict[str, float]:
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"low": float(low), "high": float(high)}


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    rows = table[table[METRIC].isin([AUROC, GAIN])].copy()
    named = [
        f"{metric}, {score}" if metric == GAIN else f"{metric} of {score}"
        for metric, score in zip(rows[METRIC], rows["score"], strict=True)
    ]
    rows[METRIC] = named
    return rows[list(COLUMNS)].reset_index(drop=True)
