"""The figure of novelty."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contrascope.figures.novelty import novelty_map
from contrascope.figures.style import CATEGORIES, INK


def table(count: int = 6, *, spaces: tuple[str, ...] = ("background", "salient"), groups: bool = True) -> pd.DataFrame:
    """Genes of growing effect, the odd ones novel; the smallest is not found."""
    rows = []
    for i in range(count):
        kind = ("shifted", "novel")[i % 2]
        shared = {
            "perturbation": f"g{i}",
            "group": kind if groups else None,
            "q": 0.5 if i == 0 else 0.001,
            "chance": 0.5,
        }
        for space in spaces:
            norm = (i + 1) * (2.0 if (space == "salient") == (i % 2 == 1) else 0.5)
            found = {"value": norm, "low": norm / 2, "high": norm * 2}
            rows.append(shared | found | {"space": space, "metric": "effect norm"})
            control = {"perturbation": f"nt{i}", "value": 0.1, "chance": 0.1}
            rows.append(control | {"space": space, "metric": "control guide norm"})
        if len(spaces) == 2:
            found = {"value": 0.9 * (i % 2), "low": 0.0, "high": 1.0, "space": "combined", "metric": "salient share"}
            rows.append(shared | found)
    return pd.DataFrame(rows)


def test_norms_stand_in_multiples_of_their_mean_coloured_by_group_and_filled_where_found() -> None:
    figure = novelty_map(table())
    points = figure.axes[0].collections[0]
    places = np.asarray(points.get_offsets())
    np.testing.assert_allclose(places.mean(axis=0), 1)
    filled = np.asarray(points.get_facecolors())[:, 3]  # type: ignore[attr-defined]
    assert list(filled) == [0, 1, 1, 1, 1, 1]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["novel", "shifted"]
    assert {"control guides", "chance"} <= set(labels)
    assert {text.get_text() for text in figure.axes[0].texts} >= {"g5", "g4"}
    assert "g0" not in {text.get_text() for text in figure.axes[0].texts}


def test_shares_are_sorted_and_only_the_largest_of_many_are_shown() -> None:
    figure = novelty_map(table(80))
    axes = figure.axes[1]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert len(names) == 30
    assert "g79" in names
    assert axes.get_title().endswith("(the 30 largest of 80)")
    places = np.asarray(axes.collections[1].get_offsets())[:, 0]
    assert (np.diff(places) >= 0).all()
    figure.canvas.draw()
    assert axes.title.get_window_extent().x1 <= figure.bbox.x1


def test_control_guides_beyond_all_perturbations_lie_inside_their_panel_and_nothing_covers_anything() -> None:
    far = table()
    far.loc[(far["metric"] == "control guide norm") & (far["space"] == "background"), "value"] = 40.0
    figure = novelty_map(far)
    figure.canvas.draw()
    axes, other = figure.axes
    controls = next(line for line in axes.lines if line.get_marker() == "x")
    assert np.max(controls.get_xdata()) > 2 * np.asarray(axes.collections[0].get_offsets())[:, 0].max()
    corners = axes.transData.transform(np.column_stack(controls.get_data()))
    assert all(axes.bbox.contains(x, y) for x, y in corners)
    legend = figure.legends[0].get_window_extent()
    for panel in (axes, other):
        assert not legend.overlaps(panel.get_tightbbox())
        assert figure.bbox.x0 <= panel.title.get_window_extent().x0
        assert panel.title.get_window_extent().x1 <= figure.bbox.x1


def test_without_groups_there_is_one_colour() -> None:
    figure = novelty_map(table(groups=False))
    colours = {tuple(np.round(c, 3)) for c in figure.axes[0].collections[0].get_edgecolors()}  # type: ignore[attr-defined]
    assert len(colours) == 1
    assert INK not in CATEGORIES


def test_one_space_is_drawn_as_norms_in_order() -> None:
    figure = novelty_map(table(spaces=("X_dino",)))
    (axes,) = figure.axes
    values = np.asarray(axes.lines[0].get_ydata())
    assert (np.diff(values) <= 0).all()
    figure.canvas.draw()
