"""Novelty: is an effect more than chance, and how much of it is salient?

An effect is a perturbation's profile seen from the controls. In each space:

- effect norm: the root of |d|^2 - noise, an estimate of |effect|^2 that a perturbation of few cells does not raise
  (``profiles/sizes.py``); 0 where there is less than noise;
- p: how often controls reach its |d|^2 / noise, (b + 1) / (n + 1) (``benchmarks/chance_effects.py``), and q after
  Benjamini-Hochberg over the perturbations. Against control guides, what these differ by counts as noise here.

From both spaces, with the norms of each scaled to mean 1 over perturbations, as in ``profiles/effects.py``:

- salient share: s^2 / (z^2 + s^2); half where neither space shows more than noise. Near 1 the phenotype is novel, near
  0 it moves cells to where controls are as well;
- the same with noise left in, |d| in place of the effect norm.

Intervals are of 95 %, from cells drawn anew within each guide, controls too. Where perturbations are said to be novel
or shifted, the AUROC of the share between them, its interval from perturbations drawn anew within the two groups; once
more among those alone that have an effect in a space (q <= 0.05), as a share of nothing says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from contrascope.benchmarks.chance_effects import (
    MIN_GUIDES,
    ChanceEffects,
    Null,
    effective_cells,
    kind_of_null,
    p_values,
)
from contrascope.benchmarks.groups import Annotations, groups_in_screen
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.benchmarks.significance import q_values, reached_p
from contrascope.errors import BenchmarkError
from contrascope.profiles.aggregate import N_CELLS
from contrascope.profiles.correct import fitted_on_few, refuse_fitted
from contrascope.profiles.sizes import Guides, Moments, Sizes, control_sizes, effect_sizes, resampled_squares
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import BACKGROUND, COMBINED, SALIENT

BOOTSTRAPS = 200
ALPHA = 0.05
MIN_JUDGED_GUIDES = 5
"""Control guides of which it is said how many exceed chance."""
NORM, CONTROL_NORM = "effect norm", "control guide norm"
SHARE, NOISY_SHARE = "salient share", "salient share, noise left in"
BEYOND, CONTROLS_BEYOND = "perturbations at p 0.05", "control guides at p 0.05"
EXTRA = ("perturbation", "group", "n_guides", "low", "high", "p", "q")
Matrix = NDArray[np.float64]


def novelty(
    cells: AnnData,
    *,
    spaces: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
    annotations: Annotations | None = None,
    contrast: Sequence[str] = ("novel", "shifted"),
    null: Null = "auto",
    draws: int = 1000,
    seed: int = 0,
) -> Result:
    """How large each perturbation's effect is beyond noise, and which share of it is salient.

    Args:
        cells: N cells with ``obs`` columns guide, perturbation and control.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``. The share comes with ``combined``.
        groups: Perturbation -> group; with annotations, set -> group.
        annotations: A GMT file, or set -> genes; without groups, each set is a group.
        contrast: Two groups, of which the first should have the larger share.
        null: What effects have to exceed: "guides", "cells" (pseudo-guides of control cells), or guides where there are
            99 control guides or more ("auto").
        draws: Pseudo-guides of each size.
        seed: Of pseudo-guides and bootstraps.

    Returns:
        Table: space, metric, perturbation, group, n_guides, low, high, p, q, value, chance, n. Metrics: effect norm (in
        the units of the space), and the same of each control guide seen from the others; salient share, with and
        without noise; all n in cells, chance being the mean for controls, of the perturbation's number of cells. Then
        the share of perturbations, and of control guides, with p <= 0.05 (n in these), and AUROC of the shares (n in
        perturbations).

    Raises:
        BenchmarkError: Too few controls, as of ``profile``, or groups that are not in the screen.
    """
    guides = Guides.of(cells)
    chosen = kind_of_null(null, guides)
    members, said = groups_in_screen(guides.perturbations, groups=groups, annotations=annotations)
    of = {name: [group for group, names in members.items() if name in names] for name in guides.perturbations}
    group_of = {name: ", ".join(groups_) or None for name, groups_ in of.items()}
    shown, notes = chosen_spaces(cells, spaces), [_null_note(chosen, guides, draws), *fitted_on_few(cells), *said]
    refuse_fitted(cells, shown)
    needed = [*shown, *(space for space in (BACKGROUND, SALIENT) if COMBINED in shown and space in cells.obsm)]
    judged = {space: _judged(embedding(cells, space), guides, chosen, draws, seed) for space in dict.fromkeys(needed)}
    rows: list[dict[str, Any]] = []
    for space in shown:
        found = [*_norms(judged[space], guides), *_control_norms(judged[space], guides)]
        if space == COMBINED and {BACKGROUND, SALIENT} <= set(judged):
            shares = list(_shares(judged[BACKGROUND], judged[SALIENT], guides))
            moved = _moved([judged[BACKGROUND], judged[SALIENT]], guides)
            contrasts, said_of = _contrasts(shares, members, contrast, moved, seed)
            found, notes = found + shares + contrasts, notes + said_of
        rows += [{SPACE: space, "group": group_of.get(str(row.get("perturbation")))} | row for row in found]
    table = tidy(rows, extra=EXTRA)
    return Result("novelty", table, _headline(table), tuple(notes))


@dataclass(frozen=True)
class _Tested:
    """Effects in one space, and what they would be by chance.

    Attributes:
        sizes: Of K effects.
        nulls: (n,) ratios by chance, for each.
    """

    sizes: Sizes
    nulls: list[Matrix]

    @cached_property
    def p(self) -> Matrix:
        """(K,)."""
        return p_values(self.sizes.ratio, self.nulls)

    @cached_property
    def q(self) -> Matrix:
        """(K,) after Benjamini-Hochberg."""
        return q_values(self.p)

    @property
    def norms(self) -> Matrix:
        """(K,) in the units of the space."""
        return _root(self.sizes.unbiased)

    def squares_by_chance(self, number: int, *, noise_left_in: bool = False) -> Matrix:
        """(n,) |d|^2 of an effect that has the noise of this one; noise taken off or not."""
        squares = self.nulls[number] * self.sizes.by_chance[number]
        return squares if noise_left_in else squares - self.sizes.noise[number]

    @property
    def norms_by_chance(self) -> Iterator[float]:
        """Mean norm of what chance gives, for each."""
        return (float(_root(self.squares_by_chance(number)).mean()) for number in range(len(self.nulls)))

    @property
    def beyond(self) -> dict[str, Any]:
        """How many have p <= 0.05, and how many would without effects: of n + 1 values of p so many are as low."""
        expected = np.mean([reached_p(1 / (1 + len(null)), ALPHA) for null in self.nulls])
        return {VALUE: (self.p <= ALPHA).mean(), CHANCE: expected, N: len(self.p)}


@dataclass(frozen=True)
class _Judged:
    """One space.

    Attributes:
        effects: Of K perturbations.
        resampled: (K, draws) estimates of their |effect|^2 with other cells.
        controls: Control guides seen from the others, if there are two or more.
        independent: Whether the null is not of these very guides.
    """

    effects: _Tested
    resampled: Matrix
    controls: _Tested | None
    independent: bool


def _judged(values: Matrix, guides: Guides, null: Literal["guides", "cells"], draws: int, seed: int) -> _Judged:
    moments = Moments.of(values, guides)
    chance = ChanceEffects(values, moments, guides, null=null, draws=draws, seed=seed)
    sizes, controls = effect_sizes(moments, guides, between=chance.between), None
    nulls = [chance.of(effective_cells(members, guides)) for members in guides.perturbations.values()]
    if len(guides.controls) > 1:
        of_guides = [chance.of(guides.n_cells[guide]) for guide in guides.controls]
        controls = _Tested(control_sizes(moments, guides, between=chance.between), of_guides)
    resampled = np.array(list(resampled_squares(values, guides, draws=BOOTSTRAPS, seed=seed)))
    # Drawing anew adds the noise a second time to |d|^2.
    return _Judged(_Tested(sizes, nulls), resampled - 2 * sizes.noise[:, None], controls, null == "cells")


def _root(squared: Matrix) -> Matrix:
    return np.sqrt(np.maximum(squared, 0.0))


def _norms(judged: _Judged, guides: Guides) -> Iterator[dict[str, Any]]:
    effects = judged.effects
    low, high = np.percentile(_root(judged.resampled), [2.5, 97.5], axis=1)
    columns = effects.norms, effects.norms_by_chance, low, high, effects.p, effects.q
    for facts, *numbers in zip(_facts(guides), *columns, strict=True):
        yield facts | {METRIC: NORM} | dict(zip((VALUE, CHANCE, "low", "high", "p", "q"), numbers, strict=True))
    yield {METRIC: BEYOND} | effects.beyond


def _control_norms(judged: _Judged, guides: Guides) -> Iterator[dict[str, Any]]:
    if judged.controls is None:
        return
    columns = judged.controls.norms, judged.controls.norms_by_chance, judged.controls.p
    for guide, *numbers in zip(guides.controls, *columns, strict=True):
        facts = {"perturbation": str(guides.table.index[guide]), "n_guides": 1, N: int(guides.n_cells[guide])}
        yield facts | {METRIC: CONTROL_NORM} | dict(zip((VALUE, CHANCE, "p"), numbers, strict=True))
    if judged.independent and len(guides.controls) >= MIN_JUDGED_GUIDES:
        yield {METRIC: CONTROLS_BEYOND} | judged.controls.beyond


def _shares(background: _Judged, salient: _Judged, guides: Guides) -> Iterator[dict[str, Any]]:
    """Salient share of each effect, once without and once with noise."""
    both = background, salient
    for metric, noisy in ((SHARE, False), (NOISY_SHARE, True)):
        squares = [j.effects.sizes.squared if noisy else j.effects.norms**2 for j in both]
        scales = [np.sqrt(square).mean() ** 2 or 1.0 for square in squares]
        values = share(*(square / scale for square, scale in zip(squares, scales, strict=True)))
        resampled = share(*(np.maximum(j.resampled, 0.0) / scale for j, scale in zip(both, scales, strict=True)))
        low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
        for number, facts in enumerate(_facts(guides)):
            null = [j.effects.squares_by_chance(number, noise_left_in=noisy) for j in both]
            chance = share(*(np.maximum(square, 0.0) / scale for square, scale in zip(null, scales, strict=True)))
            interval = {} if noisy else {"low": low[number], "high": high[number]}
            yield facts | {METRIC: metric, VALUE: values[number], CHANCE: chance.mean()} | interval


def _moved(both: Sequence[_Judged], guides: Guides) -> set[str]:
    """Perturbations with an effect in a space: q <= 0.05."""
    found = np.any([judged.effects.q <= ALPHA for judged in both], axis=0)
    return {name for name, here in zip(guides.perturbations, found, strict=True) if here}


def share(background: Matrix, salient: Matrix) -> Matrix:
    """s^2 / (z^2 + s^2) of squared norms; half where both are 0."""
    together = background + salient
    return np.divide(salient, together, out=np.full_like(together, 0.5), where=together > 0)


def _facts(guides: Guides) -> Iterator[dict[str, Any]]:
    for name, members in guides.perturbations.items():
        yield {"perturbation": name, "n_guides": len(members), N: int(guides.n_cells[members].sum())}


def _contrasts(
    shares: Sequence[Mapping[str, Any]],
    members: Mapping[str, list[str]],
    contrast: Sequence[str],
    moved: set[str],
    seed: int,
) -> tuple[list[dict[str, Any]], list[str]]:
    """AUROC of the shares between two groups, as far as there are perturbations in each; ``moved`` have an effect."""
    if len(contrast) != 2 or isinstance(contrast, str):
        raise BenchmarkError(f"contrast is {contrast!r}. Give the names of two groups, such as [novel, shifted].")
    if not members:
        return [], []
    both = [set(members.get(name, [])) for name in contrast]
    shared = both[0] & both[1]
    notes = [f"{len(shared)} perturbations are in both groups of the contrast and count for neither."] if shared else []
    rows = []
    for metric, name, among in (
        (SHARE, SHARE, None),
        (SHARE, f"{SHARE} at q 0.05", moved),
        (NOISY_SHARE,) * 2 + (None,),
    ):
        value = {str(row["perturbation"]): float(row[VALUE]) for row in shares if row[METRIC] == metric}
        judged = [sorted((group - shared) & (value.keys() if among is None else among)) for group in both]
        if not all(judged):
            notes.append(f"AUROC of {name} was left out: none of {' or none of '.join(contrast)} to judge.")
            continue
        first, second = (np.array([value[one] for one in group]) for group in judged)
        found = auroc_interval(first, second, seed)
        rows.append({METRIC: f"AUROC of {name}", CHANCE: 0.5, N: sum(map(len, judged))} | found)
    return rows, notes


def auroc_interval(positive: Matrix, negative: Matrix, seed: int) -> dict[str, float]:
    """AUROC, ties counting half, and 95 % of it (low, high) with members of both groups drawn anew."""
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    generator = np.random.default_rng(seed)
    weights = [generator.multinomial(n, np.full(n, 1 / n), size=5 * BOOTSTRAPS) / n for n in wins.shape]
    low, high = np.percentile(np.einsum("di,ij,dj->d", weights[0], wins, weights[1], optimize=True), [2.5, 97.5])
    return {VALUE: float(wins.mean()), "low": float(low), "high": float(high)}


def _null_note(null: str, guides: Guides, draws: int) -> str:
    n_guides, n_cells = len(guides.controls), int(guides.table[N_CELLS].to_numpy()[guides.controls].sum())
    if null == "guides":
        return f"p is against {n_guides:,} control guides, each seen from the others."
    return (
        f"p is against {draws:,} pseudo-guides of {n_cells:,} control cells, without what makes guides differ that do "
        f"nothing: there are {n_guides:,} control guides, and by default {MIN_GUIDES} become the null."
    )


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    named = (NORM, CONTROL_NORM, SHARE, NOISY_SHARE)
    return table.loc[~table[METRIC].isin(named), list(COLUMNS)].reset_index(drop=True)
