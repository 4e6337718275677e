"""Figures of cells stored and dropped."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contrascope.figures.drops import cells_by_well, drops_by_reason


def table(wells: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    counts = {name: rng.integers(1, 99, wells) for name in ("stored", "at the edge", "no label")}
    return pd.DataFrame({"plate": "P1", "well": [f"slide {i}" for i in range(wells)], **counts})


def test_a_bar_is_as_high_as_the_cells_of_its_well() -> None:
    wells = table(5)
    axes = cells_by_well(wells, ["at the edge", "no label"]).axes[0]
    top = np.array([bar.get_y() + bar.get_height() for bar in axes.patches[-5:]])  # type: ignore[attr-defined]
    assert np.array_equal(top, wells[["stored", "at the edge", "no label"]].sum(axis=1))
    assert [text.get_text() for text in axes.get_xticklabels()] == wells["well"].tolist()


def test_hundreds_of_wells_have_as_many_names_as_are_legible() -> None:
    figure = cells_by_well(table(384), ["at the edge"])
    assert len(figure.axes[0].get_xticklabels()) <= 48
    figure.canvas.draw()


def test_reasons_are_bars_with_their_counts_and_shares() -> None:
    drops = pd.DataFrame({"reason": ["at the edge", "no label"], "cells": [3000, 12], "share": [0.25, 0.001]})
    axes = drops_by_reason(drops).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [3000, 12]  # type: ignore[attr-defined]
    assert {text.get_text() for text in axes.texts} == {"3,000 (25.0%)", "12 (0.1%)"}
