"""Cells as pictures."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from contrascope.errors import FigureError
from contrascope.figures.gallery import cells_by_channel, composite, composites, counterfactuals, limits_of, pairs

CHANNELS = ["DAPI", "Tubulin"]


def images(kind: type = np.uint16) -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.random((4, 2, 16, 16)) * np.array([1000, 50])[None, :, None, None]).astype(kind)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_gallery_has_a_row_a_cell_and_a_column_a_channel(kind: type) -> None:
    figure = cells_by_channel(images(kind), channels=CHANNELS, rows=list("abcd"), pixel_size_um=0.5)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["DAPI", "Tubulin", "composite"]
    assert [text.get_text() for text in axes.get_yticklabels()] == list("abcd")
    figure.canvas.draw()


def test_equal_brightness_looks_equal_in_all_cells() -> None:
    cells = images(np.float32)
    cells[0, 0], cells[3, 0] = 500.0, 500.0
    canvas = cells_by_channel(cells, channels=CHANNELS).axes[0].images[0].get_array()
    assert canvas is not None
    np.testing.assert_array_equal(canvas[:16, :16], canvas[-16:, :16])
    low, high = limits_of(cells)[0]
    np.testing.assert_allclose(canvas[0, 0], (500 - low) / (high - low))


def test_a_reconstruction_has_the_contrast_of_its_original() -> None:
    original = images(np.float32)
    canvas = pairs(original, original / 2, channels=CHANNELS).axes[0].images[0].get_array()
    assert canvas is not None
    limits = limits_of(original)
    expected = np.clip((original[0, 0] / 2 - limits[0, 0]) / (limits[0, 1] - limits[0, 0]), 0, 1)
    np.testing.assert_allclose(canvas[:16, 17:33, 0], expected, atol=1e-6)


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    axes = cells_by_channel(images(), channels=CHANNELS, pixel_size_um=0.5).axes[0]
    assert axes.texts[0].get_text() == "2 µm"
    assert axes.patches[0].get_width() == pytest.approx(4)  # type: ignore[attr-defined]
    assert not cells_by_channel(images(), channels=CHANNELS).axes[0].patches


def test_a_composite_shows_each_channel_in_its_colour() -> None:
    cells = np.zeros((1, 2, 2, 2))
    cells[0, 0, 0, 0] = cells[0, 1, 1, 1] = 1.0
    colour = composite(cells, limits=np.array([[0.0, 1.0]] * 2))
    assert colour.shape == (1, 2, 2, 3)
    assert colour[0, 0, 0].argmax() == 2
    assert colour[0, 1, 1].argmax() == 1
    assert (colour[0, 0, 1] == 0).all()


def test_rows_of_different_length_are_filled_with_white() -> None:
    figure = composites(images(), ["a", "a", "b", "a"], channels=CHANNELS)
    canvas = figure.axes[0].images[0].get_array()
    assert canvas is not None
    assert (canvas[-16:, -16:] == 1).all()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == CHANNELS
    figure.canvas.draw()


def test_a_channel_without_contrast_is_drawn_black() -> None:
    assert (composite(np.full((2, 1, 4, 4), 7)) == 0).all()


def test_pictures_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(FigureError, match="3 channels"):
        cells_by_channel(images(), channels=["a", "b", "c"])
    with pytest.raises(FigureError, match="2 labels for 4 cells"):
        composites(images(), ["a", "b"], channels=CHANNELS)
    with pytest.raises(FigureError, match="the same was needed"):
        pairs(images(), images()[:2], channels=CHANNELS)


def test_a_difference_is_orange_where_light_is_added_and_blue_where_it_is_taken() -> None:
    actual = np.zeros((1, 1, 8, 8))
    actual[0, 0, :4] = 1.0
    without = np.zeros((1, 1, 8, 8))
    without[0, 0, 4:] = 1.0
    canvas = np.asarray(counterfactuals(actual, without, channels=["DNA"]).axes[0].images[0].get_array())
    difference = canvas[:8, -8:]
    red, blue = difference[..., 0], difference[..., 2]
    assert (red[:4] > blue[:4]).all()
    assert (blue[4:] > red[4:]).all()


def test_equal_pictures_have_a_white_difference() -> None:
    canvas = np.asarray(counterfactuals(images(), images(), channels=CHANNELS).axes[0].images[0].get_array())
    side = images().shape[-1]
    np.testing.assert_allclose(canvas[:side, -side:], 1.0)


def test_counterfactuals_of_two_shapes_are_refused() -> None:
    with pytest.raises(FigureError, match="the same was needed"):
        counterfactuals(images(), images()[:2], channels=CHANNELS)


def test_a_faint_difference_is_drawn_stronger_and_says_so() -> None:
    actual = images().astype(float)
    without = actual - 0.03 * np.ptp(actual, axis=(0, 2, 3), keepdims=True) * (np.arange(actual.shape[-1]) < 4)
    figure = counterfactuals(actual, without, channels=CHANNELS)
    titles = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    times = [float(title.split("x")[1]) for title in titles if title.startswith("difference")]
    assert len(times) == len(CHANNELS)
    assert all(5 <= n <= 50 for n in times)


def test_the_difference_is_to_the_last_picture_and_a_control_has_a_column() -> None:
    actual, without, control = (np.full((1, 1, 8, 8), value) for value in (1.0, 1.0, 0.0))
    control[0, 0, :2] = 1.0
    figure = counterfactuals(actual, without, control=control, channels=["DNA"])
    titles = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert titles == ["DNA", "without", "as\ncontrol", "difference\nx1"]
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(canvas[:2, -8:], 1.0)  # no difference: white
    assert (canvas[2:8, -8:, 0] > canvas[2:8, -8:, 2]).all()  # more light than in a control: orange
    with pytest.raises(FigureError, match="the same was needed"):
        counterfactuals(actual, without, control=control[:, :, :4], channels=["DNA"])


def test_titles_stay_within_their_columns() -> None:
    names = ["Phalloidin", "gH2AX", "Tubulin", "Nuclear envelope"]
    many = np.random.default_rng(0).random((2, 4, 16, 16))
    figure = counterfactuals(many, many / 2, control=many / 3, channels=names)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
