"""Is an effect there in cells that the model was not trained on?

A model is told which cells are perturbed, and may learn some by heart: these then differ from controls for that alone,
all cells of a guide alike. So a perturbation's cells that it was trained on say in which direction its effect lies, and
the others are asked how far along it they are:

    d = mean of trained-on cells - that of such controls,   e = the same of held-out cells and controls
    held_out = e . d / (|d|^2 - noise),   noise = v (1 / n + sum over batches of (n_b / n)^2 / m_b)

with n_b cells and m_b controls in a batch, means weighted by n_b, and v the variance of a cell within its batch and
group, summed over features. held_out is 1 on average where nothing is learned by heart, and 0 where all is; it is left
out where |d|^2 is less than twice its noise, as nothing can be a share of that. p_held_out: how often labels permuted
among the held-out cells of a batch give as large an e . d, one-sided. Where single cells are split, each guide and well
has cells of both parts, and what its cells have in common counts as effect; ``split_by`` holds out whole ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.benchmarks.comparisons import Cast, Comparison
from contrascope.benchmarks.ruler import Ruler
from contrascope.benchmarks.selection import texts
from contrascope.benchmarks.significance import permutation_p, permuted_labels
from contrascope.profiles.aggregate import group_sums
from contrascope.vocabulary import SALIENT, SPLIT

HELD_OUT, N_HELD_OUT, P_HELD_OUT = "held_out", "n_held_out", "p_held_out"
CONTROLS_TRAINED_ON = "The model was trained on "
"""How the note on controls begins, by which the report knows it."""
MOST_TRAINED_ON = 2_000
"""Cells of a perturbation that its direction is taken from."""
_TRAINED_ON, _OTHERS = "train", {"validation", "test"}
Values = NDArray[np.float64]


def held_out_cells(obs: pd.DataFrame) -> NDArray[np.bool_] | None:
    """(N,) cells that the model was not trained on; None where nobody says, or all are or none is."""
    if SPLIT not in obs:
        return None
    parts = texts(obs[SPLIT])
    held = parts != _TRAINED_ON
    is_told = set(parts) <= {_TRAINED_ON, *_OTHERS}
    return held if is_told and held.any() and not held.all() else None


def trained_on_note(cells: AnnData, controls: NDArray[np.intp]) -> list[str]:
    """What to know of numbers about the salient space of some controls, by row; nothing where nobody says."""
    held = held_out_cells(cells.obs)
    if SALIENT not in cells.obsm or held is None or not (trained_on := int((~held[controls]).sum())):
        return []
    return [
        f"{CONTROLS_TRAINED_ON}{trained_on:,} of these {len(controls):,} controls, and has learned to say nothing of "
        "them in its salient space: of other cells more may be read there than these numbers say."
    ]


def held_out_effects(
    cast: Cast, held: NDArray[np.bool_], matrix: Values, ruler: Ruler, *, max_cells: int, permutations: int
) -> pd.DataFrame:
    """What held-out cells show of each perturbation's effect.

    Args:
        cast: All cells.
        held: (N,) which are held out, by row of the table.
        matrix: (N, F) the space.
        ruler: Its unit.
        max_cells: Held-out cells of a perturbation, at most.
        permutations: Of their labels.

    Returns:
        Index the perturbations with cells and controls enough in both parts: held_out, n_held_out (cells), p_held_out.
    """
    trained_on, others = _only(cast, ~held), _only(cast, held)
    rows = {}
    for number in cast.guides_of_perturbation:
        name = cast.perturbations[number]
        seen, unseen = trained_on.of_perturbation(number, MOST_TRAINED_ON), others.of_perturbation(number, max_cells)
        if seen is None or unseen is None:
            continue
        shift, noise = _shift(ruler.measured(matrix[seen.rows]), seen)
        along = ruler.measured(matrix[unseen.rows]) @ shift
        found, _ = _shift(along[:, None], unseen)
        size, generator = float(shift @ shift) - noise, cast.generator(f"held-out cells of {name}")
        rows[name] = {
            HELD_OUT: float(found[0]) / size if size > noise else np.nan,
            N_HELD_OUT: unseen.n,
            P_HELD_OUT: _p_of_mean(along, unseen, permutations, generator),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[HELD_OUT, N_HELD_OUT, P_HELD_OUT])


def _only(cast: Cast, kept: NDArray[np.bool_]) -> Cast:
    """Some of the cells, by row of the table."""
    kept = kept[cast.order]
    names = ("order", "control", "perturbation", "guide", "batch")
    return replace(cast, **{name: getattr(cast, name)[kept] for name in names})


def _shift(features: Values, comparison: Comparison) -> tuple[Values, float]:
    """(F,) how far the cells lie from the controls of their batches, and the noise in its squared length."""
    batches, batch = np.unique(comparison.batch, return_inverse=True)  # each has cells and controls
    group = 2 * batch + comparison.perturbed
    count = np.bincount(group, minlength=2 * len(batches)).astype(float)
    mean = group_sums(features, group, len(count)) / count[:, None]
    controls, cells = count[0::2], count[1::2]
    weight = cells / cells.sum()
    variance = float(((features - mean[group]) ** 2).sum()) / max(1, len(features) - len(count))
    noise = variance * (1 / cells.sum() + float((weight**2 / controls).sum()))
    return weight @ (mean[1::2] - mean[0::2]), noise


def _p_of_mean(along: Values, comparison: Comparison, permutations: int, generator: np.random.Generator) -> float:
    """How often the cells' mean is as large by chance; each batch keeps its number of cells, and so its part in it."""
    labels = permuted_labels(comparison.perturbed, comparison.batch, permutations, generator)
    return permutation_p(labels.astype(float) @ along / comparison.n, rounding=1e-9 * float(np.abs(along).max()))
