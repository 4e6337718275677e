"""The command says what the function does: store, channels and options are passed on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from contrascope.cli import app
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore


@pytest.fixture
def dozen(tiny_store: CropStore, tmp_path: Path) -> CropStore:
    """A store of twelve cells."""
    rows = np.arange(12)
    images, cells = tiny_store.read(rows), tiny_store.cells[rows]
    return store_from_arrays(images, cells, tmp_path / "cells.zarr", channels=tiny_store.channels)


def test_a_command_line_measures_a_store(dozen: CropStore, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    options = [
        "--nucleus",
        "DAPI",
        "--cell",
        "Tubulin",
        "--cell",
        "Phalloidin",
        "--features",
        "fast",
        "--diameter",
        "18",
        "--json",
    ]
    answer = CliRunner().invoke(app, ["features", str(dozen.path), "--out", str(out), *options])
    assert answer.exit_code == 0, answer.output
    facts = json.loads(answer.stdout)
    assert facts["how"] == {"nucleus": "DAPI", "cell": ["Tubulin", "Phalloidin"], "diameter": 18, "features": "fast"}
    assert facts["n"] + sum(facts["not_measured"].values()) == len(dozen)
    assert pl.read_parquet(out).shape == (facts["n"], facts["n_features"] + 2)


def test_an_unknown_channel_is_answered_in_one_paragraph(tiny_store: CropStore, tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        app, ["features", str(tiny_store.path), "--out", str(tmp_path / "f.parquet"), "--nucleus", "Hoechst"]
    )
    assert "There is no channel 'Hoechst'" in str(answer.exception)
