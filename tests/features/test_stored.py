"""Features in Parquet are reduced as the same features in an AnnData."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import contrascope.profiles.blocks as blocks_module
from contrascope.commands.reduce import reduce_features as command
from contrascope.errors import BenchmarkError, SettingsError
from contrascope.features import outcome
from contrascope.features.outcome import write_measured
from contrascope.features.reduce import reduce_features
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.tables import read_anndata

N, F = 300, 6


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    control = np.arange(N) % 3 == 0
    names = np.where(control, "nt", "gene")
    cells = pl.DataFrame({"cell_id": [f"c{i}" for i in range(N)], "guide": names, "perturbation": names})
    cells = cells.with_columns(control=control, plate=pl.Series(["P1", "P2"] * (N // 2)))
    images = np.zeros((N, 1, 4, 4), np.uint8)
    return store_from_arrays(images, cells, tmp_path_factory.mktemp("s") / "cells.zarr", channels=["a"])


@pytest.fixture
def files(store: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The same features as Parquet of several row groups and as AnnData; every tenth cell was not measured."""
    monkeypatch.setattr(outcome, "_TOGETHER", 2)
    random, parts = np.random.default_rng(0), []
    for start in range(0, N, 30):
        rows = np.arange(start, start + 30)
        values = random.normal(size=(30, F)) @ random.normal(size=(F, F))
        table = pl.DataFrame({"row": rows, "mask": "ok", "measured": rows % 10 != 0})
        part = tmp_path / f"{start}.parquet"
        table.hstack(pl.DataFrame(values, schema=[f"Cells_{i}" for i in range(F)])).write_parquet(part)
        parts.append(part)
    paths = tmp_path / "f.parquet", tmp_path / "f.h5ad"
    for path in paths:
        write_measured(store, path, parts, {"store": store.fingerprint})
    return paths


def test_parquet_and_anndata_give_the_same_components(
    store: CropStore, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_module, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(blocks_module, "_WIDE", 70 * F)  # blocks of 70 cells, across row groups of 54
    for robust in (False, True):
        found = reduce_features(files[0], components=3, batch="plate", store=store, keep=True, robust=robust)
        expected = reduce_features(files[1], components=3, batch="plate", keep=True, robust=robust)
        np.testing.assert_array_equal(found.obsm["cellprofiler"], expected.obsm["cellprofiler"])
        assert found.obsm["features"].equals(expected.obsm["features"])
        assert found.obs.astype(str).equals(expected.obs.astype(str))
    facts, _ = command(files[0], tmp_path / "pcs.h5ad", components=3, batch="plate", store=str(store.path))
    assert facts["n"] == read_anndata(tmp_path / "pcs.h5ad").n_obs == N - N // 10


def test_a_store_and_a_parquet_of_it_belong_together(
    store: CropStore, files: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"not which are controls. Name the store"):
        reduce_features(files[0])
    with pytest.raises(SettingsError, match="Leave the store out"):
        reduce_features(files[1], store=store)
    other = store_from_arrays(np.ones((N, 1, 4, 4), np.uint8), store.cells, tmp_path / "other.zarr", channels=["a"])
    with pytest.raises(BenchmarkError, match="was measured from another store"):
        reduce_features(files[0], store=other)
    pl.DataFrame({"cell_id": ["c0"]}).write_parquet(tmp_path / "any.parquet")
    with pytest.raises(BenchmarkError, match="is no file of measured features"):
        reduce_features(tmp_path / "any.parquet", store=store)
    (tmp_path / "cut.parquet").write_bytes(files[0].read_bytes()[:50])
    for name in ("cut.parquet", "nowhere.parquet"):
        with pytest.raises(BenchmarkError, match="cannot be read as Parquet"):
            reduce_features(tmp_path / name, store=store)
