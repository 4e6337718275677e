"""A row a perturbation: hits first, missing numbers empty, columns without numbers left out and named."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from contrascope.report.perturbations import PerturbationTable, card_id, is_hit, perturbation_frame


def test_hits_come_first_and_then_effects(gathered, results) -> None:
    frame = perturbation_frame(gathered, results)
    assert frame.index[:2].tolist() == ["NA", "SEP2"]  # 2.5 before 1.5
    assert frame.index[2] == "7"  # no hit, but the next in effect
    assert set(frame.index[-2:]) == {"A B/ä#%41", "quiet"}  # whose effect nobody knows


def mean_effect(table: pd.DataFrame, space: str) -> float:
    """The average effect norm of perturbations in a space."""
    return float(table.loc[table["space"].eq(space) & table["metric"].eq("effect norm"), "value"].mean())


def test_a_shift_counts_by_its_effect_in_the_background(gathered, results, make_result) -> None:
    norms = results["novelty"].table.copy()
    shifted = norms["space"].eq("background") & norms["perturbation"].eq("SEP2")
    norms.loc[shifted, "value"] = 9.0  # three times the average there, where 2.5 is 2.4 times
    frame = perturbation_frame(gathered, results | {"novelty": make_result("novelty", norms.to_dict("records"))})
    assert frame.index[:2].tolist() == ["SEP2", "NA"]
    assert frame.loc["SEP2", "effect_background"] == pytest.approx(9.0 / mean_effect(norms, "background"))
    assert frame["effect_background"].mean() == pytest.approx(1.0)


def test_each_number_is_that_of_its_benchmark(gathered, results) -> None:
    row = perturbation_frame(gathered, results).loc["SEP2"]
    assert (row["cells"], row["guides"], row["q_cells"], row["q_guides"]) == (23, 2, 0.002, 0.01)
    assert row["effect"] == pytest.approx(1.5 / mean_effect(results["novelty"].table, "salient"))
    assert (row["novelty"], row["novelty_low"], row["novelty_high"]) == (0.85, 0.7, 0.95)
    assert (row["agreement"], row["nearest"], row["nearest_cosine"]) == (0.8, "NA", 0.9)
    assert row["hit"] and not row["hit_background"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"q_cells": 0.01, "q_guides": 0.01}, True),
        ({"q_cells": 0.01, "q_guides": 0.2}, False),
        ({"q_cells": 0.2, "q_guides": 0.01}, False),
        ({"q_cells": 0.01, "q_guides": np.nan}, True),
        ({"q_cells": np.nan, "q_guides": np.nan, "q_effect": 0.01}, True),
        ({"q_cells": 0.2, "q_effect": 0.01}, False),
        ({"q_effect": 0.2}, False),
        ({"q_effect": 0.01, "controls_beyond": 0.0}, True),
        ({"q_effect": 0.01, "controls_beyond": 0.25}, False),
        ({"q_cells": 0.01, "controls_beyond": 0.25}, True),
        ({}, None),
        ({"q_cells": np.nan}, None),
    ],
)
def test_cells_and_guides_have_to_agree_where_both_were_asked(row, expected) -> None:
    assert is_hit(row) is expected


def test_nothing_is_said_of_the_novelty_of_what_is_no_hit(gathered, results) -> None:
    frame = perturbation_frame(gathered, results)
    assert frame.loc[["SEP2", "NA"], "novelty"].tolist() == [0.85, 0.2]
    assert frame["novelty"].notna().sum() == 2


def test_measurements_have_hits_of_their_own_by_the_larger_q(gathered, results, make_result) -> None:
    table = results["hits"].table
    measured = table[table["space"] == "salient"].assign(space="cellprofiler", q_cells=0.03, q_guides=0.01)
    found = make_result("hits", pd.concat([table, measured]).to_dict("records"))
    frame = perturbation_frame(gathered, results | {"hits": found})
    assert frame.loc["7", "hit_measured"] and not frame.loc["7", "hit"]
    assert frame.index[:2].tolist() == ["NA", "SEP2"]  # the model's hits first, then what measurements alone see
    assert frame.loc["7", "q_measured"] == 0.03
    assert "q, measured" in PerturbationTable(frame).html()
    assert perturbation_frame(gathered, results)["hit_measured"].isna().all()


def test_effects_without_permutations_are_held_against_those_of_control_guides(gathered, results, make_result) -> None:
    norms = results["novelty"].table
    guides = [
        {"space": "salient", "metric": "control guide norm", "perturbation": f"c{i}", "value": value}
        for i, value in enumerate([0.0, 0.1, 0.3, 0.2, 2.0])
    ]
    found = make_result("novelty", [*norms.to_dict("records"), *guides])
    frame = perturbation_frame(gathered, {"novelty": found})
    assert frame.loc[["NA", "SEP2", "7"], "controls_beyond"].tolist() == [0.0, 0.2, 0.6]
    assert frame.loc["NA", "hit"] and not frame.loc["SEP2", "hit"]


def test_what_is_missing_is_empty_and_not_nought(gathered, results) -> None:
    page = PerturbationTable(perturbation_frame(gathered, results)).html()
    quiet = re.search(r'<tr data-name="quiet">.*?</tr>', page)
    assert quiet and quiet.group().count("<td></td>") == 7  # both effects, p, q, q, novelty, agreement
    assert 'data-value="0"' not in quiet.group()


def test_columns_that_nobody_asked_for_are_left_out_with_a_sentence(gathered, results) -> None:
    table = PerturbationTable(perturbation_frame(gathered, {}), no_agreement="None of 6 has two guides.")
    assert [column.name for column in table.columns] == ["cells", "guides", "agreement", "nearest"]
    said = " ".join(table.left_out())
    assert "no p-values" in said and "no novelty" in said and "None of 6 has two guides." in said
    whole = PerturbationTable(perturbation_frame(gathered, results))
    assert whole.left_out() == []


def test_where_novelty_is_empty_it_is_said_whether_it_could_not_be_asked_or_there_are_no_hits(
    gathered, results, make_result
) -> None:
    assert "takes both spaces" in " ".join(PerturbationTable(perturbation_frame(gathered, {})).left_out())
    none = make_result("hits", results["hits"].table.assign(q_cells=0.9).to_dict("records"))
    (said,) = PerturbationTable(perturbation_frame(gathered, results | {"hits": none})).left_out()
    assert said == "The table has no novelty: it is the share of an effect, and there are no hits."
    norms = results["novelty"].table
    norms = norms.assign(value=norms["value"].mask(norms["metric"] == "salient share"))
    tiny = perturbation_frame(gathered, results | {"novelty": make_result("novelty", norms.to_dict("records"))})
    (said,) = PerturbationTable(tiny).left_out()
    assert said == "The table has no novelty: it is the share of an effect, and no effect is beyond noise."


def test_without_hits_p_is_that_of_the_effect_and_says_so(gathered, results) -> None:
    table = PerturbationTable(perturbation_frame(gathered, {"novelty": results["novelty"]}))
    assert {"p_effect", "q_effect"} <= {column.name for column in table.columns}
    assert "pseudo-guides" in table.left_out()[0]


def test_names_are_escaped_and_lead_to_their_cards(gathered, results) -> None:
    page = PerturbationTable(perturbation_frame(gathered, results)).html()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert f'href="#{card_id("A B/ä#%41")}"' in page and "A B" not in card_id("A B/ä#%41")


def test_a_screen_without_results_has_a_frame_all_the_same(gathered) -> None:
    empty = {name: table.iloc[:0] for name, table in gathered.tables.items() if name != "guides"}
    bare = dataclasses.replace(gathered, tables={**empty, "guides": gathered.tables["guides"]})
    frame = perturbation_frame(bare, {})
    assert len(frame) == 6 and frame["hit"].isna().all()
    assert isinstance(PerturbationTable(frame).html(), str)
    assert not any(pd.isna(frame["cells"]))
