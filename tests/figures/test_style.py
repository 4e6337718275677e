"""The shared look."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb

from contrascope.figures.style import CATEGORIES, SPACE_COLOURS, colours, dashes, grid_of_axes, same_colours, style


def test_nothing_global_changes() -> None:
    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["font.family"] == ["DejaVu Sans"]
    assert dict(matplotlib.rcParams) == before


def test_names_with_dollar_signs_are_names() -> None:
    with style():
        figure, (axes,) = grid_of_axes(1)
        axes.set_title("$x_{$")
        axes.set_xticks([0.5], ["$\\alpha_1$"])
    figure.canvas.draw()
    assert not axes.title.get_parse_math() and not axes.get_xticklabels()[0].get_parse_math()


def test_a_space_has_its_colour_whatever_stands_beside_it() -> None:
    assert colours(["salient", "mine", "background"])["salient"] == colours(["salient"])["salient"]
    everything = colours([*SPACE_COLOURS, "mine", "yours"])
    assert len(set(everything.values())) == len(SPACE_COLOURS) + 2


def test_a_space_of_others_has_one_colour_in_all_figures_that_are_drawn_together() -> None:
    assert colours(["mine"])["mine"] == colours(["yours"])["yours"]
    with same_colours(["background", "mine", "yours"]):
        together = colours(["salient", "yours", "mine"])
        assert colours(["yours"]) == {"yours": together["yours"]} != {"yours": together["mine"]}
        assert colours(["new", "yours"])["yours"] == together["yours"]
    assert colours(["yours"])["yours"] == together["mine"]


def test_baselines_are_dashed() -> None:
    assert [dashes(space) for space in ("salient", "untrained", "intensity")] == ["-", "--", "--"]


def seen_without_red_cones(colour: str) -> np.ndarray:
    """Protanopia after Vienot, Brettel and Mollon 1999, on linear RGB."""
    linear = np.array(to_rgb(colour)) ** 2.2
    projection = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    return np.clip(projection @ linear, 0, 1) ** (1 / 2.2)


def test_spaces_differ_also_for_the_colour_blind() -> None:
    seen = [seen_without_red_cones(colour) for colour in SPACE_COLOURS.values()]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.1
    assert len(set(CATEGORIES)) == len(CATEGORIES)


def test_a_grid_has_as_many_panels_as_asked_for() -> None:
    for count in (1, 2, 3, 5, 7):
        figure, axes = grid_of_axes(count)
        assert len(axes) == len(figure.axes) == count
