"""What is kept with a run of the controls' salient codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from contrascope.config import OF_EMBEDDING, fingerprint
from contrascope.errors import RunError
from contrascope.models.matched import fitted_controls
from contrascope.store.files import read_json, write_json
from contrascope.store.store import CropStore
from contrascope.training.describe import described
from contrascope.training.files import MATCHED
from contrascope.training.run import Run, open_run

Train = Callable[..., Run]


def test_it_is_fitted_on_the_controls_that_were_trained_on(store: CropStore, train: Train, tmp_path: Path) -> None:
    run = train(store, tmp_path, views=1)
    controls = np.flatnonzero((store.labels == 0) & (run.split() == "train").to_numpy())
    with torch.no_grad():
        q = run.model.encode(run.transform(torch.from_numpy(store.read(controls))))
        assert q.salient is not None
        assert run.matched is not None
        expected = fitted_controls(q.background.mean, q.salient.mean, torch.from_numpy(controls))
        new = q.background.mean[:7] + 0.1
        torch.testing.assert_close(run.matched(new), expected(new), rtol=1e-3, atol=1e-5)
    assert run.matched.rows.tolist() == controls.tolist()


def test_equal_trainings_keep_equal_bytes(store: CropStore, train: Train, tmp_path: Path) -> None:
    one, other = (train(store, tmp_path / name) for name in "ab")
    assert (one.path / MATCHED).read_bytes() == (other.path / MATCHED).read_bytes()


@pytest.mark.parametrize("settings", [{"model": "vae"}, {"salient_reference": "origin"}])
def test_nothing_is_kept_where_nothing_is_taken_off(
    store: CropStore, train: Train, tmp_path: Path, settings: dict[str, str]
) -> None:
    run = train(store, tmp_path, **settings)
    assert run.matched is None
    assert not (run.path / MATCHED).exists()


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], None])
def test_a_file_that_is_damaged_or_gone_is_named(
    store: CropStore, train: Train, tmp_path: Path, damage: Callable[[bytes], bytes] | None
) -> None:
    file = train(store, tmp_path).path / MATCHED
    file.write_bytes(damage(file.read_bytes())) if damage else file.unlink()
    with pytest.raises(RunError, match=r"matched controls of the run .* cannot be read.*given again, looks"):
        _ = open_run(tmp_path).matched
    assert train(store, tmp_path).matched is not None, "the remedy that was named"


def test_more_controls_than_are_looked_at_are_left_out(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrascope.training.matching.MOST_CONTROLS", 9)
    assert len(load_file(train(store, tmp_path).path / MATCHED)["anchors"]) == 9


@pytest.fixture
def trained_once(store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose like cannot be trained any more."""
    run = train(store, tmp_path / "run")
    monkeypatch.setattr("contrascope.training.fit.train", lambda *_: pytest.fail("it is trained again"))
    return run


@pytest.mark.parametrize(
    "asked",
    [{"views": 1}, {"salient_reference": "origin"}, {"views": 1, "salient_reference": "origin"}],
    ids=lambda asked: " ".join(map(str, asked.values())),
)
def test_how_cells_are_embedded_can_be_changed_without_training(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, object]
) -> None:
    whole = train(store, tmp_path / "from the start", **asked)
    run = train(store, tmp_path / "run")
    monkeypatch.setattr("contrascope.training.fit.train", lambda *_: pytest.fail("it is trained again"))
    for _ in range(2):  # there and back, and there again
        changed = train(store, run.path, **asked)
        for one in (changed, open_run(run.path)):
            assert one.settings == whole.settings
            assert one.fingerprint == whole.fingerprint == run.fingerprint
            assert (one.matched is None) == (whole.matched is None)
        if whole.matched is not None:
            assert (run.path / MATCHED).read_bytes() == (whole.path / MATCHED).read_bytes()
        back = train(store, run.path)
        assert back.settings == run.settings
        assert back.matched is not None


def test_controls_seen_from_other_sides_are_never_taken_for_the_wanted_ones(
    store: CropStore, train: Train, trained_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash after the controls are written and before the settings are."""
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("contrascope.training.fit.write_json", lambda *_: 1 / 0)
        train(store, trained_once.path, views=1)
    with pytest.raises(RunError, match=r"seen from 1 sides, and its settings say 8.*given again"):
        _ = open_run(trained_once.path).matched
    assert train(store, trained_once.path).matched is not None
    assert open_run(trained_once.path).matched is not None


def test_a_run_of_before_these_settings_is_embedded_as_it_was(trained_once: Run) -> None:
    facts = read_json(trained_once.path / "run.json")
    del facts["settings"]["views"], facts["settings"]["salient_reference"]
    write_json(trained_once.path / "run.json", facts)
    run = open_run(trained_once.path)
    assert (run.settings.views, run.settings.salient_reference, run.matched) == (1, "origin", None)
    assert "views: 1" in described(run)


def test_a_run_of_before_beta_and_encoders_were_settings_has_them_as_it_was_and_is_not_trained_again(
    store: CropStore, train: Train, tmp_path: Path
) -> None:
    trained = train(store, tmp_path / "run", beta=1.0)
    facts = read_json(trained.path / "run.json")
    assert (facts["settings"].pop("encoders"), facts["settings"].pop("beta")) == ("apart", 1.0)
    write_json(trained.path / "run.json", facts)
    files = ("weights.safetensors", "matched.safetensors", "run.json")
    before = [(trained.path / name).stat() for name in files]
    again = train(store, trained.path, beta=1.0)
    known_by = {name: value for name, value in facts["settings"].items() if name not in OF_EMBEDDING}
    assert again.fingerprint == fingerprint([store.fingerprint, "mcvae", known_by]), "as it was without the setting"
    assert (again.settings.encoders, again.settings.beta) == ("apart", 1.0)
    assert [(again.path / name).stat() for name in files] == before


def test_a_run_with_a_shared_encoder_is_another_one(trained_once: Run, store: CropStore, train: Train) -> None:
    with pytest.raises(RunError, match="made from other inputs"):
        train(store, trained_once.path, encoders="shared")
