"""A file name and a row of the table mean the same tile, or they do not; nothing is guessed."""

from __future__ import annotations

import glob
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import SettingsError
from contrascope.screen.tiles import (
    canonical_name,
    canonical_well,
    missing_fields_conflict,
    pattern_fields,
    pattern_glob,
    pattern_regex,
    shared_key,
    tile_key,
)


@pytest.mark.parametrize(
    ("well", "canonical"),
    [
        *(("A1", "A01"), ("a01", "A01"), ("H12", "H12"), ("AA001", "AA01"), ("A0", "A00"), ("P100", "P100")),
        *((" B3 ", "B03"), ("7", "7"), ("007", "7"), ("A-01", "A-01"), ("Mulde Ü", "Mulde Ü"), ("", "")),
    ],
)
def test_a_well_has_one_spelling(well: str, canonical: str) -> None:
    assert canonical_well(well) == canonical


def test_leading_zeros_of_a_number_mean_nothing_and_those_of_a_word_do() -> None:
    assert canonical_name("007") == canonical_name(" 7 ") == "7"
    assert canonical_name("000") == "0"
    assert canonical_name("00a") == "00a"
    assert canonical_name("1.0") == "1.0"


@given(st.text(max_size=12))
def test_a_canonical_name_is_its_own_canonical_name(name: str) -> None:
    assert canonical_name(canonical_name(name)) == canonical_name(name)
    assert canonical_well(canonical_well(name)) == canonical_well(name)


def test_a_number_of_any_length_is_a_name() -> None:
    assert canonical_name("0" + "9" * 5000) == "9" * 5000
    assert canonical_well("A0" + "9" * 5000) == "A" + "9" * 5000


WORD = st.text("abcXYZ019-", min_size=1, max_size=5)


@given(plate=WORD, well=st.from_regex(r"[A-P][0-9]{1,2}", fullmatch=True), tile=st.integers(0, 9999))
def test_a_file_that_a_pattern_names_is_read_back_as_that_tile(plate: str, well: str, tile: int) -> None:
    name = f"/data/{plate}/{well}_{tile:03d}_stack.tif"
    match = pattern_regex("/data/{plate}/{well}_{tile}_*.tif").fullmatch(name)
    assert match is not None
    assert tile_key(match["plate"], match["well"], match["tile"]) == tile_key(plate, well, str(tile))


def test_a_field_never_crosses_a_folder() -> None:
    assert pattern_regex("/data/{plate}.tif").fullmatch("/data/a/b.tif") is None
    assert pattern_regex("/data/*.tif").fullmatch("/data/a/b.tif") is None


def test_a_field_that_stands_twice_means_one_thing() -> None:
    regex = pattern_regex("{plate}/{plate}_{well}.tif")
    assert regex.fullmatch("P1/P1_A1.tif")
    assert regex.fullmatch("P1/P2_A1.tif") is None


@pytest.mark.parametrize("folder", ["plain", "with [brackets]", "why?", "a+b (c).d", "[!x]", "üñî", "%20 {"])
def test_a_glob_finds_the_files_of_a_folder_of_any_name(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "P1_A1.tif").touch()
    pattern = str(tmp_path / folder / "{plate}_{well}.tif")
    found = glob.glob(pattern_glob(pattern))  # noqa: PTH207
    assert found == [str(tmp_path / folder / "P1_A1.tif")]
    assert pattern_regex(pattern).fullmatch(found[0])


@pytest.mark.parametrize(
    "pattern", ["{plate}_{site}.tif", "{well}_{row}_{column}.tif", "{row}.tif", "{column}_{tile}.tif"]
)
def test_a_pattern_that_names_what_it_may_not_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(pattern)):
        pattern_fields(pattern)


def test_a_pattern_without_a_field_serves_a_table_that_does_not_need_it() -> None:
    keys = [tile_key("P1", "A1", "0"), tile_key("P1", "A1", "1")]
    assert missing_fields_conflict({"tile"}, keys, "{tile}.tif") is None
    assert shared_key(keys[1], {"tile"}) == ("", "", "1")
    conflict = missing_fields_conflict({"tile"}, [*keys, tile_key("P2", "A1", "0")], "{tile}.tif")
    assert conflict is not None
    assert "{plate}" in conflict


def test_a_row_and_a_column_make_a_well() -> None:
    match = pattern_regex("{row}-{column}.tif").fullmatch("B-07.tif")
    assert match is not None
    assert tile_key("", match["row"] + match["column"], "").well == "B07"
