"""Scatter plots."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from contrascope.figures.scatter import umap
from contrascope.figures.style import PALE

POINTS = np.random.default_rng(0).normal(size=(500, 2))


def entries(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_of_many_categories_the_largest_are_named_and_the_rest_counted() -> None:
    sizes = np.repeat(np.arange(40), np.arange(40) + 1)[-500:]
    labels = [f"gene {k:02d}" for k in sizes]
    figure = umap(POINTS, labels, label="gene")
    assert entries(figure) == [f"gene {k}" for k in range(31, 40)] + [f"{len(set(labels)) - 9} others"]
    assert figure.legends[0].get_title().get_text() == "gene"


def test_points_keep_their_own_colour() -> None:
    flags = pd.Series(POINTS[:, 0] > 0)
    figure = umap({"background": POINTS, "salient": POINTS}, flags, label="right")
    assert entries(figure) == ["False", "True"]
    for axes in figure.axes:
        cloud = axes.collections[0]
        assert cloud.get_rasterized()
        right = np.asarray(cloud.get_offsets())[:, 0] > 0
        colours = cloud.get_facecolors()  # type: ignore[attr-defined]
        assert len(np.unique(colours[right], axis=0)) == len(np.unique(colours[~right], axis=0)) == 1
        assert not np.array_equal(colours[right][0], colours[~right][0])


@pytest.mark.parametrize("values", [POINTS[:, 0], np.arange(500), np.where(POINTS[:, 0] > 0, np.nan, 1.0)])
def test_numbers_get_a_colour_bar(values: np.ndarray) -> None:
    figure = umap(POINTS, values, label="distance")
    assert not figure.legends
    assert figure.axes[-1].get_ylabel() == "distance"
    figure.canvas.draw()


def test_missing_and_very_long_names_are_legible() -> None:
    names = pd.Categorical(["x" * 60] * 250 + [None] * 250)
    assert entries(umap(POINTS, names, label="name")) == ["none", "x" * 21 + "…"]


def test_what_is_to_be_the_ground_is_grey_however_large_and_named_last() -> None:
    names = np.where(np.arange(500) < 400, "all others", np.where(np.arange(500) < 450, "b", "a"))
    figure = umap(POINTS, names, label="gene", grey="all others")
    assert entries(figure) == ["a", "b", "all others"]
    handles = figure.legends[0].legend_handles
    assert handles[-1].get_color() == PALE  # type: ignore[union-attr]
    cloud = figure.axes[0].collections[0]
    drawn_last = np.asarray(cloud.get_offsets())[-100:]
    assert {tuple(p) for p in drawn_last.tolist()} == {tuple(p) for p in POINTS[400:].tolist()}
