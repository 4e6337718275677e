"""The paper's settings, read aloud; and what the other preset makes of a screen's size."""

from __future__ import annotations

import pytest

from contrascope.config.training import auto_preset, paper_preset, training_settings
from contrascope.errors import SettingsError
from contrascope.models.architectures.conv5 import Encoder
from contrascope.models.likelihood import SCALES, LearnedScale

FUNK = 31_000_000
"""Cells in the authors' screen."""


def test_the_paper_preset_reads_like_the_paper() -> None:
    s = training_settings(FUNK, preset="paper")
    # "The dimensions of z and s were set to 32", of images resized 100 -> 64 px.
    assert (s.background_size, s.salient_size) == (32, 32)
    assert s.image_size == 64
    # Five convolutional layers, their mirror, one learned scalar for the likelihood's log-scale.
    assert s.architecture == "conv5"
    assert sum(type(layer).__name__ == "Conv2d" for layer in Encoder(4, 64, 32).layers) == 5
    assert SCALES[s.likelihood_scale] is LearnedScale
    # Arcsinh, then (v - 7) / 7.
    assert s.normalization == "paper"
    # "We used the Adam optimizer with a learning rate of 10^-4", and never lowered it.
    assert s.learning_rate == 1e-4
    assert not s.learning_rate_decay
    # 1024 control and 1024 perturbed images a batch; "trained for 2 epochs with early stopping".
    assert s.batch_size == 1024 + 1024
    assert s.epochs == 2
    # Validation every tenth of an epoch, patience 5, on 2 % of the cells; 83 % train and 15 % test.
    assert s.validations_per_epoch == 10
    assert s.patience == 5
    assert s.split == (0.83, 0.02, 0.15)
    # lambda 8; beta from 0 to 1 over 4,500 steps; gradient values clipped at 0.5, of a sum over pairs.
    assert s.wasserstein_weight == 8.0
    assert s.beta == 1
    assert s.beta_warmup_steps == 4500
    assert s.gradient_clip == 0.5
    assert s.loss_scale == 2.0


@pytest.mark.parametrize("n_cells", [10, 10_000, FUNK])
def test_the_paper_preset_does_not_look_at_the_screen(n_cells: int) -> None:
    assert paper_preset(n_cells) == paper_preset(FUNK)


@pytest.mark.parametrize("n_cells", [2, 300, 10_000, 100_000, 1_000_000, FUNK])
def test_the_auto_preset_is_valid_for_a_screen_of_any_size(n_cells: int) -> None:
    s = training_settings(n_cells)
    assert s.preset == "auto"
    assert s.normalization == "measured"
    assert s.likelihood_scale == "closed-form"
    assert s.beta == 16
    assert s.split[1] > 0


@pytest.mark.parametrize("n_cells", [3_000, 10_000, 100_000, 1_000_000, FUNK])
def test_auto_has_warmed_up_before_half_of_the_training(n_cells: int) -> None:
    s = training_settings(n_cells)
    perturbed_a_step = s.batch_size / 2
    steps = s.epochs * 0.85 * 0.7 * n_cells / perturbed_a_step  # with three tenths of controls
    assert s.beta_warmup_steps < steps / 2


def test_fewer_cells_are_seen_more_often() -> None:
    epochs = [training_settings(n).epochs for n in (1_000, 10_000, 100_000, 1_000_000, FUNK)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[1] == 12
    assert epochs[-1] == 2


@pytest.mark.parametrize("preset", [auto_preset, paper_preset])
def test_both_presets_set_every_setting(preset: object) -> None:
    assert set(preset(10_000)) == set(type(training_settings(10_000)).model_fields)  # type: ignore[operator]


def test_an_unknown_preset_is_named_together_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"'fast'.*auto, clean, paper"):
        training_settings(10, preset="fast")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"epoch": 3}, "'epoch' is not a setting"),
        ({"image_size": 300}, "'image_size' is 300"),
        ({"batch_size": 33}, "'batch_size' is 33"),
        ({"split": (0.9, 0.2, 0.1)}, "sum to 1"),
        ({"split": (0.9, 0, 0.1)}, "first two above 0"),
        ({"gain_spread": True}, "'gain_spread': true was given, and a number was needed"),
        ({"gradient_clip": False}, "a number was needed"),
        ({"learning_rate": 0}, "'learning_rate' is 0"),
        ({"learning_rate": "quick"}, "'learning_rate' is 'quick'"),
    ],
)
def test_a_setting_out_of_range_is_named(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        training_settings(10_000, **change)


def test_the_clean_preset_is_auto_and_what_keeps_technique_out_of_the_salient_space() -> None:
    auto, clean = (training_settings(10_000, preset=name).model_dump() for name in ("auto", "clean"))
    differ = {name for name in auto if auto[name] != clean[name]}
    assert differ == {"preset", "normalize_by", "technical", "salient_technical_weight"}


def test_cells_are_seen_from_all_sides_only_where_training_turns_them() -> None:
    assert training_settings(10_000).views == 8
    with pytest.raises(SettingsError, match=r"views: 8.*augment: false.*set views: 1 or augment: true"):
        training_settings(10_000, augment=False)
    assert training_settings(10_000, augment=False, views=1).views == 1


def test_the_paper_preset_embeds_posterior_means_as_they_are() -> None:
    s = training_settings(FUNK, preset="paper")
    assert (s.views, s.salient_reference) == (1, "origin")
