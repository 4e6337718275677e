"""Dose: does the profile of a well move with the dose, along an axis learned from controls elsewhere?

The mean embedding of each well is projected on the axis from the negative to the positive wells of the part
``fit``, so that those lie at 0 and 1 on average; the part ``test`` is then read on that axis:

- Spearman correlation of position with dose over all test wells, and again without the control wells;
- Z' = 1 - 3 (sd+ + sd-) / |mean+ - mean-| between the test's own controls (Zhang et al. 1999); above 0.5 is
  an excellent assay, below 0 the two overlap;
- mean and standard deviation of the position at each dose.

And the same ``by probe``: a logistic regression learns the negative from the positive cells of ``fit``, and a well's
position is the mean probability of its cells to be positive. Cells that are well past the border all count the same, so
a strong response that differs in strength from well to well disturbs it less.

Wells that lie anywhere on the axis by chance are as likely nearer to either end: chance position is 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.stats import rankdata

from contrascope.benchmarks.probe import MAX_STEPS, linear_probe
from contrascope.benchmarks.result import CHANCE, COLUMNS, METRIC, SPACE, VALUE, N, Result, tidy
from contrascope.benchmarks.selection import (
    Selection,
    need_column,
    said,
    selected,
    texts,
    with_row_and_column,
)
from contrascope.errors import BenchmarkError, first_few
from contrascope.profiles.spaces import chosen_spaces, embedding
from contrascope.vocabulary import PERTURBATION, PLATE

SHUFFLES = 200
SPEARMAN, SPEARMAN_TREATED, Z_PRIME = "Spearman", "Spearman without controls", "Z'"
POSITION, MEAN_POSITION = "position", "mean position"
BY_PROBE = " by probe"
EXTRA = ("dose", "role", "unit", "sd", "null_p95", "fit", "test")
NEGATIVE, POSITIVE, TREATED = "negative", "positive", "treated"
Values = NDArray[np.float64]


def dose(
    cells: AnnData,
    *,
    dose: str,
    negative: Selection,
    positive: Selection,
    fit: Selection,
    test: Selection,
    unit: str = "well",
    spaces: Sequence[str] | None = None,
    seed: int = 0,
) -> Result:
    """Where the wells of ``test`` lie between the controls of ``fit``, and whether that follows the dose.

    Args:
        cells: N cells with ``obs`` columns plate, ``unit``, ``dose`` and those that the selections name.
            ``row`` and ``column`` are read off the well (B07: row B, column 7) when the table has none.
        dose: Column with the dose, in any unit; cells without a number there are not tested.
        negative: The control cells at the axis's beginning.
        positive: The control cells at its end.
        fit: The part in which the axis is learned, such as {"row": ["A", "B"]}.
        test: The part in which it is read.
        unit: Column of what is averaged, within a plate.
        spaces: Keys of ``obsm`` or ``combined``; default as in ``benchmark``.
        seed: Of the shuffles that give null_p95, and the chance of Z'.

    Returns:
        Table: space, metric, dose, role, unit, sd, null_p95, fit, test, value, chance, n. Spearman, Spearman without
        controls and Z' (n in wells; chance of Z' is its median with the controls' labels shuffled), mean
        position at each dose (n in wells, with sd), position of each well (n in cells); each also
        by probe; fit and test in words.

    Raises:
        BenchmarkError: Unknown column, empty selection, a well of two doses, fewer than two doses.
    """
    obs = with_row_and_column(cells.obs)
    plan, notes = _plan(obs, dose=dose, unit=unit, roles=(negative, positive), parts=(fit, test))
    rows: list[dict[str, Any]] = []
    for space in chosen_spaces(cells, spaces):
        matrix = embedding(cells, space)
        position = _positions(matrix, plan)
        if position is None:
            notes.append(f"{space} was left out: the controls of fit have one and the same mean.")
            continue
        rows += [{SPACE: space} | row for row in _judged(position, plan, seed)]
        probed, converged = _probed(matrix, plan)
        rows += [{SPACE: space} | row | {METRIC: row[METRIC] + BY_PROBE} for row in _judged(probed, plan, seed)]
        if not converged:
            notes.append(f"The probe in {space} stopped at {MAX_STEPS} steps.")
    if not rows:
        raise BenchmarkError("No space tells the negative from the positive controls of fit: " + " ".join(notes))
    table = tidy([row | {"fit": _in_words(fit), "test": _in_words(test)} for row in rows], extra=EXTRA)
    return Result("dose", table, _headline(table), tuple(notes))


@dataclass(frozen=True)
class _Plan:
    """Which wells are what, the same for every space.

    Attributes:
        fit_negative, fit_positive: A well number for each cell of the fit's controls, -1 for other cells.
        test: A well number for each cell of the test, -1 for other cells.
        wells: The W test wells: unit (plate and name), dose, role, n_cells.
    """

    fit_negative: NDArray[np.intp]
    fit_positive: NDArray[np.intp]
    test: NDArray[np.intp]
    wells: pd.DataFrame


def _mixed(obs: pd.DataFrame, doses: NDArray[np.float64]) -> list[str]:
    """A note where several perturbations stand at one dose, as other compounds in the rows of the test do."""
    if PERTURBATION not in obs:
        return []
    at: dict[float, set[str]] = {}
    for dose, name in zip(doses.tolist(), obs[PERTURBATION].astype(str), strict=True):
        at.setdefault(dose, set()).add(name)
    dose, names = max(at.items(), key=lambda one: len(one[1]), default=(0.0, set()))
    if len(names) < 2:
        return []
    return [
        f"At dose {dose:g}, test has {len(names):,} perturbations: {first_few(sorted(names))}. If these are "
        f"several compounds, choose one of them in test; their curves are averaged otherwise."
    ]


def _plan(
    obs: pd.DataFrame,
    *,
    dose: str,
    unit: str,
    roles: tuple[Selection, Selection],
    parts: tuple[Selection, Selection],
) -> tuple[_Plan, list[str]]:
    need_column(obs, dose, what="dose")
    need_column(obs, unit, what="unit")
    negative, positive = selected(obs, roles[0], what=NEGATIVE), selected(obs, roles[1], what=POSITIVE)
    if (negative & positive).any():
        raise BenchmarkError(f"{int((negative & positive).sum()):,} cells are both negative and positive control.")
    fit, test = selected(obs, parts[0], what="fit"), selected(obs, parts[1], what="test")
    for name, mask in ((NEGATIVE, fit & negative), (POSITIVE, fit & positive)):
        if not mask.any():
            raise BenchmarkError(f"fit {said(parts[0])} holds no {name} control; both were needed for the axis.")
    doses = pd.to_numeric(obs[dose].astype(object), errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(doses[test]).any():
        held = first_few([repr(value) for value in pd.unique(obs[dose][test])], 3)
        raise BenchmarkError(f"No cell of test has a number in '{dose}', which holds {held}. Doses were needed.")
    tested = test & np.isfinite(doses)
    role = np.where(negative, NEGATIVE, np.where(positive, POSITIVE, TREATED))
    units = _unit_names(obs, unit)
    wells = _test_wells(units, doses, role, tested)
    without = test & ~np.isfinite(doses)
    if wells["dose"].nunique() < 2:
        held = first_few([repr(value) for value in pd.unique(obs[dose][without])], 3)
        lost = f", and {int(without.sum()):,} cells no number: {held}" if without.any() else ""
        raise BenchmarkError(
            f"test has {wells['dose'].nunique()} dose(s) in {len(wells)} wells{lost}; two were needed. Give a column "
            f"of numbers, all in one unit."
        )
    shared = len(set(units[fit & (negative | positive)]) & set(wells["unit"]))
    notes = [f"{shared} well(s) are in both fit and test: the test is not independent of the axis."] if shared else []
    if dropped := int(without.sum()):
        notes.append(f"{dropped:,} cells of test have no number in '{dose}' and were left out.")
    notes += _mixed(obs[tested & (role == TREATED)], doses[tested & (role == TREATED)])
    if not ({NEGATIVE, POSITIVE} <= set(wells["role"][wells["role"].duplicated()])):
        notes.append("Z' was left out: it needs two negative and two positive wells in test.")
    numbered = [_numbers(units, mask) for mask in (fit & negative, fit & positive, tested)]
    return _Plan(numbered[0], numbered[1], numbered[2], wells), notes


def _test_wells(units: NDArray[Any], doses: Values, role: NDArray[np.str_], tested: NDArray[np.bool_]) -> pd.DataFrame:
    """The test's wells in order of their names, as ``_numbers`` counts them."""
    cells = pd.DataFrame({"unit": units[tested], "dose": doses[tested], "role": role[tested]})
    grouped = cells.groupby("unit", sort=True)
    mixed = grouped[["dose", "role"]].nunique().max(axis=1)
    if (mixed > 1).any():
        raise BenchmarkError(
            f"{first_few(mixed.index[mixed > 1])}: more than one dose or kind of control in one unit. "
            "Give a finer unit, whose cells were all treated alike."
        )
    wells = grouped[["dose", "role"]].first().reset_index()
    wells["n_cells"] = grouped.size().to_numpy()
    return wells


