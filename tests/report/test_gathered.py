"""Names stay the texts they are, numbers that are missing stay missing."""

from __future__ import annotations

import math

import pandas as pd

from contrascope.report.gathered import read_gathered


def test_a_perturbation_named_na_or_7_keeps_its_name(gathered) -> None:
    assert {"NA", "7"} <= set(gathered.by_name("guides"))
    assert gathered.by_name("neighbours")["SEP2"]["neighbour"].tolist() == ["NA"]


def test_what_was_not_made_is_an_empty_table(gathered) -> None:
    assert gathered.tables["altered"].empty and gathered.by_name("altered") == {}


def test_a_number_that_is_missing_is_missing(gathered) -> None:
    table = gathered.tables["guides"].assign(cosine=[math.nan] + [0.5] * 11)
    table.to_csv(gathered.folder / "guides.csv", index=False)
    again = read_gathered(gathered.folder).tables["guides"]
    pd.testing.assert_frame_equal(again, table)
