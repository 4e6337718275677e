"""A run's folder: what is in it, when it is used again, and when it is refused."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from contrascope.errors import ContrascopeError, RunError, SettingsError, StoreError
from contrascope.sampling.split import SPLIT_NAMES, split_cells
from contrascope.sampling.transforms import measured_transform
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore, open_store
from contrascope.training.run import Run, open_run

Train = Callable[..., Run]
MakeStore = Callable[..., CropStore]


def weights(run: Run) -> bytes:
    return (run.path / "weights.safetensors").read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_equal_seeds_give_equal_bytes_and_others_do_not(
    run: Run, store: CropStore, train: Train, tmp_path: Path
) -> None:
    assert weights(train(store, tmp_path / "again")) == weights(run)
    assert weights(train(store, tmp_path / "other", seed=1)) != weights(run)


def test_bf16_is_as_reproducible(store: CropStore, train: Train, tmp_path: Path) -> None:
    a, b = (train(store, tmp_path / name, precision="bf16") for name in "ab")
    assert weights(a) == weights(b)


def test_what_was_drawn_before_makes_no_difference(run: Run, store: CropStore, train: Train, tmp_path: Path) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert weights(train(store, tmp_path / "again")) == weights(run)
    assert torch.equal(before, torch.get_rng_state())


def test_a_finished_run_is_opened_and_not_trained_again(store: CropStore, train: Train, tmp_path: Path) -> None:
    first = train(store, tmp_path / "run")
    before = contents(first.path)
    again = train(store, tmp_path / "run")
    assert again.facts == first.facts
    assert contents(first.path) == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"epochs": 3}, {"model": "cvae"}, {"wasserstein_weight": 9.0}])
def test_other_settings_in_the_same_folder_are_refused(
    run: Run, store: CropStore, train: Train, change: dict[str, object]
) -> None:
    before = contents(run.path)
    with pytest.raises(RunError, match=r"made from other inputs.*Choose another folder"):
        train(store, run.path, **change)
    assert contents(run.path) == before


def test_another_store_in_the_same_folder_is_refused(
    run: Run, make_store: MakeStore, train: Train, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="made from other inputs"):
        train(make_store(tmp_path, seed=1), run.path)


@pytest.mark.parametrize(
    "name", ["thesis.txt", "metrics.csv", "tensorboard/events", "csv/data.csv", "weights.safetensors", ".hidden"]
)
def test_a_foreign_folder_is_refused_and_untouched(store: CropStore, train: Train, tmp_path: Path, name: str) -> None:
    """Whatever its files are called: without our mark in it a folder is not ours to clear."""
    (tmp_path / "out" / name).parent.mkdir(parents=True)
    (tmp_path / "out" / name).write_text("years of work")
    before = contents(tmp_path / "out")
    with pytest.raises(RunError, match=r"no run of ours.*Choose another folder"):
        train(store, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_foreign_run_json_is_refused_and_untouched(store: CropStore, train: Train, tmp_path: Path) -> None:
    for text in ('{"lr": 0.1}', "[1, 2]"):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(RunError, match="no run that this version can read"):
            train(store, tmp_path)
        assert (tmp_path / "run.json").read_text() == text


def test_a_run_json_that_is_damaged_or_lacks_something_is_an_error_of_the_run(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    file.write_text(json.dumps({key: value for key, value in run.facts.items() if key != "outcome"}))
    with pytest.raises(RunError, match=r"does not say outcome.*train again"):
        open_run(tmp_path / "run")
    file.write_text("{")
    with pytest.raises(RunError, match=r"run.json is damaged.*train again"):
        open_run(tmp_path / "run")


def test_a_file_in_the_place_of_the_folder_is_refused(store: CropStore, train: Train, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunError, match="Choose another folder"):
        train(store, tmp_path / "out")
    with pytest.raises(RunError, match="Choose another folder"):
        train(store, tmp_path / "out" / "run")
    assert (tmp_path / "out").read_text() == "a file"


def test_an_empty_folder_will_do(store: CropStore, train: Train, tmp_path: Path, run: Run) -> None:
    assert weights(train(store, tmp_path)) == weights(run)


def test_a_run_cut_short_is_replaced(
    run: Run, store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("contrascope.training.fit.write_parquet", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(store, out)
    (out / ".run.json.writing").write_text('{"half": ')  # what a crash while writing leaves
    with pytest.raises(RunError, match="no finished run"):
        open_run(out)
    assert weights(train(store, out)) == weights(run)
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in run.path.iterdir())


def test_the_folder_holds_what_its_module_says_and_no_pickle(run: Run) -> None:
    names = {p.name for p in run.path.iterdir()}
    files = {"run.json", "weights.safetensors", "matched.safetensors", "metrics.csv", "split.parquet"}
    assert names == files | {"tensorboard"}
    assert not [p for p in run.path.rglob("*") if p.suffix in (".ckpt", ".pt", ".pth", ".pkl", ".bin")]
    for file in (p for p in run.path.rglob("*") if p.is_file()):
        assert not file.read_bytes().startswith((b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK")), file


def test_run_json_says_all_about_the_run(run: Run, store: CropStore) -> None:
    text = (run.path / "run.json").read_text()
    facts = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert facts["model"] == "mcvae"
    assert facts["channels"] == store.channels == ["DNA", "Actin"]
    assert facts["crop_size"] == [16, 16]
    assert facts["perturbations"] == ["a", "b"]
    assert facts["store"] == {"name": store.name, "cells": 120, "fingerprint": store.fingerprint}
    assert facts["settings"]["seed"] == 0
    assert set(facts["settings"]) == set(type(run.settings).model_fields)
    assert set(facts["transform"]) == {"size", "offset", "cofactor", "center", "spread"}
    assert {"contrascope", "torch", "lightning"} <= set(facts["versions"])
    outcome = facts["outcome"]
    assert outcome["steps"] == 2 * 3  # 56 perturbed cells of 80 are trained on, 16 a batch, twice
    assert 0 < outcome["best_step"] <= outcome["steps"]
    assert not outcome["stopped_early"]
    assert str(Path.home()) not in text


def test_metrics_are_tidy(run: Run) -> None:
    metrics = run.metrics()
    assert metrics.columns == ["step", "name", "value"]
    assert metrics.schema["step"].is_integer()
    assert metrics.schema["value"].is_float()
    assert not metrics.null_count().sum_horizontal().item()
    assert not metrics.select("step", "name").is_duplicated().any()
    names = set(metrics["name"])
    for part in ("train", "validation"):
        terms = ("loss", "reconstruction", "KL background", "KL salient", "leak of controls")
        assert {f"{part}/{term}" for term in terms} <= names
    validation = metrics.filter(pl.col("name") == "validation/loss")
    assert validation.height == 2
    assert validation["value"].min() == pytest.approx(run.facts["outcome"]["best_validation_loss"])
    assert (metrics.filter(pl.col("name") == "beta")["step"].diff().drop_nulls() > 0).all()


def test_the_split_is_that_of_the_settings(run: Run, store: CropStore) -> None:
    expected = split_cells(store.labels, shares=run.settings.split, seed=run.settings.seed)
    assert run.split().to_list() == np.array(SPLIT_NAMES)[expected].tolist()


def test_whole_guides_are_held_out_where_the_settings_say_so(store: CropStore, train: Train, tmp_path: Path) -> None:
    """The toy's three guides are one each of three perturbations, so a perturbation is in one part."""
    by_guide = train(store, tmp_path, split_by="guide", split=(0.6, 0.3, 0.1), seed=3, epochs=1)
    parts = pl.DataFrame({"part": by_guide.split(), "guide": store.cells["guide"]}).unique()
    assert parts.height == 3


