"""Parts of what a notebook shows: sound HTML that says what it was given, and pictures that are what they show."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from contrascope.notebook.page import LONGEST, SIDE, block, chosen_rows, drawing, facts_table, folded, picture, strip

Pictures = Callable[[str], list[str]]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12) | st.just(
    "</pre><script>1</script>"
)


class Read(HTMLParser):
    """The texts of each kind of tag, as a browser would show them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "img":
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts[self.open[-1]][-1] += data


def opened(source: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(source.partition("base64,")[2])))


@given(title=TEXT, facts=st.dictionaries(TEXT, st.none() | st.integers() | TEXT, max_size=4))
def test_facts_are_shown_as_they_are_and_what_is_not_known_is_left_out(title: str, facts: dict[str, object]) -> None:
    read = Read(block(title, facts_table(facts)))
    assert read.texts["b"] == [title]
    known = {name: value for name, value in facts.items() if value is not None}
    assert read.texts.get("th", []) == list(known)
    assert read.texts.get("td", []) == [str(value) for value in known.values()]
    assert "script" not in read.texts


@given(settings=st.dictionaries(TEXT, st.integers() | st.lists(TEXT, max_size=2), max_size=4))
def test_settings_that_are_folded_away_are_yaml(settings: dict[str, object]) -> None:
    read = Read(folded("Settings", settings))
    assert read.texts["summary"] == ["Settings"]
    assert yaml.safe_load(read.texts["pre"][0]) == settings


def test_settings_of_any_length_stay_short() -> None:
    (text,) = Read(folded("Settings", {f"key {i}": "x" * 40 for i in range(1000)})).texts["pre"]
    assert text.endswith("\n...")
    assert len(text) == LONGEST + 4


@given(count=st.integers(0, 300), most=st.integers(1, 20))
def test_some_cells_are_chosen_in_order_and_the_same_each_time(count: int, most: int) -> None:
    rows = chosen_rows(count, most=most)
    assert len(rows) == min(count, most)
    assert (np.diff(rows) > 0).all()
    assert not len(rows) or 0 <= rows[0] <= rows[-1] < count
    np.testing.assert_array_equal(chosen_rows(count, most=most), rows)


@pytest.mark.parametrize("shape", [(32, 32), (64, 200), (300, 20), (1, 1)])
def test_a_picture_keeps_its_proportions_and_its_longer_side_is_the_one_asked_for(
    shape: tuple[int, int], pictures_in: Pictures
) -> None:
    html = picture(np.zeros((*shape, 3)), 'a "cell"', side=96)
    (source,) = pictures_in(html)
    width, height = (int(number) for number in re.findall(r'(?:width|height)="(\d+)"', html))
    assert max(width, height) == 96
    assert width / height == pytest.approx(shape[1] / shape[0], rel=0.1)
    assert max(opened(source).size) <= min(96, max(shape)), "no pixels are sent that nobody sees"


def test_colours_are_those_of_the_cell_and_what_is_out_of_range_is_cut(pictures_in: Pictures) -> None:
    colours = np.zeros((40, 40, 3))
    colours[:20, :, 0], colours[20:, :, 2] = 7.0, 0.5
    colours[20:, :, 1] = -3.0
    (source,) = pictures_in(picture(colours, "cell", side=96))
    shown = np.asarray(opened(source).convert("RGB"), float)
    np.testing.assert_allclose(shown[5, 20], [255, 0, 0], atol=12)
    np.testing.assert_allclose(shown[35, 20], [0, 0, 127], atol=12)


def test_each_picture_of_a_strip_stands_over_its_name(pictures_in: Pictures) -> None:
    names = ["<b>A", "B & C", ""]
    html = strip(np.zeros((2, 8, 8, 3)), names[:2])
    assert len(pictures_in(html)) == 2
    assert Read(html).texts["figcaption"] == names[:2]
    assert f"max-width:{SIDE}px" in html
    with pytest.raises(ValueError, match="zip"):
        strip(np.zeros((2, 8, 8, 3)), names)


def test_a_figure_is_embedded_as_it_is(pictures_in: Pictures) -> None:
    png = BytesIO()
    Image.new("RGB", (3, 2), "red").save(png, "PNG")
    (source,) = pictures_in(drawing(png.getvalue(), "a figure"))
    assert base64.b64decode(source.partition("base64,")[2]) == png.getvalue()


def test_pixels_that_are_no_numbers_are_black_and_nobody_is_warned() -> None:
    colour = np.full((4, 4, 3), np.nan)
    assert picture(colour, "x", side=4) == picture(np.zeros((4, 4, 3)), "x", side=4)