def _positions(matrix: Values, plan: _Plan) -> Values | None:
    """Test wells (W,) on the axis on which fit's negative wells average 0 and its positive wells 1."""
    low = _well_means(matrix, plan.fit_negative).mean(axis=0)
    axis = _well_means(matrix, plan.fit_positive).mean(axis=0) - low
    # What rounding leaves of an embedding that does not vary is no axis.
    if np.linalg.norm(axis) <= 1e-9 * np.linalg.norm(low) or not axis.any():
        return None
    position: Values = (_well_means(matrix, plan.test) - low) @ axis / (axis @ axis)
    return position


def _probed(matrix: Values, plan: _Plan) -> tuple[Values, bool]:
    """Test wells (W,) by the mean probability of their cells to be positive, and whether the probe converged."""
    controls, tested = (plan.fit_negative >= 0) | (plan.fit_positive >= 0), plan.test >= 0
    positive = (plan.fit_positive[controls] >= 0).astype(np.intp)
    answers = linear_probe(matrix[controls], positive, matrix[tested])
    return _well_means(answers.probability[:, [1]], plan.test[tested])[:, 0], answers.converged


def _judged(position: Values, plan: _Plan, seed: int) -> list[dict[str, Any]]:
    """All that is said of positions."""
    found = [*_spearman(position, plan, seed), *_z_prime(position, plan, seed)]
    return [*found, *_by_dose(position, plan), *_by_well(position, plan)]


