"""The embedding: every cell at its place, beside its baselines; and a planted truth that it must find."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from contrascope.embedding import embed, embed_to_file, embed_to_h5ad, prediction
from contrascope.embedding.cell_encoder import intensity_statistics
from contrascope.errors import RunError, SettingsError, StoreError
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.tables import read_anndata
from contrascope.training.fit import fit
from contrascope.training.run import Run

N = 90
SMALL: dict[str, Any] = {
    "image_size": 16,
    "background_size": 4,
    "salient_size": 3,
    "batch_size": 32,
    "epochs": 2,
    "precision": "fp32",
    "split": (0.7, 0.2, 0.1),
    "views": 1,
    "salient_reference": "origin",
}


def make_store(path: Path, *, seed: int = 0, side: int = 24, channels: tuple[str, ...] = ("DNA", "Actin")) -> CropStore:
    images = np.random.default_rng(seed).integers(100, 1000, (N, len(channels), side, side)).astype(np.uint16)
    control = np.arange(N) % 3 == 0
    name = np.where(control, "nontargeting", np.array(["a", "b"])[np.arange(N) % 2])
    ids = [f"cell {i}" for i in range(N)]
    cells = pl.DataFrame({"cell_id": ids, "guide": name, "perturbation": name, "control": control, "area": range(N)})
    return store_from_arrays(images, cells, path / "cells.zarr", channels=list(channels))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def run(store: CropStore, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(store, model="mcvae", out=tmp_path_factory.mktemp("runs") / "mcvae", **SMALL)


@pytest.fixture(scope="module")
def cells(store: CropStore, run: Run) -> AnnData:
    return embed(store, run)


def test_every_space_has_a_row_a_cell_and_its_size(cells: AnnData) -> None:
    shapes = {name: values.shape for name, values in cells.obsm.items()}
    assert shapes == {"background": (N, 4), "salient": (N, 3), "untrained": (N, 7), "intensity": (N, 14)}
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in cells.obsm.values())


def test_rows_are_the_stores_and_equal_a_loop_cell_by_cell(
    cells: AnnData, store: CropStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "BATCH_SIZE", 7)  # many batches and a smaller last one
    in_batches = embed(store, run)
    for i in range(N):
        pixels = torch.from_numpy(store.read(np.array([i])))
        with torch.no_grad():
            q = run.model.encode(run.transform(pixels))
        assert q.salient is not None
        expected = {
            "background": q.background.mean,
            "salient": q.salient.mean,
            "intensity": intensity_statistics(pixels),
        }
        for name, values in expected.items():
            for embedded in (cells, in_batches):
                np.testing.assert_allclose(embedded.obsm[name][i], values[0].numpy(), rtol=1e-4, atol=1e-5)


def test_obs_is_the_stores_table_with_the_split(cells: AnnData, store: CropStore, run: Run) -> None:
    assert cells.obs_names.tolist() == store.cells["cell_id"].to_list()
    for column in store.cells.columns:
        assert cells.obs[column].tolist() == store.cells[column].to_list()
    assert cells.obs["split"].tolist() == run.split().to_list()
    assert cells.obs["perturbation"].dtype == "category"
    assert cells.obs["control"].dtype == bool
    assert cells.X is None


def test_it_says_what_it_was_made_from(cells: AnnData, store: CropStore, run: Run) -> None:
    facts = cells.uns["contrascope"]
    assert facts["model"] == "mcvae"
    assert (facts["run"], facts["store"]) == (run.fingerprint, store.fingerprint)


def test_equal_calls_give_equal_outputs(cells: AnnData, store: CropStore, run: Run) -> None:
    again = embed(store, run)
    for name in cells.obsm:
        np.testing.assert_array_equal(again.obsm[name], cells.obsm[name])
    assert again.obs.equals(cells.obs)


def test_embedding_changes_neither_the_run_nor_torchs_generator(store: CropStore, run: Run) -> None:
    before = {name: w.clone() for name, w in run.model.state_dict().items()}
    files = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    state = torch.get_rng_state()
    embed(store, run)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(w, before[name]) for name, w in run.model.state_dict().items())
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == files


def test_training_is_the_same_after_embedding(store: CropStore, run: Run, tmp_path: Path) -> None:
    embed(store, run)
    again = fit(store, model="mcvae", out=tmp_path / "again", **SMALL)
    name = "weights.safetensors"
    assert (again.path / name).read_bytes() == (run.path / name).read_bytes()


def test_the_untrained_baseline_is_neither_the_trained_model_nor_its_first_weights(
    cells: AnnData, store: CropStore, run: Run
) -> None:
    first = run.untrained(seed=run.settings.seed)
    with torch.no_grad():
        q = first.encode(run.transform(torch.from_numpy(store.read(np.arange(N)))))
    assert q.salient is not None
    start = torch.cat([q.background.mean, q.salient.mean], dim=1).numpy()
    trained = np.hstack([cells.obsm["background"], cells.obsm["salient"]])
    assert not np.allclose(cells.obsm["untrained"], start)
    assert not np.allclose(cells.obsm["untrained"], trained)


def test_baselines_can_be_left_out(cells: AnnData, store: CropStore, run: Run) -> None:
    alone = embed(store, run, baselines=False)
    assert set(alone.obsm) == {"background", "salient"}
    np.testing.assert_array_equal(alone.obsm["salient"], cells.obsm["salient"])


def test_a_vae_has_no_salient_space(store: CropStore, tmp_path: Path) -> None:
    embedded = embed(store, fit(store, model="vae", out=tmp_path / "vae", **SMALL))
    assert set(embedded.obsm) == {"background", "untrained", "intensity"}
    assert embedded.obsm["background"].shape == embedded.obsm["untrained"].shape == (N, 7)


def test_bf16_is_close_to_fp32(store: CropStore, run: Run, cells: AnnData) -> None:
    settings = run.facts["settings"] | {"precision": "bf16"}
    rounded = embed(store, Run(run.path, run.facts | {"settings": settings}), baselines=False)
    for name in ("background", "salient"):
        scale = cells.obsm[name].std()
        assert np.abs(rounded.obsm[name] - cells.obsm[name]).max() < 0.1 * scale + 0.02


def test_another_store_of_the_same_kind_can_be_embedded_and_has_no_split(run: Run, tmp_path: Path) -> None:
    other = embed(make_store(tmp_path, seed=1), run)
    assert other.obsm["salient"].shape == (N, 3)
    assert "split" not in other.obs


def test_a_store_of_another_kind_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="crops of"):
        embed(make_store(tmp_path / "size", side=32), run)
    with pytest.raises(RunError, match="channels"):
        embed(make_store(tmp_path / "channels", channels=("DNA", "Tubulin")), run)


@given(st.integers(2, 17), st.integers(1, 3), st.sampled_from(["uint8", "uint16", "float32"]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_intensity_statistics_are_numpys(side: int, channels: int, dtype: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 250, (3, channels, side, side + 1)).astype(dtype)
    found = intensity_statistics(torch.from_numpy(pixels)).numpy().reshape(3, channels, 7)
    flat = pixels.reshape(3, channels, -1).astype(float)
    np.testing.assert_allclose(found[..., 0], flat.mean(2), rtol=1e-5)
    np.testing.assert_allclose(found[..., 1], flat.std(2, ddof=1), rtol=1e-4)
    for place, p in enumerate((1, 25, 50, 75, 99), start=2):
        low, high = (np.percentile(flat, p, axis=2, method=method) for method in ("lower", "higher"))
        assert ((found[..., place] == low) | (found[..., place] == high)).all()
        middle = np.percentile(flat, p, axis=2)
        assert (np.abs(found[..., place] - middle) <= (high - low) / 2 + 1e-6).all()


def planted_screen(path: Path, n: int = 600) -> tuple[CropStore, np.ndarray]:
    """Smooth random cells; ``ring`` adds a ring that controls never have, ``silent`` nothing.

    Returns:
        The store, and (N,) which cells have the ring.
    """
    rng, side = np.random.default_rng(0), 16
    smooth = gaussian_filter(rng.normal(size=(n, 1, side, side)), (0, 0, 3, 3))
    brightness = rng.uniform(0.7, 1.3, (n, 1, 1, 1))
    images = 600 * brightness * (1 + 0.5 * smooth / smooth.std())
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    ring = np.exp(-((np.hypot(y, x) - 4) ** 2) / 2)
    name = np.array(["nontargeting", "ring", "nontargeting", "silent"])[np.arange(n) % 4]
    images += 900 * ring * (name == "ring")[:, None, None, None]
    images = rng.poisson(np.clip(images, 20, None)).astype(np.uint16)
    cells = pl.DataFrame({"guide": name, "perturbation": name, "control": name == "nontargeting"})
    return store_from_arrays(images, cells, path / "cells.zarr", channels=["DNA"]), name == "ring"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnnData, np.ndarray]:
    folder = tmp_path_factory.mktemp("planted")
    store, ring = planted_screen(folder)
    small = SMALL | {"background_size": 8, "salient_size": 4, "epochs": 15, "beta_warmup_steps": 50, "patience": 100}
    return embed(store, fit(store, model="mcvae", out=folder / "run", **small)), ring


def test_a_planted_structure_is_found_in_the_salient_space(planted: tuple[AnnData, np.ndarray]) -> None:
    cells, ring = planted
    seen = (cells.obs["split"] == "train").to_numpy()
    perturbed = ~cells.obs["control"].to_numpy()
    probe = LogisticRegression(max_iter=1000).fit(cells.obsm["salient"][perturbed & seen], ring[perturbed & seen])
    unseen = perturbed & ~seen
    assert roc_auc_score(ring[unseen], probe.decision_function(cells.obsm["salient"][unseen])) > 0.9


def test_controls_are_the_origin_of_the_salient_space(planted: tuple[AnnData, np.ndarray]) -> None:
    cells, ring = planted
    norm, control = np.linalg.norm(cells.obsm["salient"], axis=1), cells.obs["control"].to_numpy()
    assert norm[control].mean() < norm[~control].mean()
    assert norm[control].mean() < 0.5 * norm[ring].mean()


def test_a_perturbation_that_does_nothing_lies_with_the_controls(planted: tuple[AnnData, np.ndarray]) -> None:
    cells, ring = planted
    salient, control = cells.obsm["salient"], cells.obs["control"].to_numpy()
    origin = salient[control].mean(0)
    silent = np.linalg.norm(salient[~control & ~ring].mean(0) - origin)
    assert silent < 0.3 * np.linalg.norm(salient[ring].mean(0) - origin)


@pytest.mark.parametrize("out", [None, "cells.zarr"])
def test_a_column_of_the_users_is_not_written_over(store: CropStore, run: Run, tmp_path: Path, out: str | None) -> None:
    cells = store.cells.with_columns(reconstruction_error=pl.lit(1.0))
    images = store.read(np.arange(len(store)))
    own = store_from_arrays(images, cells, tmp_path / "own.zarr", channels=store.channels)
    folder = {} if out is None else {"out": tmp_path / out}
    with pytest.raises(StoreError, match="column reconstruction_error of their own"):
        embed(own, run, error=True, **folder)
    assert not (tmp_path / "cells.zarr").exists()
    assert (embed(own, run).obs["reconstruction_error"] == 1).all()


@pytest.mark.parametrize("name", ["split", "_index", "", "."])
def test_a_column_whose_name_embedded_cells_cannot_have_is_refused_before_any_is_embedded(
    store: CropStore, run: Run, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CropStore, "column_names", property(lambda self: [*self.cells.columns, name]))
    with pytest.raises(StoreError, match=f"a column called '{name}'"):
        embed(store, run, out=tmp_path / "cells.zarr")
    assert not list(tmp_path.iterdir())


def small_store(path: Path, **columns: pl.Series) -> CropStore:
    """60 cells of noise, with such columns."""
    images = np.random.default_rng(0).integers(100, 1000, (60, 2, 24, 24)).astype(np.uint16)
    labels = ["nontargeting", "a"] * 30
    cells = pl.DataFrame({"guide": labels, "perturbation": labels, "control": [True, False] * 30} | columns)
    return store_from_arrays(images, cells, path, channels=["DNA", "Actin"])


def test_a_url_to_fill_is_refused_before_the_work(store: CropStore, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrascope.embedding.CellEncoder", None)
    with pytest.raises(SettingsError, match=r"s3://bucket/cells.zarr is a URL"):
        embed(store, run, out="s3://bucket/cells.zarr")


@pytest.mark.parametrize("devices", [4, "auto"])
def test_several_devices_do_not_fill_a_file_that_is_made_in_memory(
    store: CropStore, run: Run, tmp_path: Path, devices: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    wanted = {"baselines": False, "uncertainty": False, "error": False}
    with pytest.raises(SettingsError, match=r"4 devices cannot fill .*cells.h5ad. Name it .zarr, or take one device"):
        embed_to_file(store, run, tmp_path / "cells.h5ad", devices=devices, **wanted)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_slash_in_a_name_becomes_what_anndata_has_a_place_for(run: Run, tmp_path: Path) -> None:
    numbers = pl.Series(range(60))
    own = small_store(tmp_path / "own.zarr", **{"340/380": numbers, "340_380": -numbers, "a/b/c": ["x", "y"] * 30})
    cells = embed(str(own.path), str(run.path), baselines=False)
    assert cells.obs["340_380_"].tolist() == numbers.to_list()
    assert cells.obs["340_380"].tolist() == (-numbers).to_list()
    assert cells.obs["a_b_c"].tolist() == ["x", "y"] * 30
    there = embed(own, run, baselines=False, out=tmp_path / "cells.zarr")
    assert list(read_anndata(there).obs.columns) == list(cells.obs.columns)


def test_a_file_that_there_is_no_room_for_is_refused_before_the_work(
    store: CropStore, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    monkeypatch.setattr("contrascope.embedding.predict", lambda *_, **__: pytest.fail("it worked before it asked"))
    with pytest.raises(StoreError, match=r"cells.h5ad takes .* Make room"):
        embed_to_h5ad(store, run, tmp_path / "cells.h5ad")
    assert not list(tmp_path.iterdir())
