"""The figure of hits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrascope.figures.hits import ranked_hits


def table(spaces: tuple[str, ...], *, guides: bool = True, metric: str = "energy distance") -> pd.DataFrame:
    rows = []
    for space in spaces:
        for rank, value in enumerate([1.0, 0.3, 0.1, 0.02, -0.01], start=1):
            q = 0.001 if value > 0.05 else 0.8
            by_guides = (0.001 if value > 0.2 else 0.5) if guides else np.nan
            row = {"space": space, "metric": metric, "perturbation": f"G{rank}", "value": value, "chance": 0.0}
            rows.append(
                row | {"rank": rank, "null_p95": 0.03, "q_cells": q, "q_guides": by_guides, "p_guides": by_guides}
            )
        values = np.linspace(-0.02, 0.05, 11) if guides else []
        rows += [{"space": space, "metric": f"{metric}, control guide", "value": v, "null_p95": 0.03} for v in values]
    return pd.DataFrame(rows)


def test_each_space_has_a_panel_with_its_number_of_hits() -> None:
    figure = ranked_hits(table(("background", "salient")))
    assert [axes.get_title() for axes in figure.axes] == ["background: 2 of 5", "salient: 2 of 5"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["G1", "G2"]
    figure.canvas.draw()


def test_the_band_is_where_control_guides_lie() -> None:
    (band,) = ranked_hits(table(("salient",))).axes[0].patches
    box = band.get_path().get_extents(band.get_patch_transform())
    assert (box.y0, box.y1) == pytest.approx(tuple(np.percentile(np.linspace(-0.02, 0.05, 11), [5, 95])))


def test_without_control_guides_the_band_is_that_of_permuted_cells() -> None:
    figure = ranked_hits(table(("salient",), guides=False))
    (band,) = figure.axes[0].patches
    box = band.get_path().get_extents(band.get_patch_transform())
    assert (box.y0, box.y1) == pytest.approx((0.0, 0.03))
    assert figure.axes[0].get_title() == "salient: 3 of 5"
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "permuted cells, mean to 95 %"


def test_every_statistic_can_be_drawn() -> None:
    for metric in ("probe AUC", "Hotelling's T2"):
        drawn = table(("salient", "untrained"), metric=metric)
        ranked_hits(drawn.assign(value=drawn["value"] + 1)).canvas.draw()


def test_names_stand_above_all_points() -> None:
    for metric in ("energy distance", "probe AUC"):
        for axes in ranked_hits(table(("background", "salient"), metric=metric)).axes[:2]:
            axes.figure.canvas.draw()
            top = axes.transAxes.inverted().transform(axes.transData.transform((1, 1.0)))[1]
            assert all(text.get_position()[1] > top for text in axes.texts)