def _well_means(matrix: Values, number: NDArray[np.intp]) -> Values:
    """Mean row of each well, (W, F); cells of number -1 are in none."""
    inside = number >= 0
    counts = np.bincount(number[inside])
    sums = [np.bincount(number[inside], weights=feature) for feature in matrix[inside].T]
    means: Values = (np.array(sums) / counts).T
    return means


def _spearman(position: Values, plan: _Plan, seed: int) -> list[dict[str, Any]]:
    doses, treated = plan.wells["dose"].to_numpy(), (plan.wells["role"] == TREATED).to_numpy()
    rows = []
    for metric, inside in ((SPEARMAN, np.ones(len(doses), dtype=bool)), (SPEARMAN_TREATED, treated)):
        if inside.sum() < 3 or len(set(doses[inside])) < 2 or np.ptp(position[inside]) == 0:
            continue
        generator = np.random.default_rng(seed)
        x, y = rankdata(position[inside]), rankdata(doses[inside])
        null = [np.corrcoef(generator.permutation(x), y)[0, 1] for _ in range(SHUFFLES)]
        value = np.corrcoef(x, y)[0, 1]
        rows.append({METRIC: metric, VALUE: value, CHANCE: 0.0, "null_p95": np.percentile(null, 95), N: len(x)})
    return rows


def _z_prime(position: Values, plan: _Plan, seed: int) -> list[dict[str, Any]]:
    role = plan.wells["role"].to_numpy()
    negative, positive = position[role == NEGATIVE], position[role == POSITIVE]
    if min(len(negative), len(positive)) < 2 or negative.mean() == positive.mean():
        return []
    generator, both = np.random.default_rng(seed), np.concatenate([negative, positive])
    null = []
    for _ in range(SHUFFLES):
        shuffled = generator.permutation(both)
        null.append(z_prime(shuffled[: len(negative)], shuffled[len(negative) :]))
    value = z_prime(negative, positive)
    chance, high = np.median(null), np.percentile(null, 95, method="nearest")
    return [{METRIC: Z_PRIME, VALUE: value, CHANCE: chance, "null_p95": high, N: len(both)}]


def z_prime(negative: Values, positive: Values) -> float:
    """Z' factor of two groups of wells, at most 1; -inf when their means are equal."""
    gap = abs(positive.mean() - negative.mean())
    spread = positive.std(ddof=1) + negative.std(ddof=1)
    return float(1 - 3 * spread / gap) if gap > 0 else -np.inf


def _by_dose(position: Values, plan: _Plan) -> list[dict[str, Any]]:
    rows = []
    dose, role = plan.wells["dose"].to_numpy(dtype=float), plan.wells["role"].to_numpy()
    for amount, kind in sorted(set(zip(dose, role, strict=True))):
        values = position[(dose == amount) & (role == kind)]
        sd = values.std(ddof=1) if len(values) > 1 else np.nan
        where = {"dose": amount, "role": kind}
        rows.append({METRIC: MEAN_POSITION, VALUE: values.mean(), "sd": sd, CHANCE: 0.5, N: len(values)} | where)
    return rows


def _by_well(position: Values, plan: _Plan) -> list[dict[str, Any]]:
    wells = plan.wells
    columns = wells["unit"], wells["dose"], wells["role"], wells["n_cells"]
    return [
        {METRIC: POSITION, VALUE: value, CHANCE: 0.5, N: n, "unit": unit, "dose": dose, "role": role}
        for value, unit, dose, role, n in zip(position, *columns, strict=True)
    ]


def _numbers(units: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number of each selected cell's unit among the selected, in order of names; -1 for other cells."""
    number = np.full(len(units), -1, dtype=np.intp)
    number[mask] = np.unique(units[mask], return_inverse=True)[1]
    return number


def _unit_names(obs: pd.DataFrame, unit: str) -> NDArray[Any]:
    names = texts(obs[unit])
    if PLATE in obs and unit != PLATE:
        return np.array([f"{plate} {name}" for plate, name in zip(texts(obs[PLATE]), names, strict=True)], dtype=object)
    return names


def _in_words(part: Selection) -> str:
    """A part as a figure names it, such as 'row A, B'."""
    lists = {name: wanted if isinstance(wanted, list | tuple) else [wanted] for name, wanted in part.items()}
    return "; ".join(f"{name} {', '.join(map(str, wanted))}" for name, wanted in lists.items())


def _headline(table: pd.DataFrame) -> pd.DataFrame:
    wanted = [SPEARMAN, SPEARMAN_TREATED, Z_PRIME]
    rows = table[table[METRIC].isin(wanted + [metric + BY_PROBE for metric in wanted])]
    return rows[list(COLUMNS)].reset_index(drop=True)
