"""A benchmark: is the guide most like a guide one of its sisters, a guide against the same gene?

    sister found = share of guides whose most similar other guide, by cosine of profiles, is of the same gene

Chance is exact: a guide picked at random is a sister as often as sisters are among the other guides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure

from contrascope.benchmarks.complexes import cosine_similarity
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.benchmarks.selection import need_column
from contrascope.errors import BenchmarkError
from contrascope.figures.style import COLUMN, INK, colours, page, styled
from contrascope.profiles.aggregate import flags, rows_by_name
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import CONTROL, PERTURBATION

FOUND = "sister found"


def sisters(guides: AnnData, *, spaces: Sequence[str] | None = None) -> Result:
    """How often the guide nearest to a guide is against the same gene.

    Args:
        guides: Guide profiles; control guides are not judged. The name of this argument says what is to be given.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.

    Returns:
        Table: space, metric, value, chance, n (guides).

    Raises:
        BenchmarkError: No gene has two guides.
    """
    rows, genes = _with_sisters(guides.obs)
    same = genes[:, None] == genes
    chance = float((same.sum(axis=1) - 1).mean() / (len(genes) - 1))
    found = []
    for space in chosen_spaces(guides, spaces):
        similarity = cosine_similarity(embedding(guides, space)[rows])
        np.fill_diagonal(similarity, -np.inf)
        nearest = similarity.argmax(axis=1)
        value = float((genes[nearest] == genes).mean())
        found.append({SPACE: space, METRIC: FOUND, VALUE: value, CHANCE: chance, N: len(genes)})
    table = tidy(found)
    return Result("sisters", table, table[list(COLUMNS)])


def _with_sisters(obs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the guides whose gene has another, and their genes; by name, so that order does not matter."""
    for column in (PERTURBATION, CONTROL):
        need_column(obs, column, what="sisters")
    rows = rows_by_name(obs.index)
    rows = rows[~flags(obs[CONTROL])[rows]]
    genes = obs[PERTURBATION].astype(str).to_numpy()[rows]
    names, counts = np.unique(genes, return_counts=True)
    several = np.isin(genes, names[counts > 1])
    if several.sum() < 3:
        raise BenchmarkError("No gene has two guides. Profiles of guides were needed: profile(cells, by='guide').")
    return rows[several], genes[several]


@styled
def sister_bars(table: pd.DataFrame) -> Figure:
    """A bar a space, chance a black line."""
    figure = page(COLUMN, 2.0)
    axes = figure.subplots()
    axes.bar(table[SPACE], table[VALUE], color=list(colours(list(table[SPACE])).values()))
    axes.axhline(table[CHANCE].iloc[0], color=INK)
    axes.set(ylim=(0, 1), ylabel=FOUND)
    return figure
