"""Maps of plates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrascope.figures.plates import Shown, plate_maps

WELLS = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]


def frame(plates: tuple[str, ...], wells: list[str], tiles: int) -> pd.DataFrame:
    rows = [(plate, well, str(tile)) for plate in plates for well in wells for tile in range(tiles)]
    return pd.DataFrame(rows, columns=["plate", "well", "tile"])


def test_every_value_stands_at_its_well_and_every_framed_tile_has_its_frame() -> None:
    tiles, values = frame(("P1",), WELLS, 1), np.arange(96.0)
    values[5] = np.nan
    framed = np.arange(96) == 40
    axes = plate_maps(tiles, {"DNA": Shown(values, "counts", framed, from_zero=True)}).axes[0]
    there, image = axes.images
    assert np.array_equal(image.get_array().filled(np.nan), values.reshape(8, 12), equal_nan=True)  # type: ignore[union-attr]
    assert not np.ma.getmaskarray(there.get_array()).any()
    assert image.get_clim() == (0, 95)
    assert {tuple(scatter.get_offsets().data[0]) for scatter in axes.collections} == {(4, 3)}  # type: ignore[union-attr]


def test_a_few_extreme_tiles_do_not_take_all_colours() -> None:
    tiles, values = frame(("P1",), WELLS, 4), np.random.default_rng(0).normal(100, 5, 384)
    values[0] = 10_000
    low, high = plate_maps(tiles, {"DNA": Shown(values, "counts")}).axes[0].images[1].get_clim()
    assert 80 < low < 100 < high < 130


@pytest.mark.parametrize(("plates", "channels"), [(1, 1), (1, 6), (3, 1), (6, 1), (2, 3), (6, 5)])
def test_each_plate_and_channel_has_one_panel_and_each_channel_one_scale(plates: int, channels: int) -> None:
    tiles = frame(tuple(f"P{i}" for i in range(plates)), WELLS[:24], 4)
    shown = {f"channel {c}": Shown(np.arange(len(tiles), dtype=float), "counts") for c in range(channels)}
    figure = plate_maps(tiles, shown)
    maps = [axes for axes in figure.axes if axes.images]
    assert len(maps) == plates * channels
    assert len(figure.axes) == len(maps) + channels
    assert len({axes.get_title() for axes in maps}) == len(maps)
    figure.canvas.draw()


@pytest.mark.parametrize("wells", [["left", "right slide"], ["A01"], [f"w{i}" for i in range(100)]])
def test_wells_of_any_name_and_thousands_of_tiles_are_drawn(wells: list[str]) -> None:
    tiles = frame(("P1",), wells, 4000 // len(wells))
    figure = plate_maps(tiles, {"": Shown(np.ones(len(tiles)), "cells", np.ones(len(tiles), bool))})
    figure.canvas.draw()
    assert figure.get_size_inches()[0] <= 7


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (8, 12), (16, 24)])
@pytest.mark.parametrize("plates", [1, 3, 9])
def test_titles_and_labels_lie_inside_the_picture_and_over_nothing(rows: int, columns: int, plates: int) -> None:
    wells = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP"[:rows] for column in range(1, columns + 1)]
    tiles = frame(tuple(f"Plate_{i}" for i in range(plates)), wells, 1)
    values = np.random.default_rng(0).random(len(tiles)) * 1e-4
    figure = plate_maps(tiles, {"": Shown(values, "focus")})
    figure.canvas.draw()
    maps, (bar,) = [axes for axes in figure.axes if axes.images], [axes for axes in figure.axes if not axes.images]
    titles = [axes.title.get_window_extent() for axes in maps]
    for title in titles:
        assert title.y1 <= figure.bbox.y1 and title.x1 <= figure.bbox.x1
        assert not any(title.overlaps(axes.get_window_extent()) for axes in maps) or plates == 1
    assert bar.xaxis.get_offset_text().get_text() == ""
    assert bar.xaxis.label.get_window_extent().y0 >= figure.bbox.y0
    assert any(tick.get_text().endswith("e-5") for tick in bar.get_xticklabels())


def test_a_diagonal_of_wells_on_three_plates_has_its_titles_inside() -> None:
    tiles = frame(("P 1", "P2", "Plate_3"), ["A01", "B02"], 4)
    figure = plate_maps(tiles, {"": Shown(np.full(len(tiles), 36.0), "cells in the table", from_zero=True)})
    figure.canvas.draw()
    assert all(axes.title.get_window_extent().y1 <= figure.bbox.y1 for axes in figure.axes)
