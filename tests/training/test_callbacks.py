"""What is kept beside the steps of a training; of Lightning's trainer a stand-in says how far it is."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from contrascope import progress
from contrascope.config import training_settings
from contrascope.errors import RunError
from contrascope.models.variants import build_model
from contrascope.sampling.transforms import paper_transform
from contrascope.training.callbacks import BestWeights, Checkpoints, Progress, Stopping
from contrascope.training.files import FACTS, MATCHED, WEIGHTS
from contrascope.training.module import VALIDATION_LOSS, TrainingModule


@pytest.fixture
def module() -> TrainingModule:
    settings = training_settings(
        1000, image_size=16, background_size=3, salient_size=2, precision="fp32", normalization="paper"
    )
    network = build_model("mcvae", settings, channels=2, perturbations=2)
    return TrainingModule(network, paper_transform(16, 2), settings, steps=50)


def at(step: int, loss: float = 0.0, *, first: bool = True) -> Any:
    """A trainer that has come to this step."""
    metrics = {VALIDATION_LOSS: torch.tensor(loss)}
    return SimpleNamespace(callback_metrics=metrics, global_step=step, is_global_zero=first, should_stop=False)


def marked(module: TrainingModule, mark: float) -> TrainingModule:
    """The module with this number in all of its weights."""
    with torch.no_grad():
        for weights in module.model.parameters():
            weights.fill_(mark)
    return module


def mark_in(path: Path) -> float:
    return float(load_file(path / WEIGHTS)["encoders.background.head.weight"].flatten()[0])


def test_the_weights_of_the_lowest_loss_are_kept_and_of_equal_ones_the_first(
    module: TrainingModule, tmp_path: Path
) -> None:
    best = BestWeights(tmp_path)
    for step, loss in enumerate([5.0, 3.0, 4.0, 3.0, 6.0]):
        best.on_validation_end(at(step, loss), marked(module, step))
    assert (best.loss, best.step, mark_in(tmp_path)) == (3.0, 1, 1.0)
    assert set(load_file(tmp_path / WEIGHTS)) == set(module.model.state_dict())
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS]


def test_a_training_that_goes_on_beats_what_it_had_reached_or_leaves_it(module: TrainingModule, tmp_path: Path) -> None:
    before, after = BestWeights(tmp_path), BestWeights(tmp_path)
    before.on_validation_end(at(7, 2.0), marked(module, 7))
    after.load_state_dict(before.state_dict())
    after.on_validation_end(at(8, 2.5), marked(module, 8))
    assert (after.step, mark_in(tmp_path)) == (7, 7.0)
    after.on_validation_end(at(9, 1.5), marked(module, 9))
    assert (after.step, mark_in(tmp_path)) == (9, 9.0)


def test_what_was_said_of_former_weights_goes_with_them_and_not_before(module: TrainingModule, tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    best.on_validation_end(at(1, 2.0), module)
    for name in (FACTS, MATCHED):
        (tmp_path / name).write_text("of the former")
    best.on_validation_end(at(2, 3.0), module)
    assert (tmp_path / FACTS).is_file()
    best.on_validation_end(at(3, 1.0), module)
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS]


def test_of_several_processes_the_first_writes_and_all_know(module: TrainingModule, tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    best.on_validation_end(at(4, 2.0, first=False), module)
    assert (best.loss, best.step) == (2.0, 4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_weights(
    loss: float, module: TrainingModule, tmp_path: Path
) -> None:
    best = BestWeights(tmp_path)
    best.on_validation_end(at(1, 2.0), marked(module, 1))
    with pytest.raises(RunError, match=r"The validation loss is .* at step 1,200.*learning_rate \(it is "):
        best.on_validation_end(at(1200, loss), marked(module, 2))
    assert mark_in(tmp_path) == 1.0


def test_without_a_validation_there_is_nothing_to_use(module: TrainingModule, tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    with pytest.raises(RunError, match="stopped at step 1,500, before its first validation"):
        best.refuse_none(1500)
    best.on_validation_end(at(1, 2.0), module)
    best.refuse_none(1500)


@pytest.mark.parametrize(("waited", "over"), [(0, False), (2, False), (3, True), (4, True)])
def test_a_training_that_had_stopped_early_is_over_when_it_is_gone_on_with(waited: int, over: bool) -> None:
    stopping, trainer = Stopping(3), at(5)
    stopping.load_state_dict(stopping.state_dict() | {"wait_count": waited})
    stopping.on_train_start(trainer, None)  # type: ignore[arg-type]
    assert trainer.should_stop is over


def test_time_spent_before_a_crash_counts(tmp_path: Path) -> None:
    first, second = Checkpoints(tmp_path / "resume"), Checkpoints(tmp_path / "resume")
    first.load_state_dict({"seconds": 1000.0})
    second.load_state_dict(first.state_dict())
    assert second.state_dict()["seconds"] > 1000


def test_progress_is_told_in_steps_of_the_whole() -> None:
    heard: list[tuple[str, int, int]] = []
    with progress.listening(lambda *far: heard.append(far)):
        for step in (1, 2):
            Progress(50).on_train_batch_end(at(step), None, None, None)
    assert heard == [("Training", 1, 50), ("Training", 2, 50)]
