"""Colours of channels, and their names."""

from __future__ import annotations

from contrascope.figures.composite import CHANNEL_COLOURS, colour_key


def test_every_colour_has_a_name_of_its_own_and_both_begin_again_together() -> None:
    count = len(CHANNEL_COLOURS)
    names = colour_key(["c"] * (count + 1)).split(", ")
    assert len(set(names)) == count
    assert names[count] == names[0] == "c blue"
