"""Technical artefacts, against scikit-learn and planted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.artifacts import artifacts
from contrascope.benchmarks.result import Result
from contrascope.errors import BenchmarkError


def cells(n: int = 3000, seed: int = 0) -> AnnData:
    """Batch is in the background, place in the field in ``field``, place in the well in ``well``."""
    random = np.random.default_rng(seed)
    batch, row, column = random.integers(0, 4, n), random.integers(0, 5, n), random.integers(0, 5, n)
    distance = np.sqrt(random.random(n))
    obs = pd.DataFrame(
        {
            "batch": pd.Categorical([f"p{b}" for b in batch]),
            "field_distance": distance,
            "tile_row": row,
            "tile_column": column,
            "control": random.random(n) < 0.5,
        },
        index=[str(i) for i in range(n)],
    )
    edge = (row % 4 == 0) | (column % 4 == 0)
    noise = random.normal(size=(4, n, 4))
    obsm = {
        "background": noise[0] + 4 * random.normal(size=(4, 4))[batch],
        "salient": noise[1],
        "field": noise[2] + 6 * distance[:, None],
        "well": noise[3] + 2 * edge[:, None],
    }
    return AnnData(obs=obs, obsm=obsm)


def score(result: Result, space: str, target: str, metric: str = "AUROC") -> pd.Series:
    table = result.table.set_index(["space", "target", "metric"])
    return table.loc[(space, target, metric)]


def test_a_planted_artefact_is_read_where_it_is_and_nowhere_else() -> None:
    result = artifacts(cells(), spaces=["background", "salient", "field", "well"])
    planted = {("background", "batch"), ("field", "field"), ("well", "well")}
    for space in ("background", "salient", "field", "well"):
        for target in ("batch", "field", "well"):
            auroc = score(result, space, target)["value"]
            assert auroc > 0.9 if (space, target) in planted else abs(auroc - 0.5) < 0.12, (space, target)


def test_f1_stands_beside_the_f1_of_guessing() -> None:
    result = artifacts(cells(), spaces=["salient"])
    for target in ("batch", "field", "well"):
        row = score(result, "salient", target, "F1")
        assert row["value"] == pytest.approx(row["chance"], abs=0.1)
    assert score(result, "salient", "batch", "F1")["chance"] == pytest.approx(0.25, abs=0.02)


def test_what_cannot_be_judged_is_left_out_with_its_reason() -> None:
    data = cells()
    one = data[data.obs["batch"] == "p0"].copy()
    del one.obs["tile_row"]
    result = artifacts(one, spaces=["salient"])
    assert set(result.table["target"]) == {"field"}
    assert "batch was left out: 1 value(s) with 20 cells or more" in result.notes[0]
    assert "well was left out: the cells have no tile_row" in result.notes[1]
    assert "Nothing was judged by tile: the cells have no plate, well and tile" in result.notes[2]
    assert result.table.drop(columns=["low", "high"]).notna().all(axis=None)


def test_cells_too_few_for_any_target_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="No artefact can be judged on these 30 cells"):
        artifacts(cells(30))


def test_small_batches_are_left_out_of_the_batch_probe() -> None:
    data = cells()
    labels = data.obs["batch"].astype(str).to_numpy().copy()
    labels[:5] = "tiny"
    data.obs["batch"] = labels
    assert score(artifacts(data, spaces=["salient"]), "salient", "batch")["n_classes"] == 4


def test_controls_only_and_at_most_so_many_cells() -> None:
    data = cells()
    controls = artifacts(data, spaces=["salient"], among="controls")
    assert score(controls, "salient", "batch")["n"] == data.obs["control"].sum()
    assert score(artifacts(data, spaces=["salient"], max_cells=500), "salient", "batch")["n"] == 500
    with pytest.raises(BenchmarkError, match="Choose one of: all, controls"):
        artifacts(data, among="some")  # type: ignore[arg-type]


def test_a_constant_and_a_huge_feature_raise_no_warning() -> None:
    data = cells(800)
    data.obsm["odd"] = np.column_stack([np.ones(800), 1e8 * data.obsm["salient"][:, 0]])
    assert artifacts(data, spaces=["odd"]).table["value"].notna().all()


def test_any_column_of_classes_can_be_asked_for() -> None:
    data = cells()
    data.obs["stage"] = np.where(data.obsm["salient"][:, 0] > 0, "mitotic", "interphase")
    result = artifacts(data, spaces=["background", "salient"], columns="stage")
    listed = artifacts(data, spaces=["background", "salient"], columns=["stage"])
    pd.testing.assert_frame_equal(listed.table, result.table)
    assert score(result, "salient", "stage")["value"] > 0.95
    assert abs(score(result, "background", "stage")["value"] - 0.5) < 0.1
    assert score(result, "salient", "stage", "F1")["value"] > 0.9
    assert "stage AUROC" in set(result.headline["metric"])


def test_a_column_that_is_not_there_is_refused_and_one_of_many_values_left_out() -> None:
    data = cells()
    with pytest.raises(BenchmarkError, match=r"asked for stage\. The cells have batch"):
        artifacts(data, columns=["stage"])
    data.obs["name"] = data.obs_names
    notes = artifacts(data, columns=["name"], spaces=["salient"]).notes
    assert "name was left out: 0 value(s) with 20 cells" in notes[0]


def test_the_papers_split_is_a_plain_scikit_learn_probe() -> None:
    data = cells()
    rows = np.random.default_rng(0).permutation(data.n_obs)
    features, batch = data.obsm["background"][rows], data.obs["batch"].to_numpy()[rows]
    train, test = train_test_split(np.arange(3000), test_size=0.4, stratify=batch, random_state=0)
    probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-5))
    probe.fit(features[train], batch[train])
    area = roc_auc_score(batch[test], probe.predict_proba(features[test]), multi_class="ovr")
    assert score(artifacts(data, spaces=["background"]), "background", "batch")["value"] == pytest.approx(
        area, abs=2e-3
    )


def test_what_is_known_of_a_tile_is_no_artefact_of_the_well() -> None:
    data = cells()
    tile = data.obs.groupby(["batch", "tile_row", "tile_column"], observed=True).ngroup().to_numpy()
    random = np.random.default_rng(1)
    data.obsm["tiles"] = random.normal(size=(tile.max() + 1, 8))[tile] + 0.5 * random.normal(size=(3000, 8))
    result = artifacts(data, spaces=["tiles", "well"])
    assert score(result, "tiles", "well")["value"] > 0.75
    assert score(result, "tiles", "well", "AUROC by tile")["value"] < 0.6
    kept = score(result, "well", "well", "AUROC by tile")
    assert kept["value"] == pytest.approx(score(result, "well", "well")["value"], abs=0.03)
    assert kept["low"] <= kept["value"] <= kept["high"]
    assert kept["n_tiles"] == 100


def test_batches_that_do_not_mix_are_seen_by_their_neighbours() -> None:
    result = artifacts(cells(), spaces=["background", "salient"])
    apart, mixed = (score(result, space, "batch", "kNN same") for space in ("background", "salient"))
    assert apart["value"] > 0.9
    assert mixed["low"] < mixed["chance"] < mixed["high"]
    assert mixed["chance"] == pytest.approx(0.25, abs=0.01)
    assert set(result.headline["metric"]) >= {"batch AUROC", "batch AUROC by tile", "batch kNN same", "field F1"}
    assert "field kNN same" not in set(result.headline["metric"])


def test_a_column_of_many_numbers_is_predicted_and_not_classed() -> None:
    data = cells()
    random = np.random.default_rng(2)
    data.obs["area"] = np.exp(data.obsm["salient"][:, 0] + random.normal(size=3000))
    data.obs["plate_number"] = random.integers(0, 40, 3000)
    result = artifacts(data, spaces=["background", "salient"], columns=["area", "plate_number"], classes="plate_number")
    read, lost = (score(result, space, "area", "Spearman") for space in ("salient", "background"))
    assert read["value"] == pytest.approx(0.69, abs=0.05)  # Gaussian r = 1 / sqrt(2), Spearman 6 / pi asin(r / 2)
    assert lost["value"] == pytest.approx(lost["chance"], abs=0.1)  # sd .03 of 1,200 cells
    assert score(result, "salient", "area", "Spearman by tile")["value"] == pytest.approx(read["value"], abs=0.05)
    assert read["n_classes"] == 0
    assert set(result.table.loc[result.table["target"] == "area", "metric"]) == {
        "R2", "Spearman", "R2 by tile", "Spearman by tile",
    }  # fmt: skip
    assert score(result, "salient", "plate_number")["n_classes"] == 40
    assert {"area R2", "area R2 by tile"} <= set(result.headline["metric"])
    assert "area Spearman" not in set(result.headline["metric"])


def test_the_place_in_the_well_can_be_given() -> None:
    data = cells()
    random = np.random.default_rng(3)
    radius, angle = 3000 * np.sqrt(random.random(3000)), 2 * np.pi * random.random(3000)
    data.obs["y_well"], data.obs["x_well"] = 500 + radius * np.sin(angle), radius * np.cos(angle)
    data.obs["from_centre"] = radius
    data.obsm["round"] = random.normal(size=(3000, 4)) + radius[:, None] / 1000
    by_tile = artifacts(data, spaces=["round"])
    assert score(by_tile, "round", "well")["value"] < 0.62
    for columns in (["y_well", "x_well"], "from_centre"):
        row = score(artifacts(data, spaces=["round"], well_position=columns), "round", "well")
        assert row["value"] > 0.95
        assert row["n"] == pytest.approx(1500, abs=8)
    with pytest.raises(BenchmarkError, match="well_position names 3 columns"):
        artifacts(data, well_position=["y_well", "x_well", "from_centre"])
    with pytest.raises(BenchmarkError, match="asked for nowhere"):
        artifacts(data, well_position="nowhere")


def test_names_of_batches_order_of_cells_and_scale_of_features_do_not_matter() -> None:
    data = cells(1500)
    plain = artifacts(data, spaces=["background"]).table
    other = data.copy()
    other.obs["batch"] = other.obs["batch"].map({"p0": "z", "p1": "y", "p2": "x", "p3": "w"})
    other.obsm["background"] = 1000 * other.obsm["background"] + 7
    pd.testing.assert_frame_equal(artifacts(other, spaces=["background"]).table, plain, rtol=0.02)
    shuffled = data[np.random.default_rng(9).permutation(1500)].copy()
    values = artifacts(shuffled, spaces=["background"]).table["value"]
    np.testing.assert_allclose(values, plain["value"], atol=0.12)


def test_flags_of_controls_stored_as_text_are_refused() -> None:
    data = cells()
    data.obs["control"] = data.obs["control"].astype(str)
    with pytest.raises(BenchmarkError, match="true or false was needed for each row"):
        artifacts(data, among="controls")


def test_numbers_of_options_that_leave_nothing_are_refused() -> None:
    for option in ("max_cells", "neighbours"):
        with pytest.raises(BenchmarkError, match="both must be 1 or more"):
            artifacts(cells(), **{option: 0})  # type: ignore[arg-type]
