"""Embeddings of the same cells from several models, side by side in one table, to be judged on the very same rows.

Spaces of the first keep their names; those of another, NAME, become ``NAME background``, ``NAME salient`` and
``NAME combined``, or ``NAME`` alone where it has but one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.aggregate import dense, spaces_of
from contrascope.profiles.spaces import chosen_spaces, embedding


def beside(first: AnnData, others: Mapping[str, AnnData]) -> tuple[AnnData, tuple[str, ...]]:
    """The rows that all have, with the embeddings of each.

    Args:
        first: Cells or profiles, whose ``obs`` is kept.
        others: Name -> cells or profiles of the same row names; their ``obs`` is not looked at.

    Returns:
        Rows in the order of ``first``; and a sentence for each of the others on which rows were matched.

    Raises:
        BenchmarkError: No row is common to all, rows of one name, or a space of one name.
    """
    names, notes = first.obs_names, []
    for name, other in others.items():
        _refuse_doubles(name, other)
        notes.append(_account(name, first, other))
        names = names[names.isin(other.obs_names)]
    _refuse_doubles("the first table", first)
    if not len(names):
        raise BenchmarkError(
            f"No row is common to all {1 + len(others)} tables: the first has {first_few(first.obs_names, 3)}, "
            f"{'; '.join(f'{name} has {first_few(other.obs_names, 3)}' for name, other in others.items())}. "
            "Give embeddings of the same cells, by the same names."
        )
    result = first[names].copy()
    for name, other in others.items():
        for space, values in _spaces(name, other[names]).items():
            if space in result.obsm:
                raise BenchmarkError(f"Two embeddings would be called '{space}'. Give '{name}' another name.")
            result.obsm[space] = values
    return result, tuple(notes)


def _spaces(name: str, data: AnnData) -> dict[str, np.ndarray | pd.DataFrame]:
    """Spaces under their names beside others; a table of features keeps the names of its features."""
    spaces = spaces_of(chosen_spaces(data, None))
    if len(spaces) == 1:
        only = data.obsm[spaces[0]]
        return {name: only if isinstance(only, pd.DataFrame) else dense(only)}
    return {f"{name} {space}": embedding(data, space) for space in spaces}


def _account(name: str, first: AnnData, other: AnnData) -> str:
    matched = int(first.obs_names.isin(other.obs_names).sum())
    return (
        f"{name}: {matched:,} of {first.n_obs:,} rows are matched by its {other.n_obs:,}; "
        f"{first.n_obs - matched:,} of the first and {other.n_obs - matched:,} of its own are left out."
    )


def _refuse_doubles(name: str, data: AnnData) -> None:
    if not data.obs_names.is_unique:
        twice = data.obs_names[data.obs_names.duplicated()].unique()
        raise BenchmarkError(
            f"Rows of {name} cannot be told apart: {len(twice):,} names occur more than once, such as "
            f"{first_few(twice, 3)}. Give each row a name of its own (obs_names)."
        )