def test_a_screen_of_one_well_cannot_be_split_by_it(store: CropStore, train: Train, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"split .* leaves no .* Give that part a larger share"):
        train(store, tmp_path / "run", split_by="well")


def test_a_run_normalised_by_batch_opens_and_decodes(store: CropStore, train: Train, tmp_path: Path) -> None:
    by_batch = open_run(train(store, tmp_path, normalize_by="batch").path)
    images, decoded = by_batch.reconstruct(store, np.array([3, 1]))
    assert images.shape == decoded.shape == (2, 2, 16, 16)
    # The toy has one batch, so its own controls are all controls.
    plain = measured_transform(store, np.flatnonzero(by_batch.split() == "train"), size=16, seed=0)
    np.testing.assert_allclose(images, plain(torch.from_numpy(store.read(np.array([3, 1])))).numpy())


def test_a_balance_is_another_training(run: Run, store: CropStore, train: Train, tmp_path: Path) -> None:
    assert weights(train(store, tmp_path, balance="uniform")) != weights(run)


def test_the_best_weights_are_kept_and_not_the_last(store: CropStore, train: Train, tmp_path: Path) -> None:
    """With a reckless learning rate the loss is lowest early."""
    wild = train(store, tmp_path / "run", epochs=8, learning_rate=0.03, learning_rate_decay=False, patience=100)
    losses = wild.metrics().filter(pl.col("name") == "validation/loss")
    best = losses.sort("value").row(0, named=True)
    assert wild.facts["outcome"]["best_validation_loss"] == pytest.approx(best["value"])
    assert wild.facts["outcome"]["best_step"] == best["step"] + 1  # Lightning logs the step before


