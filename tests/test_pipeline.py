"""The line goes on where it was, and what holds too many cells for memory gives what it gives in memory."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from contrascope import cli, pipeline
from contrascope.errors import BenchmarkError, RunError, SettingsError
from contrascope.line import pictures
from contrascope.line.judging import questions, unasked
from contrascope.pipeline import Line
from contrascope.registry import BENCHMARKS
from contrascope.screen.screen import open_screen
from contrascope.training import callbacks
from contrascope.training.distributed import World
from contrascope.training.run import open_run

SMALL = {
    "training.epochs": 1,
    "training.image_size": 16,
    "training.background_size": 4,
    "training.salient_size": 3,
}


def to_profiles(screen: Path, out: Path, **changes: object) -> Line:
    line = Line(open_screen(screen, SMALL | changes), out, lambda text: None)
    line.store()
    line.run()
    line.cells()
    line.profiles()
    return line


def test_a_huge_screen_is_embedded_into_a_folder_and_its_profiles_come_from_sums(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = to_profiles(tiny_screen, tmp_path / "small")
    monkeypatch.setattr("contrascope.line.finished.CELLS_IN_MEMORY", 10)
    huge = to_profiles(tiny_screen, tmp_path / "huge")
    folder = tmp_path / "huge" / "embedding"
    assert {path.name for path in folder.iterdir()} == {"cells.zarr", "cells.sums.zarr"}
    np.testing.assert_array_equal(huge.made.cells.obsm["salient"], small.made.cells.obsm["salient"])
    for by in ("guide", "perturbation"):
        expected, found = small.made.profiles[by], huge.made.profiles[by]
        assert found.obs_names.tolist() == expected.obs_names.tolist()
        np.testing.assert_allclose(found.obsm["salient"], expected.obsm["salient"], rtol=1e-8, atol=1e-10)
    before = (folder / "cells.zarr" / "zarr.json").stat().st_mtime_ns
    to_profiles(tiny_screen, tmp_path / "huge")
    assert (folder / "cells.zarr" / "zarr.json").stat().st_mtime_ns == before
    again = to_profiles(tiny_screen, tmp_path / "huge", **{"training.seed": 1})
    assert not np.array_equal(again.made.cells.obsm["salient"], small.made.cells.obsm["salient"])


def test_a_line_that_was_stopped_while_training_goes_on_where_it_was(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, object] = {"training.epochs": 3}
    undisturbed = to_profiles(tiny_screen, tmp_path / "undisturbed", **changes)
    stopped = Line(open_screen(tiny_screen, SMALL | changes), tmp_path / "stopped", lambda text: None)
    stopped.store()
    save, saved = callbacks.Checkpoints._save, []

    def save_and_stop(checkpoints: callbacks.Checkpoints, lightning: Any) -> None:
        save(checkpoints, lightning)
        saved.append(int(lightning.global_step))
        if len(saved) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.Checkpoints, "_save", save_and_stop)
    with pytest.raises(RunError, match="goes on where the training was"):
        stopped.run()
    finished = stopped.run()
    assert len(saved) == len(set(saved)) == 3  # one an epoch, none of them twice
    for name, weight in undisturbed.made.run.model.state_dict().items():
        assert torch.equal(finished.model.state_dict()[name], weight), name


def test_a_run_of_other_settings_makes_room_for_the_one_that_is_wanted(tiny_screen: Path, tmp_path: Path) -> None:
    first = to_profiles(tiny_screen, tmp_path / "line").made.run
    second = to_profiles(tiny_screen, tmp_path / "line", **{"training.seed": 5}).made.run
    assert second.fingerprint != first.fingerprint


def test_how_cells_are_embedded_is_changed_without_training_again(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = to_profiles(tiny_screen, tmp_path / "whole", **{"training.views": 1})
    first = to_profiles(tiny_screen, tmp_path / "line")
    monkeypatch.setattr("contrascope.training.fit.train", lambda *_: pytest.fail("it is trained again"))
    second = to_profiles(tiny_screen, tmp_path / "line", **{"training.views": 1})
    for space in ("background", "salient"):
        np.testing.assert_array_equal(second.made.cells.obsm[space], whole.made.cells.obsm[space])
        assert not np.array_equal(second.made.cells.obsm[space], first.made.cells.obsm[space])


def test_a_training_starts_from_the_run_that_the_screen_file_names(tiny_screen: Path, tmp_path: Path) -> None:
    from_scratch = to_profiles(tiny_screen, tmp_path / "first").made.run
    asked: dict[str, object] = {"start_from": str(from_scratch.path), "training.beta_warmup_steps": 0}
    started = to_profiles(tiny_screen, tmp_path / "second", **asked)
    assert started.made.run.facts["start_from"] == from_scratch.fingerprint
    trained = started.made.run.path / "run.json"
    before = trained.stat().st_mtime_ns
    to_profiles(tiny_screen, tmp_path / "second", **asked)
    assert trained.stat().st_mtime_ns == before
    without = to_profiles(tiny_screen, tmp_path / "second", **{"training.beta_warmup_steps": 0})
    assert "start_from" not in without.made.run.facts


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"model": "vae"}, "is a run of mcvae, and a training of vae was to start from it"),
        ({"crop.size": 24}, r"crops of \[24, 24\] cannot start .* trained on \[64, 64\]. Set images.channels and crop"),
        ({"training.image_size": 24}, "has image_size 16 instead of 24"),
        ({"start_from": "nowhere"}, "nowhere holds no finished run"),
    ],
)
def test_a_run_that_cannot_be_started_from_is_refused_before_the_work(
    tiny_screen: Path, tmp_path: Path, other: dict[str, object], said: str
) -> None:
    run = to_profiles(tiny_screen, tmp_path / "first").made.run
    overrides = SMALL | {"start_from": str(run.path)} | other
    with pytest.raises(RunError, match=said):
        pipeline.run_screen(tiny_screen, tmp_path / "out", overrides=overrides)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"model": "mcave"}, "models has no 'mcave'"), ({"training.architecture": "resnet"}, "has no 'resnet'")],
)
def test_a_model_that_is_not_there_is_refused_before_the_work(
    tiny_screen: Path, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        pipeline.run_screen(tiny_screen, tmp_path / "out", overrides=changes)
    assert not (tmp_path / "out").exists()


def test_technical_columns_that_are_not_there_are_refused_before_the_work(tiny_screen: Path, tmp_path: Path) -> None:
    wrong = {"training.technical": ["batch", "humidity"]}
    with pytest.raises(SettingsError, match=r"names humidity, which .* does not have\. Choose from: .*field_distance"):
        pipeline.run_screen(tiny_screen, tmp_path / "out", overrides=wrong)
    assert not (tmp_path / "out" / "cells.zarr").exists()


def test_a_run_to_start_from_is_no_url(tiny_screen: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="s3://bucket/run is a URL"):
        pipeline.run_screen(tiny_screen, tmp_path / "out", overrides=SMALL | {"start_from": "s3://bucket/run"})
    assert not (tmp_path / "out").exists()


def test_a_run_whose_weights_are_damaged_is_refused_before_the_work(tiny_screen: Path, tmp_path: Path) -> None:
    weights = to_profiles(tiny_screen, tmp_path / "first").made.run.path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(RunError, match=r"The weights of the run .* cannot be read"):
        pipeline.run_screen(tiny_screen, tmp_path / "out", overrides=SMALL | {"start_from": str(weights.parent)})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", [".", "parent"])
def test_a_run_is_not_lost_to_the_one_that_was_to_start_from_it(tiny_screen: Path, tmp_path: Path, below: str) -> None:
    run = to_profiles(tiny_screen, tmp_path / "line").made.run
    shutil.copytree(run.path, run.path / "parent")
    with pytest.raises(RunError, match="where the run that starts from it would be"):
        pipeline.run_screen(tiny_screen, tmp_path / "line", overrides=SMALL | {"start_from": str(run.path / below)})
    assert (run.path / below / "weights.safetensors").is_file()


def test_a_finished_run_is_kept_until_the_one_that_takes_its_place_is_finished(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = to_profiles(tiny_screen, tmp_path / "line").made.run
    with pytest.raises(RunError, match=r"split .* leaves no cell to validate on"):
        to_profiles(tiny_screen, tmp_path / "line", **{"training.split": [0.9, 1e-5, 0.09999]})
    assert open_run(first.path).fingerprint == first.fingerprint
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("contrascope.training.fit.write_parquet", lambda *_: 1 / 0)
        to_profiles(tiny_screen, tmp_path / "line", **{"training.seed": 5})
    with monkeypatch.context() as patch:
        patch.setattr("contrascope.training.fit.train", lambda *_: pytest.fail("it is trained again"))
        assert to_profiles(tiny_screen, tmp_path / "line").made.run.fingerprint == first.fingerprint
    assert to_profiles(tiny_screen, tmp_path / "line", **{"training.seed": 5}).made.run.settings.seed == 5
    assert [folder.name for folder in first.path.parent.iterdir()] == ["mcvae"]


def test_a_run_that_others_started_from_and_is_gone_is_asked_for(tiny_screen: Path, tmp_path: Path) -> None:
    parent = to_profiles(tiny_screen, tmp_path / "first").made.run.path
    asked: dict[str, object] = {"start_from": str(parent)}
    to_profiles(tiny_screen, tmp_path / "second", **asked)
    parent.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"is none any more. Put it back, or say where it is now"):
        to_profiles(tiny_screen, tmp_path / "second", **asked)
    moved = Line(
        open_screen(tiny_screen, SMALL | {"start_from": str(tmp_path / "elsewhere")}), tmp_path / "second", print
    )
    assert moved.run().facts["start_from"]


def test_a_report_needs_no_run_that_its_own_started_from_and_still_knows_other_settings(
    tiny_screen: Path, tmp_path: Path
) -> None:
    parent = to_profiles(tiny_screen, tmp_path / "first").made.run.path
    asked: dict[str, object] = {"start_from": str(parent), "annotations": {}, "benchmarks": {}}
    to_profiles(tiny_screen, tmp_path / "second", **asked).results()
    parent.rename(tmp_path / "elsewhere")
    for changes, stage in (({}, "figures"), ({"training.epochs": 77}, "run mcvae")):  # figures were not drawn
        with pytest.raises(RunError, match=f"the stage '{stage}' would be done again"):
            Line(
                open_screen(tiny_screen, SMALL | asked | changes), tmp_path / "second", print
            ).made_from.refuse_changed()


def test_a_screen_file_asks_for_how_sure_the_model_is_of_each_cell(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = to_profiles(tiny_screen, tmp_path / "small").made.cells
    asked: dict[str, object] = {"embedding": {"uncertainty": True, "error": True}}
    for most in (1_000_000, 10):
        monkeypatch.setattr("contrascope.line.finished.CELLS_IN_MEMORY", most)
        made = to_profiles(tiny_screen, tmp_path / ("small" if most > 10 else "huge"), **asked).made
        assert {"background_sd", "salient_sd"} <= made.cells.obsm.keys() - plain.obsm.keys()
        assert (made.cells.obs["reconstruction_error"] > 0).all()
        np.testing.assert_array_equal(made.cells.obsm["salient"], plain.obsm["salient"])


def test_an_unfinished_run_of_other_settings_makes_room_too(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("contrascope.training.fit.write_parquet", lambda *_: 1 / 0)
        to_profiles(tiny_screen, tmp_path / "line")
    assert to_profiles(tiny_screen, tmp_path / "line", **{"training.seed": 5}).made.run.settings.seed == 5


def test_each_benchmark_that_the_screen_file_names_gets_what_it_takes(tiny_screen: Path, tmp_path: Path) -> None:
    genes = open_screen(tiny_screen).cells["perturbation"].unique().sort().to_list()
    groups = {gene: "ab"[number % 2] for number, gene in enumerate(g for g in genes if g != "nontargeting")}
    named: dict[str, object] = {"benchmarks.functions": {"annotations": groups, "permutations": 1}}
    line = to_profiles(tiny_screen, tmp_path / "out", **named)
    results = line.results()
    assert "guides of" in results["functions"].notes[0]
    assert (tmp_path / "out" / "benchmarks" / "functions.png").exists()


def test_a_benchmark_that_the_screen_file_names_is_not_left_out_in_silence(tiny_screen: Path, tmp_path: Path) -> None:
    line = to_profiles(tiny_screen, tmp_path / "out", benchmarks={"stages": {}}, annotations={})
    for _ in ("at once", "done before"):  # the tiny screen has too few controls in mitosis
        assert "stages" not in line.results()
        with pytest.raises(BenchmarkError, match=r"The benchmark stages could not be computed: .* All else is done"):
            line.refuse_unanswered()
    unnamed = to_profiles(tiny_screen, tmp_path / "out", benchmarks={}, annotations={})
    unnamed.results()
    unnamed.refuse_unanswered()


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"crop.size": 40}, "store"),
        ({"cells.control": "ALPHA1"}, "store"),
        ({"training.epochs": 77}, "run mcvae"),
        ({"training.views": 1}, "run mcvae"),
        ({"embedding": {"error": True}}, "cells"),
        ({"benchmarks": {"artifacts": {"seed": 9}}}, "benchmark artifacts"),
    ],
)
def test_a_report_of_what_is_done_says_nothing_of_other_settings(
    change: dict[str, object], stage: str, tiny_screen: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.getbasetemp() / "reported"  # made once
    asked = {"annotations": {}, "benchmarks": {}}
    to_profiles(tiny_screen, out, **asked).results()
    with pytest.raises(RunError, match=f"the stage '{stage}' would be done again"):
        Line(open_screen(tiny_screen, SMALL | asked | change), out, lambda text: None).made_from.refuse_changed()


def test_the_report_is_written_again_when_the_screen_file_says_something_else(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "screen_page", lambda made: f"{made.settings.name}: {sorted(made.results)}")
    monkeypatch.setattr("contrascope.line.judging.needed_by", lambda name: [] if name == "artifacts" else ["all"])
    complexes = str(tiny_screen.parent / "complexes.gmt")

    def report(**changes: object) -> str:
        line = to_profiles(tiny_screen, tmp_path / "out", **changes)
        line.results()
        return line.report().read_text()

    asked: dict[str, object] = {"annotations": {}, "benchmarks": {"complexes": {"annotations": complexes}}, "name": "a"}
    assert report(**asked) == "a: ['artifacts', 'complexes']"
    assert report(**asked | {"name": "b"}) == "b: ['artifacts', 'complexes']"
    assert report(**asked | {"benchmarks": {}}) == "a: ['artifacts']"


def test_what_cellprofiler_measures_is_judged_beside_the_learned_spaces_on_the_same_cells(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_MEASURING", 1)
    monkeypatch.setattr("contrascope.line.judging.needed_by", lambda name: [] if name == "artifacts" else ["all"])
    asked: dict[str, object] = {"features": {"features": "fast", "components": 5, "batch": "plate"}, "benchmarks": {}}
    line = to_profiles(tiny_screen, tmp_path / "out", **asked)
    reduced = line.features()
    assert reduced is not None
    assert reduced.obsm["cellprofiler"].shape == (reduced.n_obs, 5)
    assert 0 < reduced.n_obs <= len(line.made.store)
    table = line.results()["complexes"].table
    assert {"background", "salient", "cellprofiler"} <= set(table["space"])
    cells, notes = line.made.judged
    assert cells.data.n_obs == reduced.n_obs
    assert f"{reduced.n_obs:,} of {len(line.made.store):,} rows are matched" in notes[0]
    assert {name.partition("_")[0] for name in cells.data.obsm["features"].columns} <= {"Cells", "Nuclei", "Cytoplasm"}
    assert cells.data.obsm["features"].index.tolist() == cells.data.obs_names.tolist()
    line.cards()
    assert (tmp_path / "out" / "cards" / "altered.csv").read_text().startswith("perturbation,place,feature,gloss")
    said: list[str] = []
    again = Line(open_screen(tiny_screen, SMALL | asked), tmp_path / "out", said.append)
    again.features()
    assert said == ["features: done before"]


@pytest.mark.parametrize(("given", "devices"), [("2", 2), ("auto", "auto")])
def test_devices_of_the_command_train_and_embed_what_is_large(
    given: str, devices: int | str, tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    fit, embed = pipeline.fit, pipeline.embed
    monkeypatch.setattr(pipeline, "fit", lambda *a, **k: asked.append(k.pop("devices")) or fit(*a, **k))
    monkeypatch.setattr(pipeline, "embed", lambda *a, **k: asked.append(k.pop("devices")) or embed(*a, **k))
    monkeypatch.setattr("contrascope.line.finished.CELLS_IN_MEMORY", 10)
    monkeypatch.setattr(Line, "profiles", lambda line: pytest.fail("far enough"))
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    words = ["contrascope", "run", str(tiny_screen), "--out", str(tmp_path / "out"), "--devices", given, *settings]
    monkeypatch.setattr(sys, "argv", [*words, "--quiet"])
    with pytest.raises(pytest.fail.Exception, match="far enough"):
        cli.main()
    assert asked == [devices, max(1, torch.cuda.device_count()) if devices == "auto" else devices]


def test_devices_that_cannot_be_had_are_refused_before_the_work(tiny_screen: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="devices is 'all'"):
        pipeline.run_screen(tiny_screen, tmp_path / "out", devices="all")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_line_started_by_a_launcher_as_several_processes_is_refused_before_the_work(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "launched", lambda: World(rank=1, size=2))
    with pytest.raises(SettingsError, match=r"as 2 processes.*once with --devices"):
        pipeline.run_screen(tiny_screen, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.8, 0.2, 0.0)])
def test_reconstructions_are_shown_of_cells_that_were_not_trained_on(
    tiny_screen: Path, tmp_path: Path, shares: tuple[float, float, float]
) -> None:
    made = to_profiles(tiny_screen, tmp_path / "out", **{"training.split": shares}).made
    pictures._draw_reconstructions(tmp_path, made.store, made.run)
    rows = pd.read_csv(tmp_path / "reconstructions.csv")["row"]
    expected = "test" if shares[2] else "validation"
    assert set(made.run.split().gather(rows.to_numpy())) == {expected}


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tiny_screen: Path, tmp_path: Path) -> None:
    runs = []
    for devices in (1, 2):
        line = Line(open_screen(tiny_screen, SMALL), tmp_path / str(devices), lambda text: None, devices)
        line.store()
        runs.append(line.run())
    assert runs[0].fingerprint == runs[1].fingerprint
    losses = [run.facts["outcome"]["best_validation_loss"] for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_report_names_what_the_screen_file_does_not_ask(tiny_screen: Path) -> None:
    settings = open_screen(tiny_screen).settings
    left_out = unasked(settings)
    assert not left_out.keys() & questions(settings).keys()
    assert set(left_out) | questions(settings).keys() == set(BENCHMARKS)
    assert left_out["dose"] == "The screen file does not give what it needs: dose, negative, positive, fit, test."


def test_controls_are_no_perturbation_of_a_screen(tiny_screen: Path) -> None:
    screen = open_screen(tiny_screen)
    perturbed = set(screen.cells.filter(~screen.cells["control"])["perturbation"].cast(pl.String))
    assert f", {len(perturbed)} perturbations, " in repr(screen)
    assert "nontargeting" not in perturbed
