"""All questions that the data allow, at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.benchmarks import Result, benchmark
from contrascope.benchmarks.result import tidy
from contrascope.benchmarks.suite import Judged, ask_all, comparison, notes_of, said
from contrascope.errors import BenchmarkError, SettingsError
from contrascope.profiles import profile

SETS = {"one": ["G0", "G1", "G2"], "two": ["G3", "G4"]}


@pytest.fixture(scope="module")
def cells() -> AnnData:
    random = np.random.default_rng(0)
    n = 600
    gene = np.arange(n) % 8
    control = gene >= 6
    perturbation = np.where(control, "nontargeting", [f"G{g}" for g in gene])
    obs = pd.DataFrame(
        {
            "perturbation": perturbation,
            "guide": [f"{p}_{i}" for p, i in zip(perturbation, random.integers(0, 3, n), strict=True)],
            "control": control,
            "batch": np.where(random.random(n) < 0.5, "b0", "b1"),
        },
        index=[f"c{i}" for i in range(n)],
    )
    return AnnData(obs=obs, obsm={"background": random.normal(size=(n, 4)), "salient": random.normal(size=(n, 4))})


def test_what_can_be_asked_is_asked_and_the_rest_is_accounted_for(cells: AnnData) -> None:
    results, left_out = ask_all(cells, options={"complexes": {"annotations": SETS}})
    assert {"complexes", "artifacts"} <= set(results)
    assert "needs the option" in left_out["dose"]
    assert set(results).isdisjoint(left_out)
    assert any(sentence.startswith("dose was left out: The benchmark 'dose' needs") for sentence in said(left_out))


def test_each_result_is_what_the_benchmark_says_alone(cells: AnnData) -> None:
    results, _ = ask_all(cells, options={"complexes": {"annotations": SETS}})
    alone = benchmark(profile(cells), "complexes", annotations=SETS)
    pd.testing.assert_frame_equal(results["complexes"].table, alone.table)
    pd.testing.assert_frame_equal(results["artifacts"].table, benchmark(cells, "artifacts").table)


def test_profiles_that_a_user_has_made_are_judged_as_they_are(cells: AnnData) -> None:
    profiles = profile(cells)
    assert Judged(profiles).for_("complexes") is profiles
    bare = AnnData(obs=profiles.obs[["perturbation", "control"]], obsm={"mine": profiles.obsm["salient"]})
    assert Judged(bare).for_("complexes") is bare
    assert Judged(cells).for_("artifacts") is cells


def test_a_benchmark_that_was_asked_for_by_name_must_work(cells: AnnData) -> None:
    with pytest.raises(BenchmarkError, match="do not overlap"):
        ask_all(cells, options={"complexes": {"annotations": {"x": ["A", "B"]}}})
    with pytest.raises(SettingsError, match="There is no benchmark 'complex'"):
        ask_all(cells, options={"complex": {}})


def test_headlines_stand_side_by_side(cells: AnnData) -> None:
    results, _ = ask_all(cells, options={"complexes": {"annotations": SETS}})
    table = comparison(results)
    row = table[(table["benchmark"] == "complexes") & (table["metric"] == "average precision")].iloc[0]
    headline = results["complexes"].headline
    for space in ("background", "salient", "combined"):
        mine = headline[(headline["metric"] == "average precision") & (headline["space"] == space)]["value"].iloc[0]
        assert row[space] == pytest.approx(mine)
    levels = headline[headline["metric"] == "average precision"]["chance"]
    assert row["chance"] == f"{levels.min():.3f} to {levels.max():.3f}"
    recall = table[(table["benchmark"] == "complexes") & (table["metric"] == "EFAAR recall at 5/95")].iloc[0]
    assert recall["chance"] == "0.000"  # of 15 pairs of six genes none lies in a tail of 5 %


def test_where_nothing_can_be_asked_all_reasons_are_given(cells: AnnData) -> None:
    foreign = AnnData(obs=cells.obs[["perturbation"]].rename(columns={"perturbation": "gene"}), obsm=dict(cells.obsm))
    with pytest.raises(
        BenchmarkError, match=r"None of the benchmarks.*hits was left out: The cells lack guide"
    ) as said_:
        ask_all(foreign)
    assert "obs['guide'] = obs['the column of yours']" in str(said_.value)
    with pytest.raises(BenchmarkError, match="The cells lack guide, perturbation, control in obs; it has gene"):
        profile(foreign)


def test_notes_stand_by_benchmark_and_each_once() -> None:
    table = tidy([{"space": "mine", "metric": "score", "value": 1.0, "chance": 0.5, "n": 3}])
    notes = {"hits": ("All do.", "Few batches."), "mitosis": ("No.", "Few batches.", "No."), "stages": ()}
    results = {name: Result(name, table, table, said) for name, said in notes.items()}
    assert list(notes_of(results)) == ["hits: All do.", "hits, mitosis: Few batches.", "mitosis: No."]
