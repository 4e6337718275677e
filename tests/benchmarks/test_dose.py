"""Dose response on a plate with a planted one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr, special_ortho_group
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.dose import dose, z_prime
from contrascope.benchmarks.result import Result
from contrascope.errors import BenchmarkError

ROLES = ("negative", "positive")
DOSES = [0.0, 0, 1, 3, 10, 30, 100, 100]
ASK: dict[str, Any] = {
    "dose": "dose",
    "negative": {"column": 1},
    "positive": {"column": "8"},
    "fit": {"row": ["A", "B"]},
    "test": {"row": ["C", "D"]},
}


def plate(effect: float = 5.0, seed: int = 0, cells_a_well: int = 10) -> AnnData:
    """Rows A-D, columns 1-8; column 1 is untreated, column 8 the highest dose; response is saturating."""
    random = np.random.default_rng(seed)
    wells = [(row, column) for row in "ABCD" for column in range(1, 9)]
    table = [{"plate": "p", "well": f"{r}{c:02d}", "dose": DOSES[c - 1]} for r, c in wells for _ in range(cells_a_well)]
    obs = pd.DataFrame(table).rename(str)
    response = (obs["dose"] / (obs["dose"] + 8)).to_numpy()
    noise = random.normal(size=(2, len(obs), 6))
    moved = noise[0] + effect * response[:, None] * np.array([1, -1, 0, 0, 0, 0])
    return AnnData(obs=obs, obsm={"salient": moved, "untrained": noise[1]})


def value(result: Result, metric: str, space: str = "salient") -> float:
    return float(result.headline.set_index(["space", "metric"]).loc[(space, metric), "value"])


def test_a_planted_response_is_followed_and_noise_is_not() -> None:
    result = dose(plate(), **ASK)
    assert value(result, "Spearman") > 0.9
    assert value(result, "Z'") > 0
    assert value(result, "Z'", "untrained") < 0
    rows = result.table[result.table["space"] == "untrained"].set_index("metric")
    assert abs(rows.loc["Spearman", "value"]) < 0.6


def test_low_doses_lie_with_the_negative_and_high_doses_with_the_positive_controls() -> None:
    table = dose(plate(), **ASK).table
    means = table[(table["space"] == "salient") & (table["metric"] == "mean position")].set_index(["dose", "role"])
    assert means.loc[(0.0, "treated"), "value"] == pytest.approx(0, abs=0.2)
    assert means.loc[(100.0, "treated"), "value"] == pytest.approx(1, abs=0.2)
    assert means["sd"].notna().all()
    assert means.loc[(0.0, "negative"), "n"] == 2


def test_the_controls_of_fit_lie_at_zero_and_one() -> None:
    table = dose(plate(), **ASK | {"test": ASK["fit"]}).table
    means = table[(table["space"] == "salient") & (table["metric"] == "mean position")].set_index("role")["value"]
    assert means["negative"] == pytest.approx(0, abs=1e-12)
    assert means["positive"] == pytest.approx(1)


def test_the_table_says_which_parts_were_fitted_and_tested() -> None:
    table = dose(plate(), **ASK | {"test": {"row": "C", "column": [1, 3, 8]}}).table
    assert set(table["fit"]) == {"row A, B"} and set(table["test"]) == {"row C; column 1, 3, 8"}


def test_spearman_and_z_prime_follow_from_the_positions_in_the_table() -> None:
    result = dose(plate(effect=1.0), **ASK, spaces=["salient"])
    wells = result.table[result.table["metric"] == "position"]
    assert value(result, "Spearman") == pytest.approx(spearmanr(wells["value"], wells["dose"]).statistic)
    treated = wells[wells["role"] == "treated"]
    assert value(result, "Spearman without controls") == pytest.approx(
        spearmanr(treated["value"], treated["dose"]).statistic
    )
    low, high = (wells.loc[wells["role"] == role, "value"] for role in ("negative", "positive"))
    expected = 1 - 3 * (low.std() + high.std()) / abs(low.mean() - high.mean())
    assert value(result, "Z'") == pytest.approx(expected)
    assert list(wells["n"].unique()) == [10]


def test_by_probe_a_well_lies_where_scikit_learn_sees_its_cells() -> None:
    cells = plate(effect=1.0)
    table = dose(cells, **ASK, spaces=["salient"]).table
    column, row = cells.obs["well"].str[1:].astype(int), cells.obs["well"].str[0]
    fit, matrix = row.isin(["A", "B"]) & column.isin([1, 8]), cells.obsm["salient"]
    scaler = StandardScaler().fit(matrix[fit])
    probe = LogisticRegression(class_weight="balanced").fit(scaler.transform(matrix[fit]), column[fit] == 8)
    positive = pd.Series(probe.predict_proba(scaler.transform(matrix))[:, 1]).groupby(cells.obs["well"].to_numpy())
    found = table[table["metric"] == "position by probe"].set_index("unit")["value"]
    expected = positive.mean()[[name.split()[1] for name in found.index]]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    low, high = (table.loc[table["metric"].eq("position by probe") & table["role"].eq(role), "value"] for role in ROLES)
    z = 1 - 3 * (low.std() + high.std()) / abs(low.mean() - high.mean())
    assert table.set_index("metric").loc["Z' by probe", "value"] == pytest.approx(z)


def test_a_probe_that_is_not_through_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("probe" in note for note in dose(plate(), **ASK).notes)
    monkeypatch.setattr("contrascope.benchmarks.probe.MAX_STEPS", 1)
    assert any("The probe in salient stopped" in note for note in dose(plate(), **ASK).notes)


def test_a_response_whose_strength_differs_by_well_disturbs_the_probe_less() -> None:
    cells = plate(effect=12.0, cells_a_well=60)
    strength = cells.obs["well"].map(lambda well: {"C": 0.7, "D": 1.4}.get(well[0], 1.0)).to_numpy()
    cells.obsm["salient"] = cells.obsm["salient"] * strength[:, None]
    result = dose(cells, **ASK, spaces=["salient"])
    assert value(result, "Z' by probe") > 0.5
    assert value(result, "Z'") < 0


def test_several_perturbations_at_one_dose_are_told() -> None:
    cells = plate()
    cells.obs["perturbation"] = cells.obs["dose"].astype(str)
    assert not any("At dose" in note for note in dose(cells, **ASK).notes)
    cells.obs["perturbation"] += np.where(np.arange(cells.n_obs) % 2, " of A", " of B")
    assert any("test has 2 perturbations" in note and "of A" in note for note in dose(cells, **ASK).notes)


def test_z_prime_of_a_textbook_example() -> None:
    assert z_prime(np.array([-1.0, 0, 1]), np.array([19.0, 20, 21])) == pytest.approx(1 - 3 * 2 / 20)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_rotation_scale_and_shift_of_the_embedding_do_not_matter(seed: int, scale: float) -> None:
    data = plate(effect=1.0)

    def along_the_axis() -> pd.DataFrame:
        """A probe standardises features, so it knows rotations apart."""
        table = dose(data, **ASK, spaces=["salient"]).table
        return table[~table["metric"].str.endswith("by probe")]

    expected = along_the_axis()
    rotation = special_ortho_group.rvs(6, random_state=seed)
    data.obsm["salient"] = scale * data.obsm["salient"] @ rotation + 3.0
    pd.testing.assert_frame_equal(along_the_axis(), expected, rtol=1e-6, atol=1e-8)


def test_wells_of_one_name_on_two_plates_are_two_wells() -> None:
    data = plate()
    data.obs["plate"] = ["p1" if i % 2 else "p2" for i in range(data.n_obs)]
    wells = dose(data, **ASK, spaces=["salient"]).table.query("metric == 'position'")
    assert len(wells) == 32


def test_numbers_and_texts_select_alike_in_columns_of_numbers() -> None:
    data = plate()
    by_text = dose(data, **ASK | {"negative": {"dose": "0.0", "column": [1]}}).table
    by_number = dose(data, **ASK | {"negative": {"dose": 0, "column": "1"}}).table
    pd.testing.assert_frame_equal(by_text, by_number)


def test_what_cannot_be_computed_is_said() -> None:
    data = plate()
    data.obsm["salient"][:] = 1.0
    data.obs.loc[data.obs["well"] == "C03", "dose"] = np.nan
    same = dose(data, **ASK | {"test": {"row": ["B", "C"]}})
    assert set(same.table["space"]) == {"untrained"}
    text = " ".join(same.notes)
    assert "in both fit and test" in text
    assert "10 cells of test have no number in 'dose'" in text
    assert "salient was left out" in text
    alone = dose(plate(), **ASK | {"test": {"row": "D"}})
    assert "Z' was left out" in alone.notes[0]
    assert "Z'" not in set(alone.headline["metric"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dose": "concentration"}, "dose names the column 'concentration'"),
        ({"unit": "site"}, "unit names the column 'site'"),
        ({"negative": {"kind": "DMSO"}}, "negative names the column 'kind'"),
        (
            {"positive": {"column": 12}},
            r"positive \{column: 12\} selects none of 320 cells. The cells have column: 1, 2",
        ),
        ({"positive": {"column": 1}}, "40 cells are both negative and positive"),
        ({"fit": {"column": 3}}, "holds no negative control"),
        ({"test": {"column": 3}}, "test has 1 dose"),
        ({"unit": "plate"}, "more than one dose or kind of control"),
    ],
)
def test_a_question_that_does_not_fit_the_plate_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        dose(plate(), **ASK | change)
