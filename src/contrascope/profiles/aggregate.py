"""From cells to guides to perturbations, by plain means.

A guide is the mean of its cells; a perturbation the mean of its guides, so that a guide with many cells does
not outvote the others. All controls together are one row of the perturbation profile. Sums are float64 and
are taken in one pass over the cells, a block of rows at a time: 31 million cells need no second copy.

Sums that were taken before (``sums.py``) stand for their cells: a row then counts for ``n_cells`` of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from contrascope.errors import BenchmarkError, first_few
from contrascope.vocabulary import CONTROL, DEVIATIONS, GUIDE, PERTURBATION

By = Literal["perturbation", "guide"]
N_GUIDES, N_CELLS = "n_guides", "n_cells"
ROWS_AT_ONCE = 1 << 16
"""Cells of a block: 32 MiB in float64 at 64 features."""
LARGEST = 1e100
"""No embedding goes this far; squares of its sums over cells are still finite."""
SUMS = "sums of cells by guide and batch"
"""What ``uns["contrascope"]["holds"]`` says of an AnnData whose rows are sums."""
SQUARES = "_squares"
"""How the keys of ``obsm`` end that hold sums of squares."""


def averaged(cells: AnnData, *, by: By = "perturbation") -> AnnData:
    """Mean embedding of each guide or perturbation, neither centred nor scaled.

    Args:
        cells: N cells with ``obs`` columns guide, perturbation and control (bool), embeddings in ``obsm``; or the
            sums of them.
        by: A row for each perturbation, all controls being one row; or a row for each guide.

    Returns:
        Rows in alphabetical order, ``obsm`` as in ``cells`` in the units of the embedding, float64; posterior standard
        deviations are no embedding and have no profile.

    Raises:
        BenchmarkError: A missing column or label, a guide of two perturbations, NaN in an embedding.
    """
    if by not in ("perturbation", "guide"):
        raise BenchmarkError(f"by is '{by}'. Choose one of: perturbation, guide.")
    spaces = spaces_of(cells.obsm)
    if not spaces:
        raise BenchmarkError("The cells carry no embedding: obsm is empty. Embed them first.")
    each = cells_in_each_row(cells)
    codes, guides = _guides(cells.obs, each)
    means = {space: _means(cells.obsm[space], codes, guides[N_CELLS].to_numpy(), space=space) for space in spaces}
    if by == "guide":
        return AnnData(obs=guides, obsm=means)
    rows, perturbations = _perturbations(guides)
    n_guides = perturbations[N_GUIDES].to_numpy()
    pooled = {space: _means(m, rows, n_guides, space=space) for space, m in means.items()}
    return AnnData(obs=perturbations, obsm=pooled)


def spaces_of(obsm: Iterable[str]) -> list[str]:
    """Keys of ``obsm`` that hold embeddings: neither deviations nor squares."""
    return [name for name in obsm if name not in DEVIATIONS.values() and not name.endswith(SQUARES)]


def cells_in_each_row(cells: AnnData) -> NDArray[np.int64]:
    """(rows,) how many cells a row stands for: one, or many where the rows are sums."""
    if not holds_sums(cells):
        return np.ones(cells.n_obs, dtype=np.int64)
    return cells.obs[N_CELLS].to_numpy(dtype=np.int64)


def holds_sums(cells: AnnData) -> bool:
    """Whether the rows are sums of cells."""
    return bool(cells.uns.get("contrascope", {}).get("holds") == SUMS)


def _guides(obs: pd.DataFrame, cells: NDArray[np.int64]) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Each row's guide as a number, (N,), and the table of guides that the numbers count; a row is so many cells."""
    need_labels(obs.columns)
    guide, names = numbered(obs[GUIDE])
    perturbation, labels = numbered(obs[PERTURBATION])
    control = flags(obs[CONTROL])
    of_guide = _one_each(guide, perturbation, names, what="perturbation")
    is_control = _one_each(guide, control, names, what="control flag")
    table = pd.DataFrame(
        {
            GUIDE: names,
            PERTURBATION: labels[of_guide],
            CONTROL: is_control,
            N_GUIDES: 1,
            N_CELLS: np.bincount(guide, weights=cells, minlength=len(names)).astype(int),
        },
        index=names,
    )
    return guide, table


