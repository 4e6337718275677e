"""Figures of gene functions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.figure import Figure

from contrascope.benchmarks.functions import functions
from contrascope.figures.functions import differences, function_map, gene_functions, recall_differences
from contrascope.figures.style import PALE, SPACE_COLOURS

GROUP_OF = {f"G{g:02d}": "abc"[g % 3] for g in range(18)}


def guides() -> AnnData:
    """Group a is told by the background, b by the salient space, c by both."""
    random = np.random.default_rng(0)
    gene = np.repeat([*GROUP_OF, "nt", "free"], 3)
    group = np.array([GROUP_OF.get(name, "none") for name in gene])
    obsm = {space: random.normal(size=(len(gene), 3)) for space in ("background", "salient")}
    obsm["background"] += 8 * (np.eye(3)[0] * (group == "a")[:, None] + np.eye(3)[1] * (group == "c")[:, None])
    obsm["background"][np.isin(group, ["b"])] *= 6
    obsm["salient"] += 8 * (np.eye(3)[0] * (group == "b")[:, None] + np.eye(3)[1] * (group == "c")[:, None])
    names = [f"{name}_{i}" for i, name in enumerate(gene)]
    obs = pd.DataFrame({"guide": names, "perturbation": gene, "control": gene == "nt"}, index=names)
    return AnnData(obs=obs, obsm=obsm)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return functions(guides(), annotations=GROUP_OF, permutations=4).table


def test_differences_are_those_of_the_recalls_and_lie_in_their_intervals(table: pd.DataFrame) -> None:
    recall = table[table["metric"] == "recall"].pivot(index="truth", columns="space", values="value")
    found = differences(table)
    expected = (recall["background"] - recall["salient"]).loc[found.index]
    np.testing.assert_allclose(found["difference"], expected, atol=1e-12)
    assert found["difference"].is_monotonic_decreasing
    assert ((found["low"] <= found["difference"]) & (found["difference"] <= found["high"])).all()
    other_way = differences(table, first="salient", second="background")
    np.testing.assert_allclose(-other_way.loc[found.index, "difference"], found["difference"], atol=1e-12)


def test_each_bar_has_the_colour_of_the_space_that_tells_better(table: pd.DataFrame) -> None:
    from matplotlib.colors import to_rgba

    axes = recall_differences(table).axes[0]
    for bar in axes.patches:
        space = "background" if bar.get_width() > 0 else "salient"  # type: ignore[attr-defined]
        assert bar.get_facecolor() == to_rgba(SPACE_COLOURS[space])


def test_the_figure_has_matrices_accuracy_and_differences(table: pd.DataFrame) -> None:
    figure = gene_functions(table)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["background", "salient", "combined", "balanced accuracy", "recall, background − salient"]
    alone = gene_functions(table[table["space"] == "salient"])
    assert [axes.get_title() for axes in alone.axes if axes.get_title()] == ["salient", "balanced accuracy"]
    figure.canvas.draw()


def test_guides_without_a_function_are_grey_on_the_map_and_controls_are_not_there() -> None:
    figure: Figure = function_map(guides(), GROUP_OF, spaces=["background", "combined"])
    assert [axes.get_title() for axes in figure.axes] == ["background", "combined"]
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c", "none or several"]
    assert legend.legend_handles[-1].get_color() == PALE  # type: ignore[union-attr]
    assert len(np.asarray(figure.axes[0].collections[0].get_offsets())) == 57
