"""From a table of CellProfiler's to benchmarks beside an embedding, as the command line does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrascope.commands.benchmark import benchmark
from contrascope.commands.reduce import match_features, reduce_features
from contrascope.errors import SettingsError
from contrascope.store.export import observations
from contrascope.store.store import CropStore
from contrascope.tables import read_anndata, write_anndata


@pytest.fixture
def table(tiny_store: CropStore, tmp_path: Path) -> Path:
    """Three named features, of which the second tells perturbed cells from controls."""
    random = np.random.default_rng(0)
    n = len(tiny_store)
    shifted = random.normal(size=n) + 3 * (tiny_store.labels > 0)
    names = ["Cells_AreaShape_Area", "Cells_Texture_Contrast_Tubulin_3_00_256", "Nuclei_Intensity_MeanIntensity_DAPI"]
    values = dict(zip(names, (random.normal(size=n), shifted, random.normal(size=n)), strict=True))
    path = tmp_path / "cellprofiler.csv"
    pd.DataFrame({"UID": tiny_store.cells["cell_id"].to_list()} | values)[:-5].to_csv(path, index=False)
    return path


def test_features_go_from_a_table_to_benchmarks_beside_an_embedding(
    tiny_store: CropStore, table: Path, tmp_path: Path
) -> None:
    store, n = str(tiny_store.path), len(tiny_store)
    matched, text = match_features(table, store, out=tmp_path / "features.h5ad")
    assert (matched["n"], matched["width"]) == (n - 5, 3)
    assert "5: no row of its key in the table" in text
    facts, text = reduce_features(
        tmp_path / "features.h5ad", out=tmp_path / "pcs.h5ad", normalised=tmp_path / "named.h5ad", batch="plate"
    )
    assert facts["components"] == 3
    assert "3 components hold 100% of the variance" in text
    assert list(read_anndata(tmp_path / "pcs.h5ad").obsm) == ["cellprofiler"]
    assert list(read_anndata(tmp_path / "named.h5ad").obsm) == ["features"]

    first = read_anndata(tmp_path / "pcs.h5ad")
    obs = observations(tiny_store)
    embedding = type(first)(obs=obs, obsm={"salient": np.random.default_rng(1).normal(size=(n, 4))})
    write_anndata(embedding, tmp_path / "cells.h5ad")
    beside = [f"cellprofiler={tmp_path / 'pcs.h5ad'}", f"measured={tmp_path / 'named.h5ad'}"]
    genes = tiny_store.perturbations
    sets = tmp_path / "sets.gmt"
    sets.write_text("\t".join(["all", "", *genes]) + "\n")
    said, text = benchmark(
        tmp_path / "cells.h5ad", "explained", out=tmp_path / "out", settings=[f"annotations={sets}"], beside=beside
    )
    assert said["matched"][0].startswith(f"cellprofiler: {n - 5:,} of {n:,} rows are matched")
    result = pd.read_csv(tmp_path / "out" / "explained.csv")
    assert set(result["space"]) == {"salient", "cellprofiler", "measured"}
    top = result[(result["metric"] == "robust z") & (result["space"] == "measured") & (result["k"] == 1)].iloc[0]
    assert top["gloss"] == "contrast of tubulin texture in the cell, at 3 pixels"
    assert "Most altered in measured: all, contrast of tubulin texture" in text
    assert result.loc[result["space"] == "salient", "gloss"].isna().all()


def test_endings_are_looked_at_before_the_work(table: Path, tiny_store: CropStore, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Name it \.h5ad or \.zarr"):
        match_features(table, str(tiny_store.path), out=tmp_path / "features.csv")
    with pytest.raises(SettingsError, match=r"Name it \.h5ad or \.zarr"):
        reduce_features(tmp_path / "nothing.h5ad", out=tmp_path / "a.h5ad", normalised=tmp_path / "b.parquet")


def test_columns_may_be_named(table: Path, tiny_store: CropStore, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.csv"
    pd.read_csv(table).rename(columns={"UID": "who"}).to_csv(renamed, index=False)
    facts, _ = match_features(
        renamed, str(tiny_store.path), out=tmp_path / "f.h5ad", settings=["cell_id=who"], compartment=["Nuclei"]
    )
    assert facts["width"] == 1