def test_a_batch_that_asks_for_more_cells_than_there_are_holds_those_and_the_run_says_so(
    run: Run, store: CropStore, train: Train, tmp_path: Path
) -> None:
    large = train(store, tmp_path / "run", batch_size=512)
    assert (large.facts["outcome"]["batch_size"], large.facts["outcome"]["steps"]) == (112, 2)
    assert "2 steps of 112 cells, for there are too few for 512," in repr(large)
    assert run.facts["outcome"]["batch_size"] == 32
    assert " steps, best" in repr(run)


def test_early_stopping_stops(store: CropStore, train: Train, tmp_path: Path) -> None:
    """Nothing improves at a learning rate of almost nothing but the running scale, and that only at first."""
    stopped = train(store, tmp_path / "run", likelihood_scale="learned", learning_rate=1e-30, epochs=50, patience=2)
    outcome = stopped.facts["outcome"]
    assert outcome["stopped_early"]
    assert outcome["epochs"] == 3
    assert outcome["best_step"] == outcome["steps"] // 3


def test_the_model_is_the_one_in_the_file(run: Run) -> None:
    opened = open_run(run.path)
    stored = load_file(run.path / "weights.safetensors")
    assert all(torch.equal(w, stored[name]) for name, w in opened.model.state_dict().items())
    assert not opened.model.training
    assert opened.settings == run.settings
    assert opened.fingerprint == run.fingerprint


def test_an_untrained_model_is_another_and_always_the_same(run: Run) -> None:
    one, same, other = (run.untrained(seed=seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], w) for name, w in run.model.state_dict().items())


def test_reconstructions_have_the_models_size_and_range(run: Run, store: CropStore) -> None:
    rows = np.array([3, 1, 2])
    images, decoded = run.reconstruct(store, rows)
    assert images.shape == decoded.shape == (3, 2, 16, 16)
    assert np.abs(decoded).max() <= 1
    np.testing.assert_array_equal(images, run.images(store, rows))


def test_the_store_a_run_was_made_from_fits(run: Run, store: CropStore) -> None:
    run.check_fits(store)


def test_a_store_of_other_channels_does_not_fit(run: Run, make_store: MakeStore, tmp_path: Path) -> None:
    other = make_store(tmp_path, channels=["DNA", "Tubulin"])
    with pytest.raises(RunError, match=r"has channels \['DNA', 'Tubulin'\].*trained on \['DNA', 'Actin'\]"):
        run.check_fits(other)


def test_a_store_of_other_crops_does_not_fit(run: Run, make_store: MakeStore, tmp_path: Path) -> None:
    other = make_store(tmp_path, images=np.ones((120, 2, 24, 24), np.uint16))
    with pytest.raises(RunError, match=r"crops of \[24, 24\].*trained on \[16, 16\]"):
        run.check_fits(other)
    with pytest.raises(RunError):
        run.reconstruct(other, np.array([0]))


def test_a_store_of_another_type_of_pixels_does_not_fit(run: Run, make_store: MakeStore, tmp_path: Path) -> None:
    other = make_store(tmp_path, images=np.ones((120, 2, 16, 16), np.float32))
    with pytest.raises(RunError, match=r"has pixels of type float32, but .*trained on uint16"):
        run.check_fits(other)


def test_opening_nothing_says_how_to_make_something(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no finished run.*contrascope train"):
        open_run(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["missing", "cut short", "another model's"])
def test_damaged_weights_are_an_error_of_the_run(
    run: Run, store: CropStore, train: Train, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    file = tmp_path / "run" / "weights.safetensors"
    if damage == "missing":
        file.unlink()
    elif damage == "cut short":
        file.write_bytes(file.read_bytes()[:500])
    else:
        file.write_bytes(weights(train(store, tmp_path / "vae", model="vae")))
    with pytest.raises(RunError, match=r"weights of the run .* cannot be read.*train again"):
        _ = open_run(tmp_path / "run").model


def test_an_unknown_setting_is_refused_before_anything_is_written(
    store: CropStore, train: Train, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="'epoch' is not a setting"):
        train(store, tmp_path / "run", epoch=3)
    assert not (tmp_path / "run").exists()


def test_a_misspelt_model_is_refused_before_a_run_cut_short_is_cleared(
    store: CropStore, train: Train, tmp_path: Path
) -> None:
    for name in ("unfinished.json", "weights.safetensors"):
        (tmp_path / name).write_text("{}")
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match="'mcave'"):
        train(store, tmp_path, model="mcave")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("controls", "split", "lacking"),
    [
        (1, (0.5, 0.5, 0.0), "no control to train on|no perturbed cell"),
        (30, (0.999, 0.001, 0.0), "no cell to validate on"),
    ],
)
def test_too_few_cells_for_the_split_are_counted_out(
    train: Train, tmp_path: Path, controls: int, split: tuple[float, float, float], lacking: str
) -> None:
    control = np.arange(60) < controls
    images = np.random.default_rng(0).integers(0, 900, (60, 1, 16, 16)).astype(np.uint16)
    name = np.where(control, "nontargeting", "a")
    cells = pl.DataFrame({"guide": name, "perturbation": name, "control": control})
    store = store_from_arrays(images, cells, tmp_path / "cells.zarr", channels=["DNA"])
    # Half of all seeds hold the only control out.
    seed = next(s for s in range(50) if controls > 1 or split_cells(store.labels, shares=split, seed=s)[0] != 0)
    with pytest.raises(RunError, match=lacking):
        train(store, tmp_path / "run", split=split, seed=seed)
    assert not (tmp_path / "run").exists()


