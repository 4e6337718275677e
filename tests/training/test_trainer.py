"""Training that is killed, or stopped by hand, goes on to the very same weights."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from contrascope.errors import RunError
from contrascope.store.store import CropStore
from contrascope.training.module import TrainingModule
from contrascope.training.run import Run, open_run

Train = Callable[..., Run]
TWICE_AN_EPOCH: dict[str, Any] = {"epochs": 3, "validations_per_epoch": 2, "batch_size": 16}
"""Three epochs of seven steps; a validation after every third."""


class KilledError(Exception):
    """What a process that is killed never sees."""


@pytest.fixture(scope="module")
def undisturbed(store: CropStore, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(store, tmp_path_factory.mktemp("runs") / "run", **TWICE_AN_EPOCH)


def results(run: Run) -> tuple[bytes, str, dict[str, Any]]:
    """All that must be equal: weights, metrics, and the outcome but for how long it took."""
    outcome = {k: x for k, x in run.facts["outcome"].items() if k not in ("seconds", "cells_per_second")}
    return (run.path / "weights.safetensors").read_bytes(), (run.path / "metrics.csv").read_text(), outcome


def ends(error: BaseException, *, at: int) -> Callable[..., Any]:
    """A training step that ends with an error once so many steps were taken."""
    step = TrainingModule.training_step

    def ending(self: TrainingModule, *args: Any) -> Any:
        if self.global_step == at:
            raise error
        return step(self, *args)

    return ending


def test_a_training_begun_on_a_device_of_another_kind_goes_on_with_noise_of_its_own(
    undisturbed: Run, store: CropStore, train: Train, tmp_path: Path
) -> None:
    saved = TrainingModule.on_save_checkpoint

    def on_a_gpu(self: TrainingModule, checkpoint: dict[str, Any]) -> None:
        saved(self, checkpoint)
        checkpoint["training noise"] = torch.zeros(16, dtype=torch.uint8)  # a seed and how far it has come

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "on_save_checkpoint", on_a_gpu)
        patch.setattr(TrainingModule, "training_step", ends(KilledError(), at=7))
        with pytest.raises(KilledError):
            train(store, tmp_path / "run", **TWICE_AN_EPOCH)
    run = train(store, tmp_path / "run", **TWICE_AN_EPOCH)
    assert run.facts["outcome"]["steps"] == undisturbed.facts["outcome"]["steps"]
    assert len(run.metrics()) == len(undisturbed.metrics())
    assert results(run) != results(undisturbed)


@pytest.mark.parametrize("every", [0.0, 1e9], ids=["saved after every step", "saved after every validation"])
@pytest.mark.parametrize("at", [1, 3, 6, 7, 9, 14, 20])
def test_killed_at_any_step_it_goes_on_to_the_same_weights(
    undisturbed: Run,
    store: CropStore,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    every: float,
    at: int,
) -> None:
    monkeypatch.setattr("contrascope.training.callbacks.CHECKPOINT_SECONDS", every)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(TrainingModule, "training_step", ends(KilledError(), at=at))
        train(store, tmp_path, **TWICE_AN_EPOCH)
    taken: list[int] = []
    monkeypatch.setattr(TrainingModule, "on_train_batch_start", lambda self, *_: taken.append(self.global_step))
    again = train(store, tmp_path, **TWICE_AN_EPOCH)
    assert results(again) == results(undisturbed)
    assert taken[0] == at if every == 0 else taken[0] <= at
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in undisturbed.path.iterdir())


def test_ctrl_c_leaves_a_run_that_can_be_used_and_gone_on_with(
    undisturbed: Run, store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", ends(KeyboardInterrupt(), at=8))
        with pytest.raises(RunError, match=r"stopped at step 8.*can be used.*goes on"):
            train(store, tmp_path, **TWICE_AN_EPOCH)
    assert signal.getsignal(signal.SIGINT) == handler
    stopped = open_run(tmp_path)
    assert stopped.facts["outcome"]["interrupted"]
    assert stopped.reconstruct(store, store.labels.argsort()[:2])[1].shape == (2, 2, 16, 16)
    again = train(store, tmp_path, **TWICE_AN_EPOCH)
    assert not again.facts["outcome"]["interrupted"]
    assert results(again) == results(undisturbed)


def test_gone_on_with_and_killed_a_stopped_run_says_nothing_of_weights_that_are_no_more(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its controls were matched by former weights: with newer ones, salient codes would be wrong without a word."""
    improving = TWICE_AN_EPOCH | {"epochs": 12, "patience": 100, "learning_rate": 0.003}
    for error, at, found in ((KeyboardInterrupt(), 8, RunError), (KilledError(), 80, KilledError)):
        with monkeypatch.context() as patch, pytest.raises(found):
            patch.setattr(TrainingModule, "training_step", ends(error, at=at))
            train(store, tmp_path / "run", **improving)
    with pytest.raises(RunError, match="holds no finished run"):
        open_run(tmp_path / "run")
    assert results(train(store, tmp_path / "run", **improving)) == results(train(store, tmp_path / "b", **improving))


