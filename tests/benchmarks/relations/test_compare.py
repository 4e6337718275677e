"""Embeddings side by side on the same pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.benchmarks.complexes import complexes
from contrascope.benchmarks.relations.compare import compare_relations
from contrascope.errors import BenchmarkError

SETS = {f"C{k}": [f"G{4 * k + i:02d}" for i in range(4)] for k in range(10)}


def profiles(**noise: float) -> AnnData:
    """Spaces in which the same complexes lie together, each under noise of its own."""
    random = np.random.default_rng(0)
    centres = np.repeat(random.normal(size=(10, 8)), 4, axis=0)
    names = [f"G{i:02d}" for i in range(40)]
    spaces = {space: centres + size * random.normal(size=centres.shape) for space, size in noise.items()}
    return AnnData(obs=pd.DataFrame({"perturbation": names}, index=names), obsm=spaces)


def test_differences_are_those_of_the_benchmark() -> None:
    data = profiles(background=1.5, salient=0.5, untrained=3.0)
    table = compare_relations(data, annotations=SETS)
    alone = complexes(data, annotations=SETS).table
    value = {(row.space, row.metric, str(row.percentile)): row.value for row in alone.itertuples()}
    for row in table.itertuples():
        key = (row.metric, str(row.percentile))
        assert row.first == pytest.approx(value[row.space, *key])
        assert row.value == pytest.approx(row.first - value[row.other, *key])
        assert row.low <= row.high
    assert len(table.drop_duplicates(["space", "other"])) == 6
    assert (table["chance"] == 0).all() and (table["n"] == 40 * 39 / 2).all()


def test_a_clear_difference_is_clear_and_none_is_none() -> None:
    data = profiles(background=3.0, salient=0.3)
    data.obsm["untrained"] = 2 * data.obsm["salient"]
    table = compare_relations(data, annotations=SETS, spaces=["background", "salient", "untrained"])
    table = table[table["metric"] == "average precision"].set_index(["space", "other"])
    assert table.loc[("background", "salient"), "high"] < 0
    same = table.loc[("salient", "untrained")]
    assert same["value"] == same["low"] == same["high"] == 0


def test_the_interval_of_a_difference_is_narrower_than_those_of_its_sides() -> None:
    data = profiles(salient=1.0)
    data.obsm["untrained"] = data.obsm["salient"] + 0.1 * np.random.default_rng(1).normal(size=(40, 8))
    both = complexes(data, annotations=SETS).table
    both = both[both["metric"] == "average precision"]
    paired = compare_relations(data, annotations=SETS)
    paired = paired[paired["metric"] == "average precision"].iloc[0]
    assert paired["high"] - paired["low"] < (both["high"] - both["low"]).min() / 2


def test_several_sources_are_compared_on_what_all_of_them_have() -> None:
    whole = profiles(salient=1.0)
    part = whole[np.random.default_rng(0).permutation(40)[:30]].copy()
    table = compare_relations({"ours": whole, "theirs": part}, annotations=SETS)
    assert set(table["space"]) == {"ours: salient"} and set(table["other"]) == {"theirs: salient"}
    np.testing.assert_allclose(table["value"], 0, atol=1e-12)
    assert (table["n"] <= 30 * 29 / 2).all()


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="Two embeddings or more were needed to compare; there is salient"):
        compare_relations(profiles(salient=1.0), annotations=SETS)
    with pytest.raises(BenchmarkError, match=r"Two embeddings or more .* there is none"):
        compare_relations({}, annotations=SETS)
    other = profiles(salient=1.0)
    other.obs["perturbation"] = [f"X{i}" for i in range(40)]
    with pytest.raises(BenchmarkError, match="a and b have no perturbation in common"):
        compare_relations({"a": profiles(salient=1.0), "b": other}, annotations=SETS)
