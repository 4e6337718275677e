"""Small pictures of cells: the right ones, in the right place, no more than there is room for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contrascope.contrast import store_contrast
from contrascope.figures.gallery import composite
from contrascope.line import thumbnails
from contrascope.line.thumbnails import draw_thumbnails, in_turns
from contrascope.report.sheets import place, read_sheets


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 9))
def test_whoever_comes_again_has_waited_for_all_others(labels, seed) -> None:
    labels = np.array(labels)
    order = in_turns(labels, seed=seed)
    assert sorted(order) == list(range(len(labels)))
    for stop in range(1, len(labels)):
        had = {label: int((labels[order[:stop]] == label).sum()) for label in set(labels.tolist())}
        for label, count in had.items():
            assert count == (labels == label).sum() or count >= max(had.values()) - 1


def test_equal_seeds_give_equal_orders_and_others_do_not() -> None:
    labels = np.arange(100) % 5
    assert in_turns(labels).tolist() == in_turns(labels).tolist() != in_turns(labels, seed=1).tolist()


@pytest.mark.parametrize("side", [64, 32])
def test_each_picture_is_its_cell_in_the_colours_of_the_figures(tiny_store, tmp_path, monkeypatch, side) -> None:
    monkeypatch.setattr(thumbnails, "SIDE", side)
    rows = np.arange(0, len(tiny_store), 3)
    draw_thumbnails(tmp_path, tiny_store, rows)
    sheets = read_sheets(tmp_path)
    assert sorted(sheets.rows) == rows.tolist()
    assert max(sheets.width, sheets.height) <= side
    images = [np.asarray(Image.open(file).convert("RGB")).astype(float) for file in sheets.files]
    limits, errors = store_contrast(tiny_store), []
    for number, row in enumerate(sheets.rows):
        colours = 255 * composite(tiny_store.read(np.array([row])), limits=limits)[0]
        # Means of blocks of pixels, which shrinking must not change.
        times = colours.shape[0] // sheets.height
        expected = colours.reshape(sheets.height, times, sheets.width, times, 3).mean((1, 3))
        sheet, left, top = place(number, width=sheets.width, height=sheets.height)
        found = images[sheet][top : top + sheets.height, left : left + sheets.width]
        errors.append(np.sqrt(np.square(found - expected).mean()))
    assert np.median(errors) < 9 and max(errors) < 20


def test_where_room_is_short_controls_and_every_perturbation_still_have_pictures(tiny_store, tmp_path) -> None:
    rows = np.arange(len(tiny_store))
    draw_thumbnails(tmp_path / "all", tiny_store, rows)
    whole = sum(file.stat().st_size for file in read_sheets(tmp_path / "all").files)
    draw_thumbnails(tmp_path / "some", tiny_store, rows, most_bytes=whole - 1)
    sheets = read_sheets(tmp_path / "some")
    assert sum(file.stat().st_size for file in sheets.files) < whole
    assert 0 < len(sheets.rows) < len(tiny_store)
    assert set(tiny_store.labels[sheets.rows]) == set(tiny_store.labels)


def test_without_room_there_is_no_picture(tiny_store, tmp_path) -> None:
    draw_thumbnails(tmp_path, tiny_store, np.arange(10), most_bytes=1)
    assert len(read_sheets(tmp_path).rows) == 0 and not list(tmp_path.glob("*.webp"))
