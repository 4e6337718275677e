"""A run in a notebook."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from contrascope.training.run import Run, open_run

Pictures = Callable[[str], list[str]]


def test_a_run_shows_what_came_of_it_and_cells_above_their_reconstructions(run: Run, pictures_in: Pictures) -> None:
    html = run._repr_html_()
    pictures = pictures_in(html)
    assert len(pictures) == 16
    assert not set(pictures[:8]) & set(pictures[8:])  # a model of three steps decodes them all alike
    assert f"{run.facts['outcome']['best_validation_loss']:.1f} nats" in html
    assert run.fingerprint in html
    assert "settings that differ from it" in html


def test_a_run_whose_store_is_elsewhere_says_so(analysis: Path, tmp_path: Path, pictures_in: Pictures) -> None:
    shutil.copytree(analysis / "runs" / "mcvae", tmp_path / "runs" / "mcvae")
    (tmp_path / "other.zarr").mkdir()  # no store of ours
    html = open_run(tmp_path / "runs" / "mcvae")._repr_html_()
    assert pictures_in(html) == []
    assert "The store that it was trained on lies in none of" in html


def test_a_run_without_its_weights_still_shows_its_facts(analysis: Path, tmp_path: Path, pictures_in: Pictures) -> None:
    for name in ("cells.zarr", "runs"):
        shutil.copytree(analysis / name, tmp_path / name)
    (tmp_path / "runs" / "mcvae" / "weights.safetensors").unlink()
    html = open_run(tmp_path / "runs" / "mcvae")._repr_html_()
    assert pictures_in(html) == []
    assert "cannot be shown: RunError: The weights of the run" in html
    assert "validation loss" in html
