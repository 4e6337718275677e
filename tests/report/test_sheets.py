"""A picture packed into a sheet is found where its table says."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contrascope.report.sheets import COLUMNS, PER_SHEET, packed_sheet, place, read_sheets, sheet_name, write_index


def smooth(count: int, height: int, width: int, seed: int) -> np.ndarray:
    """Pictures of one colour that gets darker towards a side: nothing that WebP would smear."""
    colours = np.random.default_rng(seed).integers(60, 256, (count, 1, 1, 3))
    shade = np.linspace(0.6, 1, width)[None, None, :, None]
    return np.broadcast_to(colours * shade, (count, height, width, 3)).astype(np.uint8)


@settings(max_examples=25)
@given(st.integers(1, 40), st.sampled_from([(16, 16), (16, 32), (48, 48)]), st.integers(0, 99))
def test_each_picture_lies_in_its_place_within_the_error_of_webp(count, size, seed) -> None:
    pictures = smooth(count, *size, seed)
    with Image.open(io.BytesIO(packed_sheet(pictures))) as image:
        sheet = np.asarray(image.convert("RGB")).astype(float)
    height, width = size
    assert sheet.shape == (-(-count // COLUMNS) * height, COLUMNS * width, 3)
    for number, picture in enumerate(pictures):
        _, left, top = place(number, width=width, height=height)
        found = sheet[top : top + height, left : left + width]
        assert np.abs(found - picture)[4:-4, 4:-4].mean() < 12  # a picture elsewhere differs by some 50


@given(st.integers(1, 1000))
def test_no_two_pictures_share_a_place(count) -> None:
    places = [place(number, width=3, height=5) for number in range(count)]
    assert len(set(places)) == count
    assert {sheet for sheet, _, _ in places} == set(range(-(-count // PER_SHEET)))


def test_the_table_beside_the_sheets_says_which_row_lies_where(tmp_path) -> None:
    rows = np.random.default_rng(0).permutation(1000)[:300]
    for number in (0, 1):
        (tmp_path / sheet_name(number)).write_bytes(b"a sheet")
    write_index(tmp_path, rows, width=20, height=10)
    table = pd.read_csv(tmp_path / "pictures.csv")
    assert table["row"].tolist() == rows.tolist()
    assert table.iloc[PER_SHEET + 17].to_dict() == {
        "row": rows[PER_SHEET + 17], "sheet": 1, "left": 20, "top": 10, "width": 20, "height": 10,
    }  # fmt: skip
    sheets = read_sheets(tmp_path)
    assert sheets.rows.tolist() == rows.tolist() and (sheets.width, sheets.height) == (20, 10)
    assert [file.name for file in sheets.files] == ["sheet_00.webp", "sheet_01.webp"]


def test_no_picture_at_all_is_a_folder_too(tmp_path) -> None:
    write_index(tmp_path, np.array([], int), width=20, height=10)
    sheets = read_sheets(tmp_path)
    assert len(sheets.rows) == 0 and sheets.files == ()
