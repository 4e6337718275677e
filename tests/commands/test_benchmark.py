"""Questions to one embedding or several, as the command line puts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.commands.benchmark import benchmark
from contrascope.errors import BenchmarkError, SettingsError
from contrascope.profiles import profile
from contrascope.tables import write_anndata


def cells(seed: int, *, knows: bool = False) -> AnnData:
    """Cells of six genes and controls in two batches; an embedding that knows the complexes, or nothing."""
    random = np.random.default_rng(0)
    n = 700
    gene = np.arange(n) % 7
    perturbation = np.where(gene == 6, "nontargeting", [f"G{g}" for g in gene])
    obs = pd.DataFrame(
        {
            "perturbation": perturbation,
            "guide": [f"{p}_{i}" for p, i in zip(perturbation, random.integers(0, 3, n), strict=True)],
            "control": gene == 6,
            "batch": np.where(random.random(n) < 0.5, "b0", "b1"),
        },
        index=[f"c{i}" for i in range(n)],
    )
    random = np.random.default_rng(seed)
    salient = random.normal(size=(n, 4)) + 3 * knows * np.eye(4)[np.minimum(gene // 3, 3)]
    return AnnData(obs=obs, obsm={"background": random.normal(size=(n, 4)), "salient": salient})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    table = pd.DataFrame(np.random.default_rng(9).normal(size=(700, 3)), columns=["Cells_Area", "Cells_Mean", "Nuclei"])
    table.insert(0, "cell_id", [f"c{i}" for i in range(700)])
    table[:650].to_csv(tmp_path / "cellprofiler.csv", index=False)
    (tmp_path / "sets.gmt").write_text("one\t\tG0\tG1\tG2\ntwo\t\tG3\tG4\tG5\n")
    for name, data in {"mcvae": cells(1, knows=True), "cvae": cells(2)}.items():
        write_anndata(data, tmp_path / f"{name}.h5ad")
    return {name: tmp_path / name for name in ("mcvae.h5ad", "cvae.h5ad", "cellprofiler.csv", "sets.gmt", "out")}


def test_models_and_features_are_judged_on_the_same_cells(files: dict[str, Path]) -> None:
    facts, text = benchmark(
        files["mcvae.h5ad"],
        "all",
        out=files["out"],
        settings=[f"complexes.annotations={files['sets.gmt']}"],
        beside=[f"cvae={files['cvae.h5ad']}", f"CellProfiler={files['cellprofiler.csv']}"],
    )
    table = pd.read_csv(files["out"] / "comparison.csv")
    spaces = {"background", "salient", "combined", "cvae background", "cvae salient", "cvae combined", "CellProfiler"}
    assert spaces <= set(table.columns)
    row = table[(table["benchmark"] == "complexes") & (table["metric"] == "average precision")].iloc[0]
    assert row["salient"] == 1
    assert row["salient"] > row["cvae salient"]
    assert {"complexes.csv", "complexes.png", "artifacts.csv"} <= {path.name for path in files["out"].iterdir()}
    assert "cvae: 700 of 700 rows are matched" in facts["matched"][0]
    assert "CellProfiler: 650 of 700 rows are matched" in facts["matched"][1]
    assert "dose was left out: The benchmark 'dose' needs the option" in text


def test_cells_are_made_profiles_where_a_benchmark_takes_profiles(files: dict[str, Path]) -> None:
    facts, _ = benchmark(
        files["mcvae.h5ad"], "complexes", out=files["out"], settings=[f"annotations={files['sets.gmt']}"]
    )
    found = {(row["space"], row["metric"]): row["value"] for row in facts["headline"]}
    assert found["salient", "average precision"] == 1


def test_what_cannot_be_put_side_by_side_is_said(files: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match=r"--beside cvae is not understood.*such as vae=vae.h5ad"):
        benchmark(files["mcvae.h5ad"], "artifacts", out=files["out"], beside=["cvae"])
    with pytest.raises(SettingsError, match=r"Two of --beside have one name"):
        benchmark(files["mcvae.h5ad"], "artifacts", out=files["out"], beside=[f"a={files['cvae.h5ad']}"] * 2)
    with pytest.raises(SettingsError, match=r"--set annotations names no benchmark.*complexes.annotations"):
        benchmark(files["mcvae.h5ad"], "all", out=files["out"], settings=["annotations=x.gmt"])
    with pytest.raises(BenchmarkError, match=r"has no column 'nucleus'"):
        benchmark(
            files["mcvae.h5ad"], "all", out=files["out"], beside=[f"a={files['cellprofiler.csv']}"], key="nucleus"
        )
    assert not files["out"].exists()
    with pytest.raises(SettingsError, match=r"sets.gmt is a file. Name a folder"):
        benchmark(files["mcvae.h5ad"], "artifacts", out=files["sets.gmt"])


def test_features_that_are_left_out_are_named(files: dict[str, Path]) -> None:
    table = pd.read_csv(files["cellprofiler.csv"])
    table.loc[3, "Cells_Mean"] = np.nan
    table.to_csv(files["cellprofiler.csv"], index=False)
    facts, _ = benchmark(files["mcvae.h5ad"], "artifacts", out=files["out"], beside=[f"CP={files['cellprofiler.csv']}"])
    assert "CP: 1 features are not finite in some row and left out: Cells_Mean." in facts["matched"]


def test_profiles_are_asked_what_profiles_allow(files: dict[str, Path]) -> None:
    write_anndata(profile(cells(1, knows=True)), files["mcvae.h5ad"])
    facts, _ = benchmark(
        files["mcvae.h5ad"], "all", out=files["out"], settings=[f"complexes.annotations={files['sets.gmt']}"]
    )
    assert "complexes" in facts["benchmarks"]
    assert (files["out"] / "complexes_differences.csv").exists()


def test_an_embedding_whose_name_has_a_blank_is_judged(files: dict[str, Path]) -> None:
    facts, _ = benchmark(files["mcvae.h5ad"], "artifacts", out=files["out"], beside=[f"my cvae={files['cvae.h5ad']}"])
    judged = {row["space"] for row in facts["headline"]}
    assert {"salient", "my cvae background", "my cvae salient"} <= judged
