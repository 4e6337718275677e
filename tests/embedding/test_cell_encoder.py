"""What is found of a cell, against a loop through the run's own model, one cell at a time."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import torch

from contrascope.embedding import cell_encoder, embed
from contrascope.embedding.cell_encoder import CellEncoder
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.fit import fit
from contrascope.training.run import Run
from contrascope.vocabulary import Batch

ROWS = np.arange(0, 2_500, 97)


def in_bf16(run: Run) -> Run:
    return Run(run.path, run.facts | {"settings": run.facts["settings"] | {"precision": "bf16"}})


def test_means_deviations_and_errors_are_those_of_a_loop_cell_by_cell(
    folder: Path, long_store: CropStore, long_run: Run
) -> None:
    cells = ad.read_zarr(folder)
    for row in ROWS:
        with torch.no_grad():
            image = long_run.transform(torch.from_numpy(long_store.read(np.array([row]))))
            q = long_run.model.encode(image)
            assert q.salient is not None
            s = torch.zeros_like(q.salient.mean) if long_store.cells["control"][int(row)] else q.salient.mean
            difference = image - long_run.model.decode(q.background.mean, s)
        for name, normal in (("background", q.background), ("salient", q.salient)):
            deviation = np.sqrt(np.exp(normal.log_variance.double().numpy()[0]))
            np.testing.assert_allclose(cells.obsm[name][row], normal.mean.numpy()[0], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(cells.obsm[f"{name}_sd"][row], deviation, rtol=1e-4)
        error = (difference.double().numpy() ** 2).mean()
        assert cells.obs["reconstruction_error"].iloc[row] == pytest.approx(error, rel=1e-4)


def test_errors_are_those_of_the_runs_reconstructions(folder: Path, long_store: CropStore, long_run: Run) -> None:
    images, decoded = long_run.reconstruct(long_store, ROWS)
    errors = np.square(images - decoded).mean((1, 2, 3))
    found = ad.read_zarr(folder).obs["reconstruction_error"].to_numpy()[ROWS]
    np.testing.assert_allclose(found, errors, rtol=1e-4)


def test_the_cells_of_a_batch_do_not_know_of_each_other(
    long_store: CropStore, long_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch(torch.from_numpy(long_store.read(ROWS)), torch.ones(len(ROWS), dtype=torch.long), torch.tensor(ROWS))
    wanted = CellEncoder(long_run, long_store, baselines=True, uncertainty=True, error=True)
    with torch.inference_mode():
        together = wanted(batch)
        monkeypatch.setattr(cell_encoder, "CELLS_AT_ONCE", 5)
        apart = wanted(batch)
    assert together.keys() == apart.keys()
    for name in together:
        torch.testing.assert_close(apart[name], together[name], rtol=1e-4, atol=1e-5)


def test_bf16_is_close_to_fp32_in_everything(folder: Path, long_store: CropStore, long_run: Run) -> None:
    plain, rounded = ad.read_zarr(folder), embed(long_store, in_bf16(long_run), uncertainty=True, error=True)
    for name in rounded.obsm:
        scale = plain.obsm[name].std()
        assert np.abs(rounded.obsm[name] - plain.obsm[name]).max() < 0.1 * scale + 0.02
    error = plain.obs["reconstruction_error"].to_numpy()
    np.testing.assert_allclose(rounded.obs["reconstruction_error"], error, rtol=0.02)


@pytest.fixture(scope="module")
def matched_run(long_store: CropStore, long_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = long_run.facts["settings"] | {"views": 8, "salient_reference": "matched"}
    return fit(long_store, model="mcvae", out=tmp_path_factory.mktemp("matched") / "mcvae", **settings)


def test_views_are_averaged_and_matched_controls_taken_off(long_store: CropStore, matched_run: Run) -> None:
    run = matched_run
    cells = embed(long_store, run, uncertainty=True)
    assert run.matched is not None
    untrained = run.untrained(seed=cell_encoder._UNTRAINED_SEED)
    with torch.no_grad():
        x = run.transform(torch.from_numpy(long_store.read(ROWS)))
        z, s, other = [], [], []
        for side in (x, x.flip(3)):
            for k in range(4):
                q, blind = (m.encode(torch.rot90(side, k, (2, 3))) for m in (run.model, untrained))
                z.append(q.background.mean)
                s.append(q.salient.mean)
                other.append(torch.cat([blind.background.mean, blind.salient.mean], 1))
        mean = torch.stack(z).mean(0)
        salient = run.matched.residual(mean, torch.stack(s).mean(0), torch.from_numpy(ROWS))
    for name, values in {"background": mean, "salient": salient, "untrained": torch.stack(other).mean(0)}.items():
        np.testing.assert_allclose(cells.obsm[name][ROWS], values.numpy(), rtol=1e-3, atol=1e-4)


def test_controls_that_a_run_was_matched_on_are_no_closer_to_the_origin_than_others(
    long_store: CropStore, matched_run: Run
) -> None:
    cells = embed(long_store, matched_run, baselines=False)
    assert matched_run.matched is not None
    control, anchor = cells.obs["control"].to_numpy(), np.isin(np.arange(len(long_store)), matched_run.matched.rows)
    fitted_on, others = (np.median(cells.obsm["salient"][control & of] ** 2, 0) for of in (anchor, ~anchor))
    assert ((fitted_on / others > 0.5) & (fitted_on / others < 2)).all()


def test_rows_of_another_store_are_not_taken_for_those_of_the_runs_own(
    long_store: CropStore, matched_run: Run, tmp_path: Path
) -> None:
    images = long_store.read(np.arange(200))
    other = store_from_arrays(images, long_store.cells[:200], tmp_path / "cells.zarr", channels=long_store.channels)
    here, there = (embed(store, matched_run, baselines=False).obsm for store in (long_store, other))
    assert matched_run.matched is not None
    anchor = np.isin(np.arange(200), matched_run.matched.rows)
    np.testing.assert_allclose(there["background"], here["background"][:200], atol=1e-5)
    np.testing.assert_allclose(there["salient"][~anchor], here["salient"][:200][~anchor], atol=1e-4)
    own = matched_run.matched.others.numpy()[: anchor.sum(), None] * here["salient"][:200][anchor]
    np.testing.assert_allclose(there["salient"][anchor], own, atol=1e-4)
    assert np.abs(there["salient"][anchor] - here["salient"][:200][anchor]).max() > 1e-4


def test_a_vae_has_deviations_and_errors_too(long_store: CropStore, tmp_path: Path) -> None:
    settings = {"image_size": 16, "background_size": 4, "salient_size": 3, "batch_size": 512, "epochs": 1}
    run = fit(long_store, model="vae", out=tmp_path / "vae", **settings)
    cells = embed(long_store, run, baselines=False, uncertainty=True, error=True)
    assert {name: values.shape[1] for name, values in cells.obsm.items()} == {"background": 7, "background_sd": 7}
    assert np.isfinite(cells.obs["reconstruction_error"]).all()


def test_errors_are_of_the_cell_as_it_lies_by_a_decoder_that_is_told(
    long_store: CropStore, long_run: Run, tmp_path: Path
) -> None:
    settings = {"views": 8, "salient_reference": "matched", "decoder_knows": "technical"}
    as_it_was = {name: value for name, value in long_run.settings if name != "preset"}
    run = fit(long_store, out=tmp_path / "run", **(as_it_was | settings | {"learning_rate": 0.01}))
    cells = embed(long_store, run, baselines=False, error=True)
    images, decoded = run.reconstruct(long_store, ROWS)
    errors = np.square(images - decoded).mean((1, 2, 3))
    np.testing.assert_allclose(cells.obs["reconstruction_error"].to_numpy()[ROWS], errors, rtol=1e-4)
    assert cells.uns["contrascope"]["views"] == 8
