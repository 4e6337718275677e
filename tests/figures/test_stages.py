"""The figure of the stages."""

from __future__ import annotations

import pandas as pd

from contrascope.figures.stages import stage_bars


def table(stages: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for space, value in (("background", 0.9), ("salient", 0.6)):
        shared = {"space": space, "value": value, "chance": 0.4}
        rows += [{"metric": metric, "truth": None, "n": 1200} | shared for metric in ("mean F1", "AUROC")]
        rows += [{"metric": "F1", "truth": stage, "n": 400} | shared for stage in stages]
    return pd.DataFrame(rows)


def test_there_is_a_bar_for_each_space_and_stage_and_a_line_of_chance_on_it() -> None:
    figure = stage_bars(table(("G1", "S", "mitotic")))
    left, right = figure.axes
    assert [text.get_text() for text in left.get_xticklabels()] == [f"{s}\n400 cells" for s in ("G1", "S", "mitotic")]
    assert [text.get_text() for text in right.get_xticklabels()] == ["mean F1\n1,200 cells", "AUROC\n1,200 cells"]
    for axes, bars in ((left, 6), (right, 4)):
        assert len(axes.patches) == bars
        assert {round(bar.get_height(), 3) for bar in axes.patches} == {0.6, 0.9}  # type: ignore[attr-defined]
        lines = [segment for group in axes.collections for segment in group.get_segments()]  # type: ignore[attr-defined]
        assert [float(line[0, 1]) for line in lines] == [0.4] * bars


def test_many_stages_have_turned_names() -> None:
    figure = stage_bars(table(tuple(f"stage {k}" for k in range(7))))
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {60}
    figure.canvas.draw()
