"""Technical artefacts, against scikit-learn and planted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.benchmarks.artifacts import artifacts, edge_or_central
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


def test_a_square_well_has_its_rim_as_edge_and_the_middle_as_centre() -> None:
    tiles = np.array([(r, c) for r in range(8) for c in range(8)], dtype=float)
    label = edge_or_central(tiles).reshape(8, 8)
    rim = np.ones((8, 8), dtype=bool)
    rim[1:-1, 1:-1] = False
    assert (label[rim] == 1).all()
    assert (label == 0).sum() == rim.sum()
    assert (label[3:5, 3:5] == 0).all()
    assert label[1, 1] == -1


def test_a_round_well_has_an_edge_all_around_and_a_hole_is_none() -> None:
    tiles = np.array([(r, c) for r in range(9) for c in range(9) if (r - 4) ** 2 + (c - 4) ** 2 <= 17], dtype=float)
    tiles = tiles[~(tiles == (4, 3)).all(axis=1)]
    edge = {tuple(tile) for tile in tiles[edge_or_central(tiles) == 1]}
    assert {(0, 4), (4, 0), (1, 2), (7, 6)} <= edge
    assert not {(4, 2), (4, 4), (3, 3), (5, 3)} & edge


def test_what_cannot_be_judged_is_left_out_with_its_reason() -> None:
    data = cells()
    one = data[data.obs["batch"] == "p0"].copy()
    del one.obs["tile_row"]
    result = artifacts(one, spaces=["salient"])
    assert set(result.table["target"]) == {"field"}
    assert "batch was left out: 1 value(s) with 20 cells or more" in result.notes[0]
    assert "well was left out: the cells have no tile_row" in result.notes[1]
    assert result.table.notna().all(axis=None)


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
    notes = artifacts(data, columns=["field_distance"], spaces=["salient"]).notes
    assert "field_distance was left out: 0 value(s) with 20 cells" in notes[0]
