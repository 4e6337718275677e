"""Confusion matrices."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.image import AxesImage

from contrascope.figures.confusion import confusion_matrices


def table(classes: int, spaces: tuple[str, ...]) -> pd.DataFrame:
    names = [f"a rather long name of group {k}" if k else "first" for k in range(classes)]
    rows = [
        {
            "space": space, "metric": "confusion", "truth": one, "predicted": other,
            "value": (0.8 if i == j else 0.2 / (classes - 1)) * (i > 0 or j > 0), "chance": 0.2, "n": 10,
        }
        for space in spaces
        for i, one in enumerate(names)
        for j, other in enumerate(names)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def images(figure: object) -> list[AxesImage]:
    return [axes.images[0] for axes in figure.axes if axes.images]  # type: ignore[attr-defined]


def test_the_papers_spaces_stand_side_by_side_rows_true_and_columns_said() -> None:
    figure = confusion_matrices(table(3, ("background", "salient", "combined", "untrained")))
    assert [image.axes.get_title() for image in images(figure)] == ["background", "salient", "combined"]
    for image in images(figure):
        np.testing.assert_allclose(image.get_array(), [[0, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
        assert image.get_clim() == (0, 1)
        assert [text.get_text() for text in image.axes.texts] == [
            ".10",
            ".10",
            ".10",
            ".80",
            ".10",
            ".10",
            ".10",
            ".80",
        ]
    assert images(figure)[0].axes.get_yticklabels()[0].get_text() == "first"


def test_other_spaces_and_many_groups_are_drawn_too() -> None:
    figure = confusion_matrices(table(15, ("theirs",)))
    assert len(images(figure)) == 1
    assert not images(figure)[0].axes.texts
    assert images(figure)[0].axes.get_xticklabels()[3].get_text() == "a rather long name …"
    figure.canvas.draw()
    chosen = confusion_matrices(table(2, ("background", "untrained")), spaces=["untrained"])
    assert [image.axes.get_title() for image in images(chosen)] == ["untrained"]
