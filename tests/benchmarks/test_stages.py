"""Stages of controls, against scikit-learn and planted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from contrascope.benchmarks.stages import stages
from contrascope.errors import BenchmarkError

NAMES = ["G1", "mitotic", "S"]


def cells(n: int = 3000, *, classes: int = 2, seed: int = 0) -> AnnData:
    """Stage is in the background of controls; perturbed cells have it in ``salient`` alone."""
    random = np.random.default_rng(seed)
    stage, control = random.integers(0, classes, n), random.random(n) < 0.5
    shift = 4 * random.normal(size=(classes, 4))[stage]
    obsm = {
        "background": random.normal(size=(n, 4)) + shift * control[:, None],
        "salient": random.normal(size=(n, 4)) + shift * ~control[:, None],
    }
    obs = pd.DataFrame(
        {"control": control, "stage": pd.Categorical([NAMES[k] for k in stage])}, index=[str(i) for i in range(n)]
    )
    return AnnData(obs=obs, obsm=obsm)


def value(table: pd.DataFrame, space: str, metric: str, stage: str | None = None) -> float:
    rows = table[(table["space"] == space) & (table["metric"] == metric)]
    return float((rows if stage is None else rows[rows["truth"] == stage])["value"].iloc[0])


def test_the_stage_of_controls_is_read_where_controls_have_it() -> None:
    table = stages(cells()).table
    assert value(table, "background", "AUROC") > 0.95
    assert value(table, "background", "F1", "mitotic") > 0.9
    assert abs(value(table, "salient", "AUROC") - 0.5) < 0.08


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_scikit_learn(classes: int) -> None:
    data = cells(1200, classes=classes)
    data.obsm["background"] += 4 * np.random.default_rng(1).normal(size=data.obsm["background"].shape)
    table = stages(data, spaces=["background"]).table
    rows = np.random.default_rng(0).permutation(
        np.flatnonzero(data.obs["control"])[np.argsort(data.obs_names[data.obs["control"]])]
    )
    x, y = data.obsm["background"][rows], data.obs["stage"].astype(str).to_numpy()[rows]
    train, test = train_test_split(np.arange(len(y)), test_size=0.4, stratify=y, random_state=0)
    probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-5)).fit(
        x[train], y[train]
    )
    said, probability = probe.predict(x[test]), probe.predict_proba(x[test])
    names = list(probe.classes_)
    area = roc_auc_score(y[test], probability[:, 1] if classes == 2 else probability, multi_class="ovr")
    assert value(table, "background", "AUROC") == pytest.approx(area)
    assert value(table, "background", "mean F1") == pytest.approx(f1_score(y[test], said, average="macro"))
    for name, f1 in zip(names, f1_score(y[test], said, average=None), strict=True):
        assert value(table, "background", "F1", name) == pytest.approx(f1)
    diagonal = table[(table["metric"] == "confusion") & (table["truth"] == table["predicted"])]
    recalls = dict(zip(names, recall_score(y[test], said, average=None), strict=True))
    assert dict(zip(diagonal["truth"], diagonal["value"], strict=True)) == pytest.approx(recalls)


def test_any_column_will_do_and_flags_too() -> None:
    data = cells()
    data.obs["is_mitotic"] = (data.obs["stage"] == "mitotic").to_numpy()
    by_flag = stages(data, column="is_mitotic").table
    assert set(by_flag["truth"].dropna()) == {"False", "True"}
    assert value(by_flag, "background", "AUROC") == pytest.approx(value(stages(data).table, "background", "AUROC"))


def test_the_headline_names_the_stages_where_there_are_two() -> None:
    assert {"AUROC", "mean F1", "F1 of mitotic", "F1 of G1"} == set(stages(cells()).headline["metric"])
    assert {"AUROC", "mean F1"} == set(stages(cells(classes=3)).headline["metric"])


def test_rare_stages_and_cells_without_one_are_left_out() -> None:
    data = cells()
    stage = data.obs["stage"].astype(object).to_numpy().copy()
    stage[:8], stage[8:500] = "rare", None
    data.obs["stage"] = stage
    result = stages(data)
    known = data.obs["control"].to_numpy() & np.isin(stage, ["G1", "mitotic"])
    assert result.notes[0] == f"Judged {known.sum():,} controls, 40% of them held out, in 2 values of stage."
    assert result.notes[1] == "Left out, with fewer than 20 controls: rare."


def test_what_cannot_be_judged_is_refused() -> None:
    data = cells()
    with pytest.raises(BenchmarkError, match=r"stages names the column 'phase'\. The cells have control, stage"):
        stages(data, column="phase")
    data.obs["stage"] = "G1"
    with pytest.raises(BenchmarkError, match=r"has 1 value\(s\) with 20 controls or more.* G1 1,"):
        stages(data)
    data.obs["control"] = False
    with pytest.raises(BenchmarkError, match="The 0 controls with a value: none"):
        stages(data)
    del data.obs["control"]
    with pytest.raises(BenchmarkError, match="names the column 'control'"):
        stages(data)