def test_pixels_that_are_not_numbers_are_an_error_of_ours(make_store: MakeStore, train: Train, tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(100, 1000, (120, 2, 16, 16)).astype(np.float32)
    held_out = split_cells(make_store(tmp_path / "a").labels, shares=(0.7, 0.2, 0.1), seed=0) == 1
    images[held_out] = np.nan
    with pytest.raises(ContrascopeError, match="NaN"):
        train(make_store(tmp_path / "b", images=images), tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_cell_to_train_on_whose_pixels_are_not_numbers_is_named(
    make_store: MakeStore, train: Train, tmp_path: Path
) -> None:
    """A learning rate has nothing to do with it."""
    images = np.random.default_rng(0).uniform(100, 1000, (120, 2, 16, 16)).astype(np.float32)
    labels = make_store(tmp_path / "a").labels
    row = np.flatnonzero((split_cells(labels, shares=(0.7, 0.2, 0.1), seed=0) == 0) & (labels > 0))[3]
    images[row, 1, 2, 3] = np.nan
    with pytest.raises(RunError, match=f"NaN or infinite pixels: cells of the store, by row: {row};") as error:
        train(make_store(tmp_path / "b", images=images), tmp_path / "run")
    assert "learning_rate" not in str(error.value)


def test_a_run_says_what_it_is(run: Run) -> None:
    assert "mcvae" in repr(run)
    assert "2 perturbations" in repr(run)


def test_a_model_that_is_told_nothing_does_not_mind_how_many_wells_there_are(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of one batch has more than no levels."""
    monkeypatch.setattr("contrascope.sampling.technical.MOST_LEVELS", 0)
    assert train(store, tmp_path / "mcvae", epochs=1).facts["technical"] == {}
    with pytest.raises(StoreError, match=r"names batch, which has 1 values"):
        train(store, tmp_path / "three", epochs=1, model="three-space")


def test_brackets_in_a_path_are_letters_like_any_other(store: CropStore, run: Run, tmp_path: Path) -> None:
    for name, path in (("cells", store.path), ("run", run.path)):
        shutil.copytree(path, tmp_path / f"[1] {name}")
    again, moved = open_store(tmp_path / "[1] cells"), open_run(tmp_path / "[1] run")
    assert again.column_names == store.column_names
    assert again.cells.equals(store.cells)
    assert moved.metrics().equals(run.metrics())
    assert moved.split().equals(run.split())


def test_runs_and_stores_are_found_after_a_change_of_folder(
    run: Run, store: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(store.path, Path)
    shutil.copytree(store.path, tmp_path / "cells.zarr")
    shutil.copytree(run.path, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    cells, copy = open_store("cells.zarr"), open_run("run")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(copy.images(cells, np.arange(3)), run.images(store, np.arange(3)))
    assert copy.matched is not None
    assert len(cells.cells) == len(store.cells)


def test_a_run_can_be_made_and_read_by_paths(run: Run, store: CropStore, train: Any, tmp_path: Path) -> None:
    again = train(str(store.path), tmp_path / "run")
    assert again.fingerprint == run.fingerprint


def test_weights_can_be_read_by_whoever_may_read_the_rest(run: Run) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in run.path.iterdir() if file.is_file()}
    assert len(set(modes.values())) == 1, modes


@pytest.mark.parametrize("name", ["metrics.csv", "split.parquet"])
@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_file_of_a_run_that_is_gone_is_named_with_what_to_do(
    run: Run, tmp_path: Path, name: str, damage: str
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / name).unlink() if damage == "gone" else (tmp_path / "run" / name).write_bytes(b"")
    copy = open_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"The (metrics|split) of the run .* cannot be read.* [Cc]opy"):
        copy.metrics() if name == "metrics.csv" else copy.split()
