"""What a run says of itself is what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml
from safetensors.torch import load_file

from contrascope.config import training_settings
from contrascope.store.store import CropStore
from contrascope.training.describe import changed_settings, described, description, idle_settings, latent_statistics
from contrascope.training.run import Run

Train = Callable[..., Run]


def test_settings_that_differ_from_the_preset_make_the_run_again(run: Run) -> None:
    changed = changed_settings(run)
    assert training_settings(120, preset="auto", **changed) == run.settings
    assert "learning_rate" not in changed
    assert changed["image_size"] == 16


def test_changed_settings_that_the_model_has_no_use_for_are_named(
    run: Run, store: CropStore, train: Train, tmp_path: Path
) -> None:
    assert idle_settings(run) == []
    changes = {"wasserstein_weight": 4.0, "independence_weight": 5.0, "technical_size": 2, "control_prior": "learned"}
    assert set(idle_settings(train(store, tmp_path / "vae", model="vae", **changes))) == set(changes)
    mcvae = train(store, tmp_path / "mcvae", epochs=1, **changes)
    assert idle_settings(mcvae) == ["technical_size"]
    assert description(mcvae)["of these without effect on this model"] == ["technical_size"]


def test_latent_statistics_are_of_the_weights_that_are_kept(run: Run) -> None:
    found = latent_statistics(run)
    rows = run.metrics().filter(step=run.facts["outcome"]["best_step"] - 1)
    logged = dict(rows.select("name", "value").iter_rows())
    assert {f"latent/{name}": value for name, value in found.items()} == {
        name: round(value, 3) for name, value in logged.items() if name.startswith("latent/")
    }
    assert "active salient units" in found


def test_where_each_step_is_validated_they_are_not_those_of_the_next(
    store: CropStore, train: Train, tmp_path: Path
) -> None:
    trained = train(store, tmp_path / "run", validations_per_epoch=100, learning_rate=0.03, epochs=6)
    best = trained.facts["outcome"]["best_step"]
    logged = trained.metrics().filter(name="latent/salient norm of controls")
    values = dict(logged.select("step", "value").iter_rows())
    assert best in values, "there is a validation a step later"
    assert latent_statistics(trained)["salient norm of controls"] == round(values[best - 1], 3)


def test_the_text_can_be_read_as_yaml_after_its_first_line(run: Run) -> None:
    text = described(run)
    assert yaml.safe_load(text.partition("\n")[2]) == description(run)
    weights = load_file(run.path / "weights.safetensors")
    learned = sum(x.numel() for name, x in weights.items() if not name.startswith("likelihood."))
    assert description(run)["size"]["parameters"] == learned
