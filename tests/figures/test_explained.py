"""The figure of explained shares."""

from __future__ import annotations

import pandas as pd
import pytest

from contrascope.figures.explained import explained_curves


def table(differing: dict[str, int], spaces: tuple[str, ...] = ("salient",)) -> pd.DataFrame:
    rows = []
    for space in spaces:
        for group, features in differing.items():
            rows.append({"space": space, "metric": "features that differ", "group": group, "value": 0.5})
            for k in range(1, 16 if features else 1):
                used = min(k, features)
                numbers = {"value": used / 20, "chance": used / 30, "null_low": used / 60, "null_high": used / 16}
                row = {"space": space, "metric": "explained share of PC1", "group": group, "k": k, "features": used}
                rows.append(row | numbers)
    columns = ["space", "metric", "group", "k", "features", "value", "chance", "null_low", "null_high"]
    return pd.DataFrame(rows, columns=columns)


def test_each_space_has_a_panel_with_a_curve_for_each_group_and_the_band_of_chance() -> None:
    figure = explained_curves(table({"novel": 15, "shifted": 15}, ("background", "salient")))
    assert [axes.get_title() for axes in figure.axes] == ["background", "salient"]
    for axes in figure.axes:
        (band,) = axes.collections
        assert band.get_paths()[0].get_extents().y1 == pytest.approx(15 / 16)
        curves = [line for line in axes.lines if line.get_marker() in ("o", "s")]
        assert [line.get_ydata()[-1] for line in curves] == [0.75, 0.75]  # type: ignore[index]
    figure.canvas.draw()


def test_a_curve_is_dotted_from_where_a_group_has_no_more_features() -> None:
    axes = explained_curves(table({"novel": 4, "shifted": 15})).axes[0]
    lines = {line.get_linestyle(): line for line in axes.lines if line.get_color() == axes.lines[1].get_color()}
    assert list(lines["-"].get_xdata()) == [1, 2, 3, 4]
    assert list(lines[":"].get_xdata()) == list(range(4, 16))
    assert set(lines[":"].get_ydata()) == {0.2}


def test_groups_that_do_nothing_leave_a_sentence() -> None:
    figure = explained_curves(table({"inert": 0}))
    assert figure.axes[0].texts[0].get_text() == "no feature differs"
    figure.canvas.draw()


def test_twenty_groups_all_look_different() -> None:
    figure = explained_curves(table({f"g{i}": 15 for i in range(20)}))
    keys = figure.legends[0].legend_handles[:20]
    assert len({(key.get_color(), key.get_marker()) for key in keys}) == 20  # type: ignore[union-attr]