def numbered(column: pd.Series) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """A column of labels as numbers (N,) into its sorted distinct texts."""
    codes, distinct = pd.factorize(column)
    if len(codes) == 0 or (codes < 0).any():
        raise BenchmarkError(
            f"{int((codes < 0).sum()):,} of {len(codes):,} cells have no {column.name}. Each cell needs one: "
            "drop the cells without."
        )
    texts = np.array([str(value) for value in distinct], dtype=object)
    names, position = np.unique(texts, return_inverse=True)
    return position[codes], names


def need_labels(columns: Iterable[str]) -> None:
    """Raise if guide, perturbation or control is not among the columns, naming all that are not."""
    there = list(columns)
    if missing := [name for name in (GUIDE, PERTURBATION, CONTROL) if name not in there]:
        raise BenchmarkError(
            f"The cells lack {', '.join(missing)} in obs; it has {first_few(there, 12)}. Name yours so, in pandas: "
            f"obs['{missing[0]}'] = obs['the column of yours']."
        )


def rows_by_name(index: pd.Index) -> NDArray[np.intp]:
    """Rows in the order of their names, so that what is drawn of them does not depend on the order they stand in."""
    order: NDArray[np.intp] = np.argsort(index.to_numpy(dtype=str), kind="stable")
    return order


