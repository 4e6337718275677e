"""The figure of the complexes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.benchmarks.complexes import complexes
from contrascope.figures.complexes import precision_recall
from contrascope.figures.style import SPACE_COLOURS


def table(*, groups: bool) -> pd.DataFrame:
    names = [f"G{i}" for i in range(24)]
    obs = pd.DataFrame({"perturbation": names}, index=names)
    random = np.random.default_rng(0)
    data = AnnData(obs=obs, obsm={space: random.normal(size=(24, 4)) for space in ("background", "salient")})
    sets = {f"C{k}": names[4 * k : 4 * k + 4] for k in range(6)}
    kinds = {name: "novel" if k < 3 else "shifted" for k, name in enumerate(sets)}
    return complexes(data, annotations=sets, groups=kinds if groups else None).table


def test_the_curve_of_a_space_is_its_sweep() -> None:
    rows = table(groups=False)
    figure = precision_recall(rows)
    assert len(figure.axes) == 2
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    swept = rows[(rows["space"] == "salient") & rows["percentile"].notna()]
    np.testing.assert_array_equal(lines["salient"].get_xdata(), swept.loc[swept["metric"] == "recall", "value"])
    np.testing.assert_array_equal(lines["salient"].get_ydata(), swept.loc[swept["metric"] == "precision", "value"])
    assert lines["salient"].get_color() == SPACE_COLOURS["salient"]
    chance = rows.loc[rows["metric"] == "precision", "chance"].iloc[0]
    assert set(np.asarray(lines["chance"].get_ydata())) == {chance}


def test_groups_get_a_panel_of_their_own() -> None:
    figure = precision_recall(table(groups=True))
    assert [text.get_text() for text in figure.axes[2].get_xticklabels()] == ["novel", "shifted"]
    figure.canvas.draw()


def test_bars_carry_the_intervals_of_the_table() -> None:
    rows = table(groups=True)
    figure = precision_recall(rows)
    ranked = rows[rows["metric"] == "average precision"]
    across = [segment[:, 0].tolist() for segment in figure.axes[1].collections[0].get_segments()]
    np.testing.assert_allclose(across, ranked[["low", "high"]])
    assert len(figure.axes[2].collections) == ranked["space"].nunique()
