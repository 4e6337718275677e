"""What every registered benchmark keeps: chance beside each number, equal answers, an untouched input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.figure import Figure

from contrascope.benchmarks import Result, benchmark
from contrascope.benchmarks.result import COLUMNS
from contrascope.profiles import profile
from contrascope.registry import BENCHMARKS

GENES = 60
SETS = {f"C{k}": [f"G{4 * k + i:02d}" for i in range(4)] for k in range(GENES // 4)}
KINDS = {name: "novel" if int(name[1:]) % 2 else "shifted" for name in SETS}

# Three standard errors of a mean over the four random spaces: few pairs, many cells, 48 wells.
TOLERANCE = {
    "complexes": 0.1,
    "artifacts": 0.05,
    "dose": 0.2,
    "hits": 0.05,
    "functions": 0.06,
    "stages": 0.05,
    "mitosis": 0.15,
    "explained": 0.05,
    "novelty": 0.2,
}

# What stands beside the spaces without being one: always in the table.
BESIDE = {"mitosis": {"mitotic index"}}


def random_cells(n: int = 4800) -> AnnData:
    """Cells whose embeddings know nothing about them."""
    random = np.random.default_rng(0)
    gene, control = np.arange(n) % GENES, random.random(n) < 0.25
    row, column = random.integers(0, 4, n), random.integers(1, 25, n)
    perturbation = np.where(control, "nontargeting", [f"G{g:02d}" for g in gene])
    obs = pd.DataFrame(
        {
            "plate": "1",
            "well": [f"{'ABCD'[r]}{c:02d}" for r, c in zip(row, column, strict=True)],
            "batch": pd.Categorical([f"1{'ABCD'[r]}" for r in row]),
            "dose": np.maximum(column - 1.0, 0),
            "perturbation": perturbation,
            "guide": [f"{p}_{i}" for p, i in zip(perturbation, random.integers(0, 2, n), strict=True)],
            "control": control,
            "field_distance": np.sqrt(random.random(n)),
            "tile_row": random.integers(0, 5, n),
            "tile_column": random.integers(0, 5, n),
        },
        index=[str(i) for i in range(n)],
    )
    spaces = {space: random.normal(size=(n, 64)) for space in ("background", "salient", "untrained", "intensity")}
    return AnnData(obs=obs, obsm=spaces)


def staged(cells: AnnData) -> AnnData:
    """The same cells, a third of them mitotic whatever they are."""
    cells = cells.copy()
    cells.obs["stage"] = np.where(np.random.default_rng(1).random(cells.n_obs) < 1 / 3, "mitotic", "interphase")
    return cells


def question(name: str) -> tuple[AnnData, dict[str, Any]]:
    """Data and options for each benchmark; a new benchmark needs a line here and a tolerance above."""
    cells = random_cells()
    asked: dict[str, tuple[AnnData, dict[str, Any]]] = {
        "complexes": (profile(cells), {"annotations": SETS, "groups": {"C1": "novel", "C2": "shifted"}}),
        "artifacts": (cells, {}),
        "hits": (cells, {"permutations": 199}),
        "dose": (
            cells,
            {
                "dose": "dose",
                "negative": {"column": [1, 2]},
                "positive": {"column": [23, 24]},
                "fit": {"row": ["A", "B"]},
                "test": {"row": ["C", "D"]},
            },
        ),
        "functions": (
            profile(cells, by="guide"),
            {"annotations": {f"G{g:02d}": f"F{g % 6}" for g in range(GENES)}, "permutations": 3},
        ),
        "stages": (staged(cells), {}),
        "mitosis": (staged(cells), {"genes": [f"G{g:02d}" for g in range(20)]}),
        "explained": (cells, {"annotations": SETS, "groups": {"C1": "novel", "C2": "shifted"}}),
        "novelty": (cells, {"annotations": SETS, "groups": KINDS}),
    }
    return asked[name]


@pytest.fixture(scope="module", params=list(BENCHMARKS))
def answered(request: pytest.FixtureRequest) -> tuple[str, AnnData, dict[str, Any], Result]:
    data, options = question(request.param)
    return request.param, data, options, benchmark(data, request.param, **options)


Answered = tuple[str, AnnData, dict[str, Any], Result]


def test_every_number_has_its_chance_and_its_count(answered: Answered) -> None:
    name, _, _, result = answered
    assert isinstance(result, Result)
    assert result.name == name
    assert list(result.headline.columns) == list(COLUMNS)
    for table in (result.table, result.headline):
        assert len(table)
        assert table[list(COLUMNS)].notna().all(axis=None)
        assert (table["n"] > 0).all()


def test_all_spaces_are_judged_by_default(answered: Answered) -> None:
    spaces = set(answered[3].table["space"]) - BESIDE.get(answered[0], set())
    assert spaces == {"background", "salient", "combined", "untrained", "intensity"}


def test_equal_inputs_give_equal_answers(answered: Answered) -> None:
    name, data, options, result = answered
    again = benchmark(data, name, **options)
    pd.testing.assert_frame_equal(again.table, result.table, check_exact=True)
    assert again.notes == result.notes


def test_the_input_is_left_alone(answered: Answered) -> None:
    name, data, _, _ = answered
    fresh, _ = question(name)
    pd.testing.assert_frame_equal(data.obs, fresh.obs)
    for space in fresh.obsm:
        np.testing.assert_array_equal(data.obsm[space], fresh.obsm[space])


def test_an_embedding_that_knows_nothing_scores_by_chance(answered: Answered) -> None:
    table = answered[3].table
    # Z' has no upper tail worth averaging: below 0 it says that the controls overlap, by chance or not.
    z_prime = table["metric"].str.startswith("Z'")
    assert (table.loc[z_prime, "value"] < 0).all()
    rest = table[~z_prime]
    gap = (rest["value"] - rest["chance"]).groupby(rest["metric"]).mean()
    assert (gap.abs() < TOLERANCE[answered[0]]).all(), gap


def test_the_result_can_be_drawn(answered: Answered) -> None:
    assert isinstance(answered[3].plot(), Figure)


def test_one_space_can_be_asked_for(answered: Answered) -> None:
    name, data, options, result = answered
    alone = benchmark(data, name, spaces=["salient"], **options)
    shown = {"salient"} | BESIDE.get(name, set())
    expected = result.table[result.table["space"].isin(shown)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.table, expected)


def test_the_order_of_rows_does_not_matter(answered: Answered) -> None:
    name, data, options, result = answered
    order = np.random.default_rng(5).permutation(data.n_obs)
    again = benchmark(data[order].copy(), name, **options)
    pd.testing.assert_frame_equal(again.headline, result.headline, atol=1e-9)
