"""What is said of a perturbation follows from its numbers, and nothing is said that they do not say."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.report.verdicts import kind_of_effect, space_without_hit, verdict

HIT = {"hit": True, "hit_background": False, "q_cells": 0.01, "q_guides": 0.0004, "guides": 4}
NOVEL = {"novelty": 0.85, "novelty_low": 0.7, "novelty_high": 0.93}
SHIFT = {"novelty": 0.2, "novelty_low": 0.1, "novelty_high": 0.4}


def said(row: dict, **options) -> str:
    return " ".join(verdict("SEP2", row, **options))


def test_a_novel_hit() -> None:
    text = said(HIT | NOVEL)
    assert "SEP2 is a hit" in text and "q = .010 by cells, q < .001 by guides" in text
    assert "but not in the background space" in text
    assert "85 % of its effect is salient" in text and "a novel phenotype rather than a shift" in text


def test_a_shift_says_which_controls_to_look_at() -> None:
    assert "compare with controls at random" in said(HIT | SHIFT | {"hit_background": True})


def test_what_an_effect_is_said_to_be_has_to_be_seen() -> None:
    """Wells and batches differ in the background by themselves: a share of that is no shift of the perturbation's."""
    text = said(HIT | SHIFT)
    assert "but the background space shows no hit" in text and "a shift within the variation" not in text
    behind = {"hit": False, "hit_background": True, "q_cells": 0.4, "q_cells_background": 0.01}
    text = said(behind | NOVEL)
    assert "but the salient space shows no hit" in text and "shifted" not in text and "novel phenotype" not in text
    assert kind_of_effect(HIT | SHIFT) == kind_of_effect(behind | NOVEL) == "between"
    assert kind_of_effect(behind | SHIFT) == "shifted" and kind_of_effect(HIT | NOVEL) == "novel"
    assert space_without_hit(HIT | SHIFT) == "background space" and space_without_hit(behind | NOVEL) == "salient space"
    assert space_without_hit(behind | SHIFT) is space_without_hit(HIT | NOVEL) is None


def test_a_hit_of_the_background_alone_is_a_shift() -> None:
    row = {"hit": False, "hit_background": True, "q_cells": 0.4, "q_cells_background": 0.01}
    text = said(row)
    assert "hit in the background space (q = .010 by cells" in text and "shifted to where controls are" in text


def test_nothing_is_said_of_the_novelty_of_no_effect() -> None:
    text = said({"hit": False, "hit_background": False, "q_cells": 0.7, "q_guides": 0.8} | NOVEL)
    assert text.startswith("The model sees no effect of SEP2 (q = .700 by cells, q = .800 by guides)")
    assert "novel" not in text and "no proof" in text


@pytest.mark.parametrize(("cells", "guides", "first"), [(0.01, 0.3, "cells"), (0.3, 0.01, "guides")])
def test_where_cells_and_guides_disagree_it_says_which(cells, guides, first) -> None:
    text = said({"hit": False, "hit_background": False, "q_cells": cells, "q_guides": guides})
    assert f"not counted as a hit: permuted {first} speak for an effect" in text


def test_where_nobody_asked_it_says_that_nobody_asked() -> None:
    assert "was not asked" in said({"hit": None, "hit_background": None})
    assert "was not asked" in said({"hit": np.nan, "hit_background": np.nan, "q_cells": np.nan})


def test_what_measurements_alone_see_is_said_to_be_missed_by_the_model() -> None:
    missed = {"hit": False, "q_cells": 0.6, "q_guides": 0.7, "hit_measured": True, "q_cells_measured": 0.001}
    assert "CellProfiler's features do see an effect (q = .001 by cells; guides could not be asked)" in said(missed)
    assert "CellProfiler" not in said(missed | {"hit_measured": False})
    assert "CellProfiler" not in said(HIT | {"hit_measured": True})


def test_a_hit_that_measurements_do_not_see_says_why() -> None:
    row = HIT | {"hit_measured": False, "q_effect_measured": 0.001, "controls_beyond_measured": 0.25}
    assert "it is not a hit (q = .001 by the size of its effect against control cells; 25 % of control guides" in said(
        row
    )
    asked = HIT | {"hit_measured": False, "q_cells_measured": 0.2, "controls_beyond_measured": 0.25}
    assert "it is not a hit (q = .200 by cells; guides could not be asked)" in said(asked)


def test_an_effect_that_control_guides_have_too_is_none() -> None:
    row = {"hit": False, "q_effect": 0.001, "controls_beyond": 0.5}
    text = said(row)
    assert "50 % of control guides have as large a one" in text
    assert "though it stands out from control cells (q = .001" in text


def test_an_effect_that_control_guides_and_control_cells_have_too_is_not_said_to_stand_out() -> None:
    text = said({"hit": False, "q_effect": 0.844, "controls_beyond": 1.0})
    assert "no effect of SEP2 (q = .844 by the size" in text and "100 % of control guides have as large a one" in text
    assert "stands out" not in text and "small" not in text.split("no proof")[0] and "no proof" in text


def test_guides_agree_only_beyond_chance() -> None:
    row = HIT | {"agreement": 0.5, "agreement_chance": 0.02}
    assert "Its 4 guides agree (cosine 0.50" in said(row | {"agreement_percentile": 99.0})
    assert "40 % of sets of guides drawn at random are as much alike" in said(row | {"agreement_percentile": 60.0})


def test_likeness_needs_some_likeness() -> None:
    assert "Most like it in the salient space is SEP3 (cosine 0.90)" in said(
        HIT | {"nearest": "SEP3", "nearest_cosine": 0.9}
    )
    assert "No other perturbation is much like it" in said(HIT | {"nearest": "SEP3", "nearest_cosine": 0.3})


def test_altered_features_are_told_with_their_direction() -> None:
    text = said(HIT, altered=[("area of the nucleus", 2.13), ("rank-weighted overlap of GFP", -0.5)])
    assert "area of the nucleus +2.1; rank-weighted overlap of GFP \u22120.5." in text


def test_it_is_said_that_there_are_no_marked_cells() -> None:
    assert "no marked cells" in said(HIT, marked=False) and "marked" not in said(HIT)


@pytest.mark.parametrize(
    ("share", "low", "high", "kind"),
    [
        (0.9, 0.7, 1.0, "novel"),
        (0.9, 0.4, 1.0, "between"),
        (0.55, 0.51, 0.6, "between"),
        (0.1, 0.0, 0.3, "shifted"),
        (0.1, 0.0, 0.6, "between"),
        (np.nan, 0.0, 0.6, None),
    ],
)
def test_an_effect_is_novel_or_shifted_only_by_a_margin(share, low, high, kind) -> None:
    assert kind_of_effect({"novelty": share, "novelty_low": low, "novelty_high": high}) == kind


def test_a_hit_that_held_out_cells_do_not_show_is_told_as_such() -> None:
    missed = HIT | {"p_held_out": 0.26, "n_held_out": 39.0}
    assert "In the 39 cells that the model was not trained on it is not seen (p = .26)" in said(missed)
    for row in (HIT, missed | {"p_held_out": 0.05}, missed | {"hit": False}):
        assert "not trained on" not in said(row)
