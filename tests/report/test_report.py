"""A page holds all it shows, each script once, and asks the network for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from PIL import Image

from contrascope.report import report
from contrascope.report.report import Section, Text, render_report


@dataclass(frozen=True)
class Dial:
    """A block that can be moved, for the tests."""

    name: str
    scripts: ClassVar[tuple[str, ...]] = ("dial.js",)

    def html(self) -> str:
        return f'<p class="dial">{self.name} stands still</p>'


@pytest.fixture
def page(tmp_path, monkeypatch) -> str:
    """A page of a text and two dials, and a script of theirs."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "dial.js").write_text("const turned = 1 < 2;", encoding="utf-8")
    (tmp_path / "static" / report.SIDEWAYS).write_text("const scrolled = 2 > 1;", encoding="utf-8")
    (tmp_path / "template.html").write_text(
        (report.files("contrascope.report") / "template.html").read_text(encoding="utf-8"), encoding="utf-8"
    )
    monkeypatch.setattr(report, "files", lambda package: tmp_path)
    blocks = [Text("a < b"), Dial("one"), Dial("two")]
    return render_report("Screen", subtitle="", facts=[], sections=[Section("Dials", blocks)])


def test_what_can_be_moved_says_what_it_says_without_scripts(page) -> None:
    assert '<p class="dial">one stands still</p>' in page and '<p class="dial">two stands still</p>' in page


def test_a_script_is_written_once_and_as_it_is(page) -> None:
    assert page.count("const turned = 1 < 2;") == page.count("const scrolled = 2 > 1;") == 1


def test_texts_are_escaped(page) -> None:
    assert "<p>a &lt; b</p>" in page


def test_the_page_may_not_ask_the_network_for_anything(page) -> None:
    policy = page.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'") and "http" not in policy and "*" not in policy


def test_on_a_narrow_page_a_wide_figure_scrolls_in_its_own_box_and_a_small_one_does_not(tmp_path, new_page) -> None:
    blocks = []
    for width in (1400, 300):
        Image.new("RGB", (width, 200)).save(tmp_path / f"{width}.png")
        blocks.append(report.Picture(tmp_path / f"{width}.png", f"{width} wide"))
    html = render_report("Screen", subtitle="", facts=[], sections=[Section("Figures", blocks)])
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    page = new_page(viewport={"width": 400, "height": 800})
    page.goto((tmp_path / "report.html").as_uri())
    wide, small = page.locator("figure img").all()
    page.locator(".scroll[data-more=right]").wait_for()
    assert wide.bounding_box()["width"] == 640 and small.bounding_box()["width"] <= 352
    assert page.locator(".scroll").last.get_attribute("data-more") == ""
    assert page.evaluate("document.documentElement.scrollWidth") == 400
