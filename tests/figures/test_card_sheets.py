"""Sheets are pictures upon pictures, at a contrast that is given, with a difference whose amplification is told."""

from __future__ import annotations

import numpy as np
import pytest

from contrascope.figures.card_sheets import GAP, PART_GAP, Decoded, sheets
from contrascope.figures.gallery import composite

LIMITS = np.array([[0.0, 1.0], [0.0, 2.0]])


MODEL_LIMITS = np.array([[-1.0, 1.0], [-1.0, 1.0]])


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.random((3, 2, 16, 16)) for name in ("cells", "matched", "random", "other")}


def drawn(change: float) -> Decoded:
    """Cells decoded at half the size, that lose half of it everywhere with their salient part, and then the other."""
    actual = np.random.default_rng(1).uniform(-0.5, 0.5, (3, 2, 8, 8))
    return Decoded(actual, actual - change / 2, actual - change, MODEL_LIMITS)


def test_each_channel_has_a_sheet_after_the_one_of_colours(images) -> None:
    found = sheets(images, channels=["DNA", "GFP"], limits=LIMITS, first_part=1, decoded=drawn(0.38))
    assert [sheet.view for sheet in found] == ["composite", "DNA", "GFP"]
    assert found[0].rows == ("cells", "matched", "random", "other")
    assert found[1].rows == ("cells", "matched", "decoded", "without", "control", "difference", "random", "other")
    assert found[1].amplification == 5


def test_what_the_decoder_hardly_draws_is_left_out(images) -> None:
    for change, times in ((0.19, 10), (0.038, 50)):
        found = sheets(images, channels=["DNA", "GFP"], limits=LIMITS, first_part=1, decoded=drawn(change))
        assert all(sheet.rows == ("cells", "matched", "random", "other") for sheet in found)
        assert [sheet.amplification for sheet in found] == [0, times, times]


def test_what_is_decoded_has_a_contrast_of_its_own_and_the_size_of_cells(images) -> None:
    decoded = drawn(0.8)
    dna = sheets(images, channels=["DNA", "GFP"], limits=LIMITS, first_part=1, decoded=decoded)[1]
    assert dna.picture.shape == (8 * 16 + 6 * GAP + PART_GAP, 3 * 16 + PART_GAP + GAP, 3)
    top = 2 * (16 + GAP)
    expected = np.round(255 * (decoded.actual[0, 0] + 1) / 2).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(dna.picture[top : top + 16, :16, 0], expected)


def test_a_single_channel_has_one_sheet(images) -> None:
    one = {name: rows[:, :1] for name, rows in images.items()}
    assert [sheet.view for sheet in sheets(one, channels=["DNA"], limits=LIMITS[:1], first_part=1)] == ["DNA"]


def test_without_counterfactual_there_is_no_difference(images) -> None:
    found = sheets({"cells": images["cells"]}, channels=["DNA", "GFP"], limits=LIMITS, first_part=3)
    assert all(sheet.rows == ("cells",) and sheet.amplification == 0 for sheet in found)


def test_pictures_lie_where_they_should(images) -> None:
    found = sheets(images, channels=["DNA", "GFP"], limits=LIMITS, first_part=1)
    picture = found[0].picture
    assert picture.shape == (4 * 16 + 2 * GAP + PART_GAP, 3 * 16 + PART_GAP + GAP, 3)
    expected = np.round(255 * composite(images["matched"], limits=LIMITS)[1])
    left = 16 + PART_GAP
    np.testing.assert_array_equal(picture[16 + GAP : 32 + GAP, left : left + 16], expected)
    assert (picture[16 : 16 + GAP] == 255).all() and (picture[: 32 + GAP, 16:left] == 255).all()


def test_cells_that_nobody_chose_lie_apart_and_in_no_columns(images) -> None:
    picture = sheets(images, channels=["DNA", "GFP"], limits=LIMITS, first_part=1)[0].picture
    top = 2 * 16 + GAP + PART_GAP
    expected = np.round(255 * composite(images["random"], limits=LIMITS)[1])
    np.testing.assert_array_equal(picture[top : top + 16, 16 + GAP : 32 + GAP], expected)
    assert (picture[top - PART_GAP : top] == 255).all()


def test_grey_is_the_share_of_the_way_from_black_to_white(images) -> None:
    dna, gfp = sheets(images, channels=["DNA", "GFP"], limits=LIMITS, first_part=1)[1:]
    np.testing.assert_array_equal(dna.picture[:16, :16, 0], np.round(255 * images["cells"][0, 0]))
    np.testing.assert_array_equal(gfp.picture[:16, :16, 2], np.round(255 * images["cells"][0, 1] / 2))


def test_a_bar_is_as_long_as_it_says(images) -> None:
    dark = {"cells": np.zeros((3, 2, 64, 64))}
    picture = sheets(dark, channels=["a", "b"], limits=LIMITS, first_part=1, pixel_size_um=0.65)[0].picture
    bar = (picture[:64, :64, 0] == 255).any(axis=0).sum()
    assert bar == round(10 / 0.65)  # 20 µm would be more than two fifths
