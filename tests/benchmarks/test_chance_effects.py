"""Effects by chance: nulls against which p-values of nothing are uniform."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import kstest

from contrascope.benchmarks.chance_effects import (
    ChanceEffects,
    effective_cells,
    kind_of_null,
    p_values,
    size_class,
)
from contrascope.errors import BenchmarkError
from contrascope.profiles.sizes import Guides, Moments, control_sizes, effect_sizes

Kind = Literal["guides", "cells"]


def screen(
    seed: int, *, genes: int = 60, control_guides: int = 12, scatter: float = 0.0, cells: tuple[int, int] = (4, 60)
) -> AnnData:
    """Perturbations that do nothing, of three guides with 4 to 60 cells each; guides differ by ``scatter``."""
    random = np.random.default_rng(seed)
    names = [(f"g{g:03d}", f"g{g:03d}_{i}") for g in range(genes) for i in range(3)]
    names += [("nt", f"nt_{i:03d}") for i in range(control_guides)]
    counts = random.integers(*cells, size=len(names))
    which = np.repeat(np.arange(len(names)), counts)
    x = random.normal(size=(len(which), 8)) + scatter * random.normal(size=(len(names), 8))[which]
    perturbation, guide = np.array(names)[which].T
    obs = pd.DataFrame({"guide": guide, "perturbation": perturbation, "control": perturbation == "nt"}).rename(str)
    return AnnData(obs=obs, obsm={"x": x})


def p_of(cells: AnnData, null: Kind, *, draws: int = 400) -> np.ndarray:
    guides = Guides.of(cells)
    moments = Moments.of(cells.obsm["x"], guides)
    chance = ChanceEffects(cells.obsm["x"], moments, guides, null=null, draws=draws, seed=0)
    nulls = [chance.of(effective_cells(members, guides)) for members in guides.perturbations.values()]
    return p_values(effect_sizes(moments, guides, between=chance.between).ratio, nulls)


def test_p_values_are_those_of_a_readable_loop() -> None:
    null = np.array([1.0, 2.0, 2.0, 5.0])
    assert list(p_values(np.array([6.0, 2.0, 0.5]), [null] * 3)) == [1 / 5, 4 / 5, 5 / 5]


def test_without_effects_p_is_uniform_against_pseudo_guides_whatever_the_numbers_of_cells() -> None:
    p = np.concatenate([p_of(screen(seed, control_guides=40), "cells") for seed in range(8)])
    assert kstest(p, "uniform").pvalue > 0.01
    assert abs((p <= 0.05).mean() - 0.05) < 3 * np.sqrt(0.05 * 0.95 / len(p))


def test_guides_that_differ_for_no_reason_are_in_the_null_of_guides_only() -> None:
    scattered = [screen(seed, control_guides=120, scatter=0.3, cells=(30, 40)) for seed in range(5)]
    p = {null: np.concatenate([p_of(cells, null) for cells in scattered]) for null in ("guides", "cells")}  # type: ignore[arg-type]
    assert kstest(p["guides"], "uniform").pvalue > 0.01
    assert (p["cells"] <= 0.05).mean() > 0.5


@pytest.mark.parametrize("cells", [(8, 12), (200, 220)])
def test_guides_that_differ_for_no_reason_are_in_the_null_whatever_the_numbers_of_cells(cells: tuple[int, int]) -> None:
    p = []
    for seed in range(6):
        inert = screen(seed, control_guides=120, scatter=0.3, cells=cells)
        control = inert.obs["control"].to_numpy()
        place = inert.obs.groupby("guide").cumcount().to_numpy()  # control guides have 30 cells where others have 200
        p.append(p_of(inert[~control | (place < 30)].copy(), "guides"))
    found = np.concatenate(p)
    assert kstest(found, "uniform").pvalue > 0.01
    assert abs((found <= 0.05).mean() - 0.05) < 3 * np.sqrt(0.05 * 0.95 / len(found))


def test_the_null_of_guides_is_each_control_guide_seen_from_the_others() -> None:
    cells = screen(0)
    guides = Guides.of(cells)
    moments = Moments.of(cells.obsm["x"], guides)
    chance = ChanceEffects(cells.obsm["x"], moments, guides, null="guides", draws=1, seed=0)
    np.testing.assert_array_equal(chance.of(7), control_sizes(moments, guides, between=chance.between).ratio)


def test_pseudo_guides_are_as_many_cells_as_the_mean_of_guides_is_worth() -> None:
    guides = Guides.of(screen(0))
    members = guides.perturbations["g000"]
    n = guides.n_cells[members]
    assert effective_cells(members, guides) == pytest.approx(9 / (1 / n).sum())
    assert effective_cells(members[:1], guides) == pytest.approx(n[0])
    half = guides.n_cells[guides.controls].sum() // 2
    assert [size_class(n, guides) for n in (1.0, 8.0, 10.0, 11.0, 1e9)] == [2, 8, 11, 11, half]


def test_many_control_guides_are_the_null_and_few_are_not() -> None:
    few, many = Guides.of(screen(0)), Guides.of(screen(0, control_guides=99))
    assert (kind_of_null("auto", few), kind_of_null("auto", many)) == ("cells", "guides")
    assert (kind_of_null("guides", few), kind_of_null("cells", many)) == ("guides", "cells")
    one = Guides.of(screen(0, control_guides=1, cells=(3, 4)))
    with pytest.raises(BenchmarkError, match="and there is one"):
        kind_of_null("guides", one)
    with pytest.raises(BenchmarkError, match="There are 3 control cells"):
        kind_of_null("auto", one)
    with pytest.raises(BenchmarkError, match="null is 'wells'"):
        kind_of_null("wells", few)  # type: ignore[arg-type]


def test_where_nothing_varies_nothing_is_beyond_chance() -> None:
    cells = screen(0)
    cells.obsm["x"][:] = 0.1
    assert (p_of(cells, "cells", draws=20) == 1).all()
    assert (p_of(cells, "guides") == 1).all()
