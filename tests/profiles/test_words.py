"""Words for features tell all that we measure apart."""

from __future__ import annotations

from collections import Counter

import pytest

from contrascope.features.measure import feature_names
from contrascope.profiles import words
from contrascope.profiles.gloss import gloss

MEASURED = feature_names(("DAPI", "GFP"), "full")


def test_no_two_features_are_said_in_the_same_words() -> None:
    said = Counter(text for text in map(gloss, MEASURED) if text)
    assert len(said) > 0.9 * len(MEASURED)
    assert max(said.values()) == 1


def test_what_is_said_names_the_part_of_the_cell_and_the_channels() -> None:
    for name in MEASURED:
        if said := gloss(name):
            assert words.COMPARTMENTS[name.split("_")[0].lower()] in said
            assert all(channel in said for channel in ("DAPI", "GFP") if f"_{channel}" in name), name


@pytest.mark.parametrize(
    "table", ["SHAPES", "INTENSITIES", "TEXTURES", "PAIRS", "RADIAL", "NEIGHBOURS", "PLAIN_SHAPES"]
)
def test_one_table_never_says_two_things_alike(table: str) -> None:
    listed = list(getattr(words, table).values())
    assert len(set(listed)) == len(listed)
