"""All cells of a store are measured or accounted for, whoever was killed and however many share the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import polars as pl
import pytest
import yaml

from contrascope.errors import SettingsError, StoreError
from contrascope.features import parts
from contrascope.features.outcome import Measured
from contrascope.features.parts import measure_cells
from contrascope.features.segment import NO_NUCLEUS, OK
from contrascope.screen.screen import open_screen
from contrascope.store.crops import extract_crops
from contrascope.store.store import CropStore
from contrascope.tables import read_embedding

HOW: dict[str, Any] = {"nucleus": "DAPI", "features": "fast"}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_CELLS", 5)


@pytest.fixture
def result(few: CropStore, tmp_path: Path) -> Measured:
    return measure_cells(few, tmp_path / "features.parquet", **HOW)


def test_every_cell_is_measured_or_counted_with_a_reason(few: CropStore, result: Measured) -> None:
    ids = few.column("cell_id").to_list()
    assert result.cells == sum(result.masks.values()) == 20
    assert result.not_measured == {NO_NUCLEUS: 3}
    lost = pl.read_parquet(result.left_out)
    assert lost.to_dict(as_series=False) == {"cell_id": [ids[4], ids[9], ids[17]], "reason": [NO_NUCLEUS] * 3}
    table = pl.read_parquet(result.path)
    assert table["cell_id"].to_list() == [name for name in ids if name not in lost["cell_id"]]
    assert table["mask"].value_counts(sort=True)[0, 0] == OK
    assert table.width == result.features + 2
    assert f"20 cells measured, {result.features:,} features" in str(result)
    assert f"3 not measured: {NO_NUCLEUS}" in str(result)


def test_an_anndata_holds_the_same_numbers_beside_the_cell_table(
    few: CropStore, result: Measured, tmp_path: Path
) -> None:
    cells = ad.read_h5ad(measure_cells(few, tmp_path / "features.h5ad", **HOW).path)
    table = pl.read_parquet(result.path)
    measured = cells.obsm["features"]
    assert list(cells.obs_names) == list(measured.index) == table["cell_id"].to_list()
    assert set(few.column_names) | {"mask"} == set(cells.obs)
    assert list(measured.columns) == table.columns[2:]
    assert np.array_equal(measured.to_numpy(), table.drop("cell_id", "mask").to_numpy(), equal_nan=True)
    assert json.loads(cells.uns["measured"])["not_measured"] == {NO_NUCLEUS: 3}


def test_benchmarks_read_the_table_as_it_is(result: Measured) -> None:
    cells = read_embedding(result.path)
    assert cells.n_obs == 20
    assert cells.obsm["features"].shape[1] > 0.95 * result.features


def test_stopped_and_started_again_it_ends_in_the_same_bytes(
    few: CropStore, result: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, made = tmp_path / "again.parquet", []
    part_of = parts.part_of

    def third_fails(plan: Any, rows: np.ndarray, crops: np.ndarray) -> pl.DataFrame:
        made.append(rows[0])
        if len(made) == 3:
            raise KeyboardInterrupt
        return part_of(plan, rows, crops)

    monkeypatch.setattr(parts, "part_of", third_fails)
    with pytest.raises(KeyboardInterrupt):
        measure_cells(few, out, **HOW)
    assert not out.exists()
    measure_cells(few, out, **HOW)
    assert made == [0, 5, 10, 10, 15, 20]
    assert out.read_bytes() == result.path.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize("name", ["features.parquet", "features.h5ad"])
def test_what_is_finished_is_not_made_again(
    name: str, few: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure_cells(few, tmp_path / name, **HOW)
    monkeypatch.setattr(parts, "calling", None)
    assert measure_cells(few, tmp_path / name, **HOW) == first


def test_other_settings_make_it_anew(few: CropStore, result: Measured) -> None:
    other = measure_cells(few, result.path, **HOW, diameter=25)
    assert other.facts["settings"]["diameter"] == 25
    assert other.masks != result.masks


def test_parts_of_another_measurement_are_not_mixed_in(
    few: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "part_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure_cells(few, tmp_path / "f.parquet", **HOW)
    with pytest.raises(StoreError, match=r"f\.parquet\.parts holds parts of another measurement"):
        measure_cells(few, tmp_path / "f.parquet", **HOW, diameter=25)


def test_a_cell_that_cp_measure_cannot_take_is_counted(
    few: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, calls = parts.measured, []

    def odd(*arguments: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("an odd cell")
        return measured(*arguments)

    monkeypatch.setattr(parts, "measured", odd)
    result = measure_cells(few, tmp_path / "f.parquet", **HOW)
    assert result.not_measured == {f"{parts.FAILED}: ValueError": 1, NO_NUCLEUS: 3}
    assert result.cells == 19


def test_a_store_without_any_nucleus_where_it_was_looked_for_is_refused(few: CropStore, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no channel 'GFP'"):
        measure_cells(few, tmp_path / "f.parquet", nucleus="GFP")
    with pytest.raises(SettingsError, match=r"f\.csv has an ending we do not write"):
        measure_cells(few, tmp_path / "f.csv", **HOW)
    with pytest.raises(SettingsError, match="'features' is 'slow'"):
        measure_cells(few, tmp_path / "f.parquet", nucleus="DAPI", features="slow")


@pytest.mark.slow
def test_two_workers_make_the_bytes_of_one(few: CropStore, result: Measured, tmp_path: Path) -> None:
    two = measure_cells(few, tmp_path / "two.parquet", workers=2, **HOW)
    assert two.path.read_bytes() == result.path.read_bytes()


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_bytes(tiny_store: CropStore, tmp_path: Path) -> None:
    out, whole = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    for path, dies in ((whole, False), (out, True), (out, False)):
        code = "import sys; from contrascope.cli import app; app()"
        command = [sys.executable, "-c", code, "features", str(tiny_store.path), "--out", str(path)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen([*command, "--features", "fast", "--quiet"], env=environment) as process:
            while dies and not list(tmp_path.glob("killed.parquet.parts/part-*1.parquet")):
                time.sleep(0.02)
            if dies:
                process.kill()
        assert dies or process.returncode == 0
        assert path.exists() != dies
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_the_nuclear_share_of_gfp_tells_the_controls_of_a_real_plate_apart(
    bbbc013: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Z' of controls in rows A to D, by the median of the wells; by hand-made masks it is 0.86."""
    monkeypatch.undo()
    cells = pl.read_csv(bbbc013 / "cells.csv").filter(
        pl.col("well").str.contains("^[A-D]"), pl.col("control_type") != "none"
    )
    cells.write_parquet(tmp_path / "cells.parquet")
    settings = {
        "name": "BBBC013",
        "images": {
            "pattern": str(bbbc013 / "images/Channel{channel}-*-{row}-{column}.tif"),
            "channels": {"DNA": "2", "GFP": "1"},
            "reference_channel": "DNA",
        },
        "cells": {
            "table": "cells.parquet",
            "columns": {"guide": ["compound", "well"], "perturbation": "control_type", "tile": "site"},
            "control": "negative",
        },
        "crop": {"size": 64},
    }
    path = tmp_path / "screen.yaml"
    path.write_text(yaml.safe_dump(settings))
    store = extract_crops(open_screen(path), tmp_path / "cells.zarr")
    result = measure_cells(store, tmp_path / "f.parquet", features="fast")
    ratio = pl.col("Nuclei_Intensity_MeanIntensity_GFP") / pl.col("Cytoplasm_Intensity_MeanIntensity_GFP")
    wells = (
        pl.read_parquet(result.path)
        .join(store.cells, on="cell_id")
        .group_by("well", "perturbation")
        .agg(ratio.median().alias("ratio"))
    )
    negative, positive = (wells.filter(perturbation=name)["ratio"].to_numpy() for name in ("negative", "positive"))
    z_prime = 1 - 3 * (negative.std(ddof=1) + positive.std(ddof=1)) / abs(negative.mean() - positive.mean())
    assert len(negative) + len(positive) == 12
    assert z_prime >= 0.7