def rows_of_each(names: pd.Series, wanted: NDArray[np.bool_]) -> dict[str, NDArray[np.intp]]:
    """Name -> the wanted rows that bear it, in order; names by the alphabet, in one pass however many there are."""
    rows = np.flatnonzero(wanted)
    found, codes = np.unique(names.to_numpy(dtype=object)[rows].astype(str), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    parts = np.split(rows[order], np.cumsum(np.bincount(codes, minlength=len(found)))[:-1])
    return dict(zip(found.tolist(), parts, strict=False))


def flags(column: pd.Series) -> NDArray[np.bool_]:
    """A column of true and false, (N,).

    Raises:
        BenchmarkError: It holds anything else (texts are always true), or nothing for some.
    """
    if not pd.api.types.is_bool_dtype(column) or column.isna().any():
        values = [repr(value) if isinstance(value, str) else str(value) for value in column.unique()]
        raise BenchmarkError(
            f"obs['{column.name}'] holds {column.dtype}, such as {first_few(values, 3)}; true or false was needed for "
            f"each row. Make it so, in pandas: obs['{column.name}'] = obs['perturbation'] == 'your control'."
        )
    return column.to_numpy(dtype=bool)


def _one_each(group: NDArray[np.intp], value: NDArray[Any], names: NDArray[Any], *, what: str) -> NDArray[Any]:
    """The value that all cells of a group share, a group each."""
    first = np.empty(len(names), dtype=value.dtype)
    first[group] = value
    mixed = np.unique(group[first[group] != value])
    if len(mixed):
        raise _of_several(names[mixed], what)
    return first


def need_one_perturbation_each(obs: pd.DataFrame) -> None:
    """Raise if a guide has two perturbations or is control in part, as far as the table says so at all."""
    for what, name in ((PERTURBATION, "perturbation"), (CONTROL, "control flag")):
        if {GUIDE, what} <= set(obs):
            pairs = obs[[GUIDE, what]].drop_duplicates().dropna()
            if (twice := pairs[GUIDE].duplicated()).any():
                raise _of_several(sorted(pairs.loc[twice, GUIDE].astype(str).unique()), name)


def _of_several(guides: Collection[str], what: str) -> BenchmarkError:
    return BenchmarkError(
        f"{len(guides):,} guides have more than one {what}: {first_few(guides)}. A guide belongs to "
        "one perturbation: give such guides names of their own, perturbation and guide joined, say."
    )


def _perturbations(guides: pd.DataFrame) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Each guide's perturbation as a number, controls sharing one, and the table the numbers count."""
    control = flags(guides[CONTROL])
    labels = guides[PERTURBATION].to_numpy(dtype=object).copy()
    both = sorted(set(labels[control]) & set(labels[~control]))
    if both:
        raise BenchmarkError(
            f"{first_few(both)}: control with some guides and not with others. Give the control guides a "
            "perturbation of their own."
        )
    if len(set(labels[control])) > 1:
        if CONTROL in set(labels[~control]):
            raise BenchmarkError(f"A perturbation has the name '{CONTROL}', which all controls together take.")
        labels[control] = CONTROL
    names, codes = np.unique(labels, return_inverse=True)
    table = pd.DataFrame(
        {
            PERTURBATION: names,
            CONTROL: _one_each(codes, control, names, what="control flag"),
            N_GUIDES: np.bincount(codes),
            N_CELLS: np.bincount(codes, weights=guides[N_CELLS].to_numpy()).astype(int),
        },
        index=names,
    )
    return codes, table


def _means(matrix: Any, codes: NDArray[np.intp], counts: NDArray[Any], *, space: str) -> NDArray[np.float64]:
    """Mean row of each group, (groups, F) float64: rows (N, F) are summed by their groups (N,), then divided."""
    refuse_shapeless(matrix, space=space)
    sums = np.zeros((len(counts), matrix.shape[1]))
    for start in range(0, len(codes), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        sums += group_sums(dense(matrix[rows], space=space), codes[rows], len(counts))
    # A sum is finite exactly when its terms are, so the cells are searched only when something is wrong.
    if not (np.abs(sums) <= LARGEST).all():
        refuse_unfinite(dense(matrix, space=space), space=space)
    return sums / counts[:, None]


def group_sums(block: NDArray[np.float64], codes: NDArray[np.intp], n_groups: int) -> NDArray[np.float64]:
    """(groups, F) sums of rows (B, F) by their groups (B,)."""
    membership = sparse.csc_array((np.ones(len(block)), codes, np.arange(len(block) + 1)), shape=(n_groups, len(block)))
    return np.asarray(membership @ block)


def dense(matrix: Any, *, space: str = "") -> NDArray[np.float64]:
    """Any two-dimensional block of ``obsm`` (array, sparse, data frame) as float64; what is missing is NaN.

    Raises:
        BenchmarkError: It holds something else than real numbers.
    """
    if isinstance(matrix, pd.DataFrame):
        return _dense_table(matrix, space=space)
    values = matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
    if values.dtype.kind not in "fiub":
        raise _no_numbers(space, f"holds {values.dtype}")
    return np.asarray(values, dtype=np.float64)


def _dense_table(table: pd.DataFrame, *, space: str) -> NDArray[np.float64]:
    numeric = {c: pd.api.types.is_numeric_dtype(d) and d.kind != "c" for c, d in zip(table, table.dtypes, strict=True)}
    if other := [column for column, is_number in numeric.items() if not is_number]:
        raise _no_numbers(space, f"has columns that are no numbers: {first_few(other)}")
    return table.to_numpy(dtype=np.float64, na_value=np.nan)


def _no_numbers(space: str, found: str) -> BenchmarkError:
    return BenchmarkError(f"obsm['{space}'] {found}. A row of real numbers was needed for each cell or profile.")


def refuse_shapeless(matrix: Any, *, space: str) -> None:
    """Raise if a block of ``obsm`` is no matrix (N, F) or has no feature."""
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise BenchmarkError(f"obsm['{space}'] has the shape {matrix.shape}; rows of features were needed.")


def refuse_unfinite(matrix: NDArray[np.float64], *, space: str) -> None:
    """Raise if an embedding (N, F) has NaN, infinite or overlarge entries, saying how many rows do."""
    bad = int((~np.isfinite(matrix)).any(axis=1).sum())
    if bad:
        raise BenchmarkError(
            f"obsm['{space}'] is NaN or infinite in {bad:,} of {len(matrix):,} rows. "
            "Numbers were needed: drop these rows, or look at why the model gave them."
        )
    if (largest := np.abs(matrix).max(initial=0)) > LARGEST:
        raise BenchmarkError(
            f"obsm['{space}'] has values as large as {largest:.0e}, whose squares overflow. Give it in other units."
        )
