"""The table of hits: its columns, its order, and what is read from it first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, tidy
from contrascope.benchmarks.significance import hits_by_chance, least_guide_p, q_values, reached_p

METRICS = {"energy": "energy distance", "hotelling": "Hotelling's T2", "auc": "probe AUC"}
EXTRA = (
    "rank",
    "perturbation",
    "n_guides",
    "n_controls",
    "effect",
    "null_p95",
    "p_cells",
    "q_cells",
    "mahalanobis",
    "mahalanobis_chance",
    "guide_mean",
    "guide_chance",
    "n_control_guides",
    "p_guides",
    "q_guides",
    "map",
    "map_chance",
    "n_replicates",
    "p_map",
    "q_map",
    "map_reach",
    "held_out",
    "n_held_out",
    "p_held_out",
    "q_held_out",
)
"""Beside the columns of every table.

rank by effect, from 1, control guides have none; effect in standard deviations of the permutations, null_p95 their
95th percentile in the units of value; p_cells, p_guides, p_map as in ``hits.py`` and their q; mahalanobis beside what
permutations give; guide_mean the mean of the statistic over single guides, guide_chance that of n_control_guides
control guides of as many cells; map beside that of random rankings, among n_replicates of the perturbation;
map_reach the share of random rankings at p_map <= .05, less where these are few and tie; held_out the share of the
effect that n_held_out cells show which the model was not trained on (``held_out.py``).
"""
KINDS = {"cells": "cells permuted", "guides": "guides permuted", "map": "retrieval", "held_out": "held-out cells"}


def ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of one space in order of effect: perturbations first, with their rank, then control guides."""
    perturbed = is_perturbation(rows)
    order = np.lexsort([rows["perturbation"], -rows["effect"], ~perturbed])
    rows = rows.iloc[order].reset_index(drop=True)
    count = int(perturbed.sum())
    return rows.assign(rank=[*range(1, count + 1), *[np.nan] * (len(rows) - count)])


def in_columns(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The spaces' rows as one tidy table; columns that nothing was found for are empty."""
    rows = [{str(key): value for key, value in row.items()} for each in tables for row in each.to_dict("records")]
    return tidy(rows, extra=EXTRA)


def is_perturbation(table: pd.DataFrame) -> pd.Series:
    """Which rows are of perturbations; the others are of control guides."""
    return table[METRIC].isin(METRICS.values())


def with_q_values(table: pd.DataFrame) -> pd.DataFrame:
    """The table with q-values over the perturbations of each space."""
    table, perturbed = table.copy(), is_perturbation(table)
    for kind in KINDS:
        table[f"q_{kind}"] = np.nan
        for space in table[SPACE].unique():
            inside = perturbed & (table[SPACE] == space)
            table.loc[inside, f"q_{kind}"] = q_values(table.loc[inside, f"p_{kind}"].to_numpy(dtype=float))
    return table


def headline(table: pd.DataFrame, *, level: float, permutations: int) -> pd.DataFrame:
    """Shares with p and q up to the level, of perturbations and of control guides, beside what chance gives.

    P-values come in steps, so chance is the largest p that the level allows: 0 where the least is above it.
    """
    step = 1 / (permutations + 1)

    def by_guides(known: pd.DataFrame) -> float:
        sizes = zip(known["n_guides"].astype(int), known["n_control_guides"].astype(int), strict=True)
        return float(np.mean([reached_p(least_guide_p(k, n, permutations), level) for k, n in sizes]))

    reached = {
        "cells": lambda _: reached_p(step, level),
        "guides": by_guides,
        "map": lambda known: float(known["map_reach"].mean()),
        "held_out": lambda _: reached_p(step, level),
    }
    rows: list[dict[str, Any]] = []
    for space in table[SPACE].unique():
        here = table[table[SPACE] == space]
        perturbed = here[is_perturbation(here)]
        for kind, words in KINDS.items():
            known = perturbed[perturbed[f"p_{kind}"].notna()]
            if known.empty:
                continue
            rows += [
                _share(known, f"p_{kind}", f"share with p <= {level:g}, {words}", level, reached[kind](known)),
                _share(known, f"q_{kind}", f"share with q <= {level:g}, {words}", level, hits_by_chance(len(known))),
            ]
        guides = here[~is_perturbation(here)]
        if len(guides):
            words = f"control guides with p <= {level:g}, cells permuted"
            rows.append(_share(guides, "p_cells", words, level, reached["cells"](guides)))
        rows = [{SPACE: space} | row for row in rows]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _share(rows: pd.DataFrame, column: str, metric: str, level: float, chance: float) -> dict[str, Any]:
    return {METRIC: metric, VALUE: float((rows[column] <= level).mean()), CHANCE: chance, N: len(rows)}
