"""What is kept with a run of the controls' salient codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from contrascope.errors import RunError
from contrascope.models.matched import matched_controls
from contrascope.store.store import CropStore
from contrascope.training.run import MATCHED, Run, open_run

Train = Callable[..., Run]


def test_it_is_fitted_on_the_controls_that_were_trained_on(store: CropStore, train: Train, tmp_path: Path) -> None:
    run = train(store, tmp_path, views=1)
    controls = np.flatnonzero((store.labels == 0) & (run.split() == "train").to_numpy())
    with torch.no_grad():
        q = run.model.encode(run.transform(torch.from_numpy(store.read(controls))))
        assert q.salient is not None
        assert run.matched is not None
        expected = matched_controls(q.background.mean, q.salient.mean, torch.from_numpy(controls))
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
    with pytest.raises(RunError, match=r"matched controls of the run .* cannot be read.*train again"):
        _ = open_run(tmp_path).matched


def test_more_controls_than_are_looked_at_are_left_out(
    store: CropStore, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrascope.training.matching.MOST_CONTROLS", 9)
    assert len(load_file(train(store, tmp_path).path / MATCHED)["anchors"]) == 9
