"""The figure of mitotic genes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contrascope.figures.mitosis import mitosis_curves

SCORES = (
    ("mitotic index", "mitotic index"), ("combined", "relative background norm"), ("salient", "effect size"),
)  # fmt: skip


def table() -> pd.DataFrame:
    rows = []
    for k, (space, score) in enumerate(SCORES):
        shared = {"space": space, "score": score, "n": 20, "n_mitotic": 5}
        rows.append(shared | {"metric": "AUROC", "value": 0.9 - k / 10, "low": 0.3, "high": 0.95, "chance": 0.5})
        for false in np.linspace(0, 1, 5):
            point = {"metric": "true positive rate", "false_positive_rate": false, "value": false ** (1 / (k + 2))}
            rows.append(shared | point | {"chance": false})
    return pd.DataFrame(rows)


def test_each_score_has_its_curve_and_its_area() -> None:
    left, right = mitosis_curves(table()).axes
    chance, *curves = left.lines
    assert list(chance.get_xdata()) == [0, 1]  # type: ignore[arg-type]
    for k, curve in enumerate(curves):
        np.testing.assert_allclose(np.asarray(curve.get_ydata()), np.linspace(0, 1, 5) ** (1 / (k + 2)))
    assert left.get_title() == "5 mitotic genes of 20"
    names = [text.get_text() for text in right.get_yticklabels()]
    assert names == ["mitotic index", "relative background norm", "effect size, salient"]
    assert [text.get_text() for text in right.texts] == ["0.90", "0.80", "0.70"]


def test_the_two_scores_of_the_paper_can_be_told_apart_where_they_run_together() -> None:
    _, index, relative, effect = mitosis_curves(table()).axes[0].lines
    assert index.get_linewidth() > relative.get_linewidth() > effect.get_linewidth()
    assert len({index.get_color(), relative.get_color(), effect.get_color()}) == 3
