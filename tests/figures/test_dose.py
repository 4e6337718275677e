"""The figure of the dose response."""

from __future__ import annotations

import pandas as pd
import pytest

from contrascope.figures.dose import dose_response


def table(spaces: tuple[str, ...], *, controls: bool = True) -> pd.DataFrame:
    wells = [(0.0, "negative", 0.0), (0.0, "negative", 0.1), (100.0, "positive", 1.0), (100.0, "positive", 0.9)]
    wells = [*(wells if controls else []), *((d, "treated", d / 100) for d in (1.0, 10.0, 100.0) for _ in range(2))]
    rows = []
    for space in spaces:
        rows += [{"space": space, "metric": "position", "dose": d, "role": r, "value": v} for d, r, v in wells]
        rows += [
            {"space": space, "metric": "mean position", "dose": d, "role": "treated", "value": d / 100}
            for d in (1.0, 10.0, 100.0)
        ]
        rows += [{"space": space, "metric": "Spearman", "value": 0.9}, {"space": space, "metric": "Z'", "value": 0.5}]
    return pd.DataFrame(rows)


def test_each_space_has_a_panel_with_its_scores() -> None:
    figure = dose_response(table(("background", "salient", "combined", "untrained")))
    assert [axes.get_title() for axes in figure.axes][1] == "salient: ρ 0.90, Z' 0.50"
    assert len(figure.axes) == 4
    figure.canvas.draw()


def test_doses_stand_evenly_and_controls_are_bands() -> None:
    axes = dose_response(table(("salient",))).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "10", "100"]
    low, high = (band.get_extents().transformed(axes.transData.inverted()) for band in axes.patches)
    assert (low.y0 + low.y1) / 2 == pytest.approx(0.05)
    assert (high.y0 + high.y1) / 2 == pytest.approx(0.95)


def test_a_test_without_controls_has_no_bands() -> None:
    figure = dose_response(table(("salient",), controls=False))
    assert not figure.axes[0].patches
    figure.canvas.draw()


def test_the_title_says_what_the_axis_was_fitted_on_and_what_is_shown() -> None:
    rows = table(("salient",)).assign(fit="row A, B", test="row C")
    assert (
        dose_response(rows).get_suptitle().replace("\n", " ")
        == "Axis fitted on controls of row A, B; measured and shown: row C"
    )
    assert dose_response(table(("salient",))).get_suptitle() == ""


def test_both_kinds_of_controls_are_named_in_the_legend() -> None:
    (legend,) = dose_response(table(("salient",))).legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert [text.split()[0] for text in texts] == ["treated", "control", "negative", "positive"]


def test_a_space_without_positions_has_no_panel() -> None:
    rows = table(("salient", "lost"))
    rows.loc[rows["space"] == "lost", "value"] = float("nan")
    assert len(dose_response(rows).axes) == 1
