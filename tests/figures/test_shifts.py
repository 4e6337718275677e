"""The map of shifts."""

from __future__ import annotations

import numpy as np

from contrascope.figures.shifts import channel_shifts


def test_tiles_are_points_and_medians_that_stood_in_are_crosses_with_their_number() -> None:
    shifts = np.array([[1, 2], [3, 4], [2, 3], [2, 3], [np.nan, np.nan]], float)
    stood_in = np.array([False, False, True, True, False])
    figure = channel_shifts({"GFP": shifts}, stood_in={"GFP": stood_in})
    axes = figure.axes[0]
    points, crosses = (np.asarray(scatter.get_offsets()) for scatter in axes.collections)
    assert points[:2].tolist() == [[2, 1], [4, 3]]
    assert crosses.tolist() == [[3, 2]]
    assert [text.get_text() for text in axes.texts] == ["2"]
    figure.canvas.draw()


def test_tiles_that_were_not_read_do_not_spoil_the_map() -> None:
    figure = channel_shifts({"GFP": np.full((3, 2), np.nan), "RFP": np.full((3, 2), 7.0)})
    assert figure.axes[0].get_xlim()[1] > 7
    figure.canvas.draw()
