"""The figure of the artefacts."""

from __future__ import annotations

import pandas as pd

from contrascope.figures.artifacts import artifact_bars


def table(targets: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        {
            "space": space, "metric": metric, "target": target, "n_classes": 2, "n_batches": 4,
            "value": 0.7, "chance": 0.5, "n": 1000,
        }
        for space in ("salient", "combined", "untrained")
        for target in targets
        for metric in ("F1", "AUROC")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_there_is_a_bar_for_each_space_and_target_and_a_line_of_chance_on_it() -> None:
    figure = artifact_bars(table(("batch", "field", "well")))
    assert [axes.get_title() for axes in figure.axes] == ["F1", "AUROC"]
    for axes in figure.axes:
        assert len(axes.patches) == 9
        assert {round(bar.get_height(), 3) for bar in axes.patches} == {0.7}  # type: ignore[attr-defined]
        segments = [segment for lines in axes.collections for segment in lines.get_segments()]  # type: ignore[attr-defined]
        assert len(segments) == 9
        assert {float(segment[0, 1]) for segment in segments} == {0.5}


def test_a_target_that_was_left_out_leaves_no_gap() -> None:
    figure = artifact_bars(table(("field",)))
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["place in field\n4 batches\n1,000 cells"]
    figure.canvas.draw()


def test_unseen_tiles_are_diamonds_and_neighbours_and_numbers_have_panels_of_their_own() -> None:
    rows = table(("batch", "field"))
    by_tile = rows[rows["metric"] == "AUROC"].assign(metric="AUROC by tile", value=0.6, low=0.55, high=1.0)
    mixing = rows[rows["metric"] == "AUROC"].assign(metric="kNN same", low=0.65, high=0.75)
    numbers = rows[(rows["metric"] == "F1") & (rows["target"] == "batch")]
    numbers = numbers.assign(metric="R2", target="area", n_classes=0, value=-0.2, chance=-0.01)
    figure = artifact_bars(pd.concat([rows, by_tile, mixing]))
    assert [axes.get_title() for axes in figure.axes] == ["F1", "AUROC", "kNN same"]
    diamonds = [line for line in figure.axes[1].lines if line.get_marker() == "D"]
    assert len(diamonds) == 3
    assert {float(y) for line in diamonds for y in line.get_ydata()} == {0.6}  # type: ignore[union-attr]
    assert figure.legends[0].get_texts()[-1].get_text() == "unseen tiles"
    figure = artifact_bars(pd.concat([rows, by_tile, mixing, numbers]))
    assert figure.axes[3].get_title() == "R2"
    assert figure.axes[3].get_ylim()[0] < -0.2
    assert figure.axes[3].get_xticklabels()[0].get_text() == "area\nnumbers\n1,000 cells"
    figure.canvas.draw()
