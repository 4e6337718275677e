"""Training curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contrascope.errors import FigureError
from contrascope.figures.curves import training_curves


def metrics(*names: str) -> pd.DataFrame:
    steps = np.array([20, 0, 10])
    return pd.concat([pd.DataFrame({"step": steps, "name": name, "value": steps / 10}) for name in names])


def test_train_and_validation_of_one_quantity_share_a_panel() -> None:
    figure = training_curves(metrics("train/loss", "val_loss", "train/kl", "beta"))
    assert [axes.get_title() for axes in figure.axes] == ["loss", "kl", "beta"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "validation"]
    figure.canvas.draw()


def test_a_curve_goes_from_left_to_right_past_missing_values() -> None:
    frame = pd.concat([metrics("beta"), pd.DataFrame({"step": [5], "name": ["beta"], "value": [np.nan]})])
    line = training_curves(frame).axes[0].lines[0]
    assert list(np.asarray(line.get_xdata())) == [0, 10, 20]
    assert not training_curves(metrics("beta")).legends


def test_no_metrics_make_no_figure() -> None:
    with pytest.raises(FigureError, match="nothing to draw"):
        training_curves(metrics("beta").iloc[:0])
