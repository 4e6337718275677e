"""Novelty: planted effects in two spaces, found, measured and told apart; none is found where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import special_ortho_group
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from contrascope.benchmarks.novelty import (
    BEYOND,
    CONTROL_NORM,
    CONTROLS_BEYOND,
    NOISY_SHARE,
    NORM,
    SHARE,
    auroc_interval,
    novelty,
    share,
)
from contrascope.benchmarks.result import Result
from contrascope.errors import BenchmarkError
from contrascope.profiles import salient_share
from contrascope.profiles.correct import corrected

NOVEL, SHIFTED, INERT = (tuple(f"{kind}{i}" for i in range(6)) for kind in ("nov", "shi", "ine"))
GROUPS = dict.fromkeys(NOVEL, "novel") | dict.fromkeys(SHIFTED, "shifted")


def screen(
    seed: int = 0, *, effect: float = 1.0, control_guides: int = 8, cells: tuple[int, int] = (20, 60), copies: int = 1
) -> AnnData:
    """Two guides a gene; novel genes move the salient space, and by a fifth the background, shifted ones in turn."""
    random = np.random.default_rng(seed)
    genes = [f"{gene}{c or ''}" for c in range(copies) for gene in (*NOVEL, *SHIFTED, *INERT)]
    names = [(gene, f"{gene}_{i}") for gene in genes for i in range(2)]
    names += [("nt", f"nt_{i:03d}") for i in range(control_guides)]
    perturbation, guide = np.array(names)[np.repeat(np.arange(len(names)), random.integers(*cells, len(names)))].T
    obs = pd.DataFrame({"guide": guide, "perturbation": perturbation, "control": perturbation == "nt"}).rename(str)
    novel, shifted = (np.char.startswith(perturbation, kind) for kind in ("nov", "shi"))
    spaces = {"background": random.normal(size=(len(obs), 10)), "salient": 0.1 * random.normal(size=(len(obs), 6))}
    spaces["background"][:, 0] += effect * (shifted + 0.2 * novel)
    spaces["salient"][:, 0] += 0.1 * effect * (novel + 0.2 * shifted)
    return AnnData(obs=obs, obsm=spaces)


def rows(result: Result, metric: str, space: str) -> pd.DataFrame:
    table = result.table
    return table[(table["metric"] == metric) & (table["space"] == space)].set_index("perturbation")


def value(result: Result, metric: str, space: str = "combined") -> float:
    return float(result.headline.set_index(["space", "metric"]).loc[(space, metric), "value"])


@pytest.fixture(scope="module")
def found() -> Result:
    return novelty(screen(), groups=GROUPS)


def test_planted_effects_are_beyond_chance_in_their_space_and_others_are_not(found: Result) -> None:
    background, salient = rows(found, NORM, "background"), rows(found, NORM, "salient")
    assert (background.loc[list(SHIFTED), "q"] < 0.01).all()
    assert (salient.loc[list(NOVEL), "q"] < 0.01).all()
    assert (salient.loc[list(INERT), "q"] > 0.05).all()
    np.testing.assert_allclose(background.loc[list(SHIFTED), "value"], 1, atol=0.4)
    np.testing.assert_allclose(salient.loc[list(NOVEL), "value"], 0.1, atol=0.04)
    assert (background["low"] <= background["value"]).all()
    assert (background["value"] <= background["high"]).all()
    assert set(salient["group"].fillna("-")) == {"novel", "shifted", "-"}


def test_shares_tell_novel_from_shifted_and_are_half_by_chance(found: Result) -> None:
    shares = rows(found, SHARE, "combined")
    assert (shares.loc[list(NOVEL), "low"] > shares["chance"].mean()).sum() >= 5  # one of six may be of few cells
    assert (shares.loc[list(SHIFTED), "high"] < shares["chance"].mean()).all()
    assert shares["chance"].mean() == pytest.approx(0.5, abs=0.1)
    assert value(found, "AUROC of salient share") == 1
    assert set(found.headline["metric"]) == {
        BEYOND, CONTROLS_BEYOND, "AUROC of salient share", "AUROC of salient share at q 0.05",
        "AUROC of salient share, noise left in",
    }  # fmt: skip


def test_with_noise_left_in_the_share_is_that_of_profiles(found: Result) -> None:
    expected = salient_share(screen())["salient share"]
    np.testing.assert_allclose(rows(found, NOISY_SHARE, "combined")["value"].loc[expected.index], expected)


def test_few_cells_do_not_look_like_an_effect() -> None:
    few = [novelty(screen(seed, effect=0.0, cells=(3, 5)), spaces=["salient"], draws=50) for seed in range(5)]
    many = [novelty(screen(seed, effect=0.0, cells=(90, 99)), spaces=["salient"], draws=50) for seed in range(5)]
    for found in (few, many):
        table = pd.concat([rows(one, NORM, "salient") for one in found])
        assert table["value"].median() < 0.03  # a third of the effects that are planted elsewhere
        assert abs((table["value"] - table["chance"]).mean()) < 3 * table["value"].std() / np.sqrt(len(table))


def test_q_is_that_of_statsmodels_and_the_share_of_low_p_that_of_the_table(found: Result) -> None:
    for space in ("background", "salient", "combined"):
        table = rows(found, NORM, space)
        np.testing.assert_allclose(table["q"], multipletests(table["p"], method="fdr_bh")[1])
        assert value(found, BEYOND, space) == (table["p"] <= 0.05).mean()
        assert value(found, CONTROLS_BEYOND, space) == (rows(found, CONTROL_NORM, space)["p"] <= 0.05).mean()


def test_without_effects_as_many_are_at_p_005_as_chance_says() -> None:
    found = [
        novelty(screen(seed, effect=0.0, copies=4, control_guides=60), spaces=["background"], draws=200)
        for seed in range(6)
    ]
    headline = pd.concat([one.headline for one in found]).groupby("metric")[["value", "chance"]].mean()
    for metric, n in ((BEYOND, 6 * 72), (CONTROLS_BEYOND, 6 * 60)):
        expected = headline.loc[metric, "chance"]
        assert expected == pytest.approx(10 / 201)
        assert abs(headline.loc[metric, "value"] - expected) < 3 * np.sqrt(0.05 * 0.95 / n)


def test_many_control_guides_are_the_null(found: Result) -> None:
    result = novelty(screen(control_guides=120), spaces=["salient"])
    assert result.notes[0] == "p is against 120 control guides, each seen from the others."
    p = rows(result, NORM, "salient")["p"]
    assert p.min() == pytest.approx(1 / 121)
    np.testing.assert_allclose(p * 121, np.round(p * 121))
    assert CONTROLS_BEYOND not in set(result.table["metric"])  # they would be judged by themselves
    assert result.headline.set_index("metric").loc[BEYOND, "chance"] == pytest.approx(6 / 121)
    assert found.notes[0].startswith("p is against 1,000 pseudo-guides of")


@settings(max_examples=5)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_units_and_axes_of_a_space_do_not_matter_to_p_and_share(seed: int, scale: float) -> None:
    data = screen()
    expected = novelty(data, draws=30)
    data.obsm["salient"] = scale * data.obsm["salient"] @ special_ortho_group.rvs(6, random_state=seed) + 3.0
    again = novelty(data, draws=30)
    before, after = rows(expected, NORM, "salient"), rows(again, NORM, "salient")
    np.testing.assert_allclose(after["p"], before["p"])
    np.testing.assert_allclose(after["value"], scale * before["value"], rtol=1e-5, atol=1e-9)
    for column in ("value", "low", "high", "chance"):
        np.testing.assert_allclose(
            rows(again, SHARE, "combined")[column], rows(expected, SHARE, "combined")[column], atol=1e-5
        )


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), ties=st.booleans())
def test_auroc_is_that_of_scikit_learn_and_lies_in_its_interval(seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(0.5, size=9), random.normal(size=14)
    if ties:
        a, b = np.round(a), np.round(b)
    found = auroc_interval(a, b, seed=0)
    assert found["value"] == pytest.approx(roc_auc_score([1] * 9 + [0] * 14, np.r_[a, b]))
    assert found["low"] <= found["value"] <= found["high"]


def test_intervals_of_auroc_are_those_of_a_readable_loop() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(0.7, size=20), random.normal(size=25)
    drawn = [roc_auc_score([1] * 20 + [0] * 25, np.r_[random.choice(a, 20), random.choice(b, 25)]) for _ in range(1000)]
    found = auroc_interval(a, b, seed=0)
    np.testing.assert_allclose([found["low"], found["high"]], np.percentile(drawn, [2.5, 97.5]), atol=0.03)


def test_a_share_of_nothing_is_half() -> None:
    np.testing.assert_allclose(share(np.array([0.0, 1.0, 0.0]), np.array([0.0, 3.0, 2.0])), [0.5, 0.75, 1.0])


def test_one_space_of_anybody_has_norms_and_no_shares() -> None:
    data = screen()
    data = AnnData(obs=data.obs, obsm={"X_dino": data.obsm["salient"]})
    result = novelty(data, groups=GROUPS, draws=20)
    assert set(result.table["metric"]) == {NORM, CONTROL_NORM, BEYOND, CONTROLS_BEYOND}
    result.plot().canvas.draw()


def test_perturbations_of_both_kinds_count_for_neither_and_missing_kinds_are_said() -> None:
    sets = {"a": [*NOVEL, "shi0"], "b": SHIFTED}
    options: dict[str, Any] = {"draws": 20, "spaces": ["combined"]}
    result = novelty(screen(), annotations=sets, groups={"a": "novel", "b": "shifted"}, **options)
    assert "1 perturbations are in both groups of the contrast and count for neither." in result.notes
    assert result.headline.set_index("metric").loc["AUROC of salient share", "n"] == 11
    assert rows(result, SHARE, "combined").loc["shi0", "group"] == "novel, shifted"
    named = novelty(screen(), annotations=sets, contrast=["b", "a"], **options)
    assert value(named, "AUROC of salient share") == pytest.approx(1 - value(result, "AUROC of salient share"))
    without = novelty(screen(), annotations=sets, **options)
    assert any(note.startswith("AUROC of salient share was left out") for note in without.notes)


def test_what_cannot_be_answered_is_refused() -> None:
    data = screen()
    with pytest.raises(BenchmarkError, match="Give the names of two groups"):
        novelty(data, groups=GROUPS, contrast="novel", draws=20)
    with pytest.raises(BenchmarkError, match="none is in both"):
        novelty(data, groups={"TP53": "novel"})
    data.obs["control"] = False
    with pytest.raises(BenchmarkError, match="guides are controls"):
        novelty(data)


@pytest.mark.parametrize("spaces", [["combined"], ["salient"]])
def test_cells_whitened_on_few_of_the_controls_they_are_seen_from_are_refused(spaces: list[str]) -> None:
    cells = screen(control_guides=1, cells=(40, 50))
    with pytest.raises(BenchmarkError, match=r"corrected by 'whiten'.*as few as 4\d controls for the \d+ features of"):
        novelty(corrected(cells, "whiten"), groups=GROUPS, spaces=spaces)
