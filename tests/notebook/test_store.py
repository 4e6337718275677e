"""A store in a notebook."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrascope.figures.composite import composite
from contrascope.notebook import store as page
from contrascope.notebook.page import chosen_rows
from contrascope.store.store import CropStore

Pictures = Callable[[str], list[str]]


def test_a_store_shows_its_counts_its_channels_and_eight_of_its_cells(store: CropStore, pictures_in: Pictures) -> None:
    html = store._repr_html_()
    assert len(pictures_in(html)) == 8
    assert "120 cells in the table = 120 stored" in html
    assert "2 channels x 16 x 16 pixels, uint16" in html
    assert "DNA blue, &lt;b&gt;Actin green" in html
    assert store.fingerprint in html
    assert store._repr_html_() == html


def test_a_picture_is_the_cell_of_its_row_at_the_contrast_of_all(store: CropStore, pictures_in: Pictures) -> None:
    rows = chosen_rows(120, most=8)
    shown = pictures_in(store._repr_html_())[3].partition("base64,")[2]
    pixels = np.asarray(Image.open(BytesIO(base64.b64decode(shown))).convert("RGB"), float) / 255
    expected = composite(store.read(rows))
    distance = [np.abs(pixels - each).mean() for each in expected]
    assert int(np.argmin(distance)) == 3


def test_a_store_on_a_disk_that_is_lost_says_so_and_keeps_what_it_knows(
    analysis: Path, tmp_path: Path, pictures_in: Pictures
) -> None:
    shutil.copytree(analysis / "cells.zarr", tmp_path / "cells.zarr")
    store = CropStore(tmp_path / "cells.zarr")
    shutil.rmtree(tmp_path / "cells.zarr")
    assert "120 cells of 2 x 16 x 16 uint16, unknown (The store" in repr(store)
    html = store._repr_html_()
    assert pictures_in(html) == []
    assert "The strip of cells cannot be shown: StoreError" in html
    assert store.fingerprint in html


def test_perturbations_of_very_many_cells_are_not_counted(
    store: CropStore, pictures_in: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "COUNTED", 100)
    html = store._repr_html_()
    assert "not counted" in html
    assert f"row {chosen_rows(120, most=8)[0]:,}" in html
    assert "perturbations" not in vars(store)


def test_a_store_of_real_size_is_shown_in_no_time(tiny_store: CropStore, pictures_in: Pictures) -> None:
    tiny_store._repr_html_()
    store, start = CropStore(tiny_store.path), time.process_time()
    assert len(pictures_in(store._repr_html_())) == 8
    assert time.process_time() - start < 0.5