def test_gone_on_with_and_killed_before_better_weights_a_stopped_run_is_what_it_was(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, at, found in ((KeyboardInterrupt(), 8, RunError), (KilledError(), 8, KilledError)):
        with monkeypatch.context() as patch, pytest.raises(found):
            patch.setattr(TrainingModule, "training_step", ends(error, at=at))
            train(store, tmp_path, **TWICE_AN_EPOCH)
    stopped = open_run(tmp_path)
    assert stopped.facts["outcome"]["interrupted"]
    assert stopped.matched is not None


def test_a_validation_loss_that_is_no_number_ends_the_training_however_often_it_is_tried(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = TrainingModule.on_validation_epoch_end

    def wrong(self: TrainingModule) -> None:
        right(self)
        if self.global_step > 10:
            self.log("validation/loss", float("nan"))

    monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", wrong)
    for _ in range(2):
        with pytest.raises(RunError, match=r"validation loss is nan at step 13.*learning_rate"):
            train(store, tmp_path / "run", **TWICE_AN_EPOCH)


def test_ctrl_c_before_the_first_validation_says_that_there_is_nothing_yet(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingModule, "training_step", ends(KeyboardInterrupt(), at=1))
    with pytest.raises(RunError, match=r"stopped at step 1, before its first validation"):
        train(store, tmp_path, **TWICE_AN_EPOCH)


@pytest.mark.parametrize("patience", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_after_it_stopped_early_it_trains_no_further(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int, seed: int
) -> None:
    """All that is left to do then is to look at controls and to write ``run.json``."""
    until_worse = TWICE_AN_EPOCH | {"epochs": 30, "patience": patience, "seed": seed, "learning_rate": 0.01}
    whole = train(store, tmp_path / "whole", **until_worse)
    assert whole.facts["outcome"]["stopped_early"]

    def killed(*_: Any) -> None:
        raise KilledError

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            patch.setattr("contrascope.training.fit.keep_matched", killed)
            train(store, tmp_path / "killed", **until_worse)
    assert results(train(store, tmp_path / "killed", **until_worse)) == results(whole)


def test_an_unfinished_training_of_other_settings_is_left_alone(
    undisturbed: Run, store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(TrainingModule, "training_step", ends(KilledError(), at=8))
        train(store, tmp_path, **TWICE_AN_EPOCH)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(RunError, match=r"training that is not finished, of other inputs.*by its own settings"):
        train(store, tmp_path, **(TWICE_AN_EPOCH | {"seed": 5}))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert results(train(store, tmp_path, **TWICE_AN_EPOCH)) == results(undisturbed)


def test_killed_as_soon_as_it_has_saved_it_loses_no_line_of_the_metrics(
    undisturbed: Run, store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = L.Trainer.save_checkpoint

    def killed_after(trainer: L.Trainer, *args: Any) -> None:
        save(trainer, *args)
        if trainer.global_step == 5:
            raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr("contrascope.training.callbacks.CHECKPOINT_SECONDS", 0.0)
        patch.setattr(L.Trainer, "save_checkpoint", killed_after)
        train(store, tmp_path, **TWICE_AN_EPOCH)
    assert results(train(store, tmp_path, **TWICE_AN_EPOCH)) == results(undisturbed)


@pytest.mark.parametrize("damage", [lambda data: data[:200], lambda data: b"", lambda data: b"\xff" * len(data)])
def test_a_damaged_checkpoint_is_named_and_left_to_the_user(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(TrainingModule, "training_step", ends(KilledError(), at=8))
        train(store, tmp_path, **TWICE_AN_EPOCH)
    resume = tmp_path / "resume.safetensors"
    resume.write_bytes(damage(resume.read_bytes()))
    before = resume.read_bytes()
    with pytest.raises(RunError, match=r"resume.safetensors, which is damaged.*Delete that file"):
        train(store, tmp_path, **TWICE_AN_EPOCH)
    assert resume.read_bytes() == before


@pytest.mark.slow
def test_sigkill_at_random_moments_changes_nothing(
    undisturbed: Run, store: CropStore, train: Train, tmp_path: Path
) -> None:
    settings = {k: x for k, x in undisturbed.facts["settings"].items() if k != "preset"} | {
        "epochs": 150,
        "patience": 1000,
    }
    code = (
        "import sys, json; from contrascope import fit, open_store; import contrascope.training.callbacks as t;"
        "t.CHECKPOINT_SECONDS = 0.2;"
        f"fit(open_store({str(store.path)!r}), out=sys.argv[1], **json.loads(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "killed"), json.dumps(settings)]
    moment, kills = random.Random(0), 0
    for _ in range(40):
        with (tmp_path / "errors.txt").open("wb") as errors:
            process = subprocess.Popen(arguments, env=os.environ, stderr=errors)
            try:
                process.wait(timeout=moment.uniform(3, 9) * 1.05**kills)  # where a start alone takes that long too
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
    assert process.returncode == 0, (tmp_path / "errors.txt").read_text()
    assert kills > 0
    whole = train(store, tmp_path / "whole", **settings)
    assert results(open_run(tmp_path / "killed")) == results(whole)
