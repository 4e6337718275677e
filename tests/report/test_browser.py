"""The panel of all cells can be read without scripts, escapes what it shows, and tells lengths rightly."""

from __future__ import annotations

import html
import json
import re

import pytest

from contrascope.report.browser import Browser
from contrascope.report.report import Interactive, Section, render_report, script_text

PANEL = Browser(1000, ("DAPI", '<b>&"'), (64, 80), 0.65)


def test_it_is_a_block_of_the_page() -> None:
    assert isinstance(PANEL, Interactive)
    page = render_report("Cells", subtitle="", facts=[], sections=[Section("All cells", [PANEL])])
    assert page.count(script_text("browse.js")) == 1


def test_without_scripts_the_first_cells_are_shown() -> None:
    plain = PANEL.html().split("<noscript>")[1].split("</noscript>")[0]
    assert re.findall(r'src="cells/(\d+).webp"', plain) == [str(row) for row in range(12)]
    assert "cells/3.webp" not in Browser(3, ("A",), (8, 8), None).html()


def test_names_of_channels_are_escaped() -> None:
    assert "<b>" not in PANEL.html()
    facts = re.search(r'data-facts="([^"]*)"', PANEL.html())
    assert facts and json.loads(html.unescape(facts[1]))["channels"] == ["DAPI", '<b>&"']


@pytest.mark.parametrize(("pixel", "um"), [(0.65, 20), (0.325, 10), (0.1, 2), (2.0, 50)])
def test_a_scale_bar_is_round_and_as_long_as_it_says(pixel: float, um: int) -> None:
    bar = Browser(1, ("A",), (64, 80), pixel).scale_bar()
    assert bar is not None and bar["um"] == um
    assert bar["share"] * 80 * pixel == pytest.approx(um)
    assert bar["share"] <= 0.4


def test_without_the_size_of_pixels_there_is_no_bar() -> None:
    assert Browser(1, ("A",), (64, 64), None).scale_bar() is None
    assert "null" in Browser(1, ("A",), (64, 64), None).html()
