"""The panel in a real browser: pages are turned, cells chosen and enlarged, by mouse and by keyboard."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest


@pytest.fixture
def opened(new_page, ask_analysis) -> object:
    """The page of the analysis, with its first cells; nothing may go wrong."""
    page = new_page(console=("error", "warning"))
    page.goto(ask_analysis.view.url)
    page.wait_for_selector("#browse li")
    return page


def until(page, expression: str) -> None:
    """Wait for something; Playwright's own way of asking needs eval, which the page forbids."""
    for _ in range(1000):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(expression)


TURNED = "!document.querySelector('.browse-cells').hasAttribute('data-waiting')"
LOADED = "[...document.querySelectorAll('#browse li img')].every((image) => image.complete && image.naturalWidth)"


def rows(page) -> list[int]:
    """Rows of the cells that are shown, once all their pictures are there."""
    until(page, TURNED)
    until(page, LOADED)
    sources = page.eval_on_selector_all("#browse li img", "images => images.map((image) => image.src)")
    return [int(urlsplit(source).path.rsplit("/", 1)[1].removesuffix(".webp")) for source in sources]


def status(page) -> str:
    return page.inner_text("[data-part=status]")


def test_the_page_knows_that_it_is_alive(opened) -> None:
    assert opened.evaluate("window.seen") == {"cells": "cells/"}  # a script of the report


def test_buttons_and_arrows_turn_pages(opened, tiny_store) -> None:
    assert rows(opened) == list(range(48))
    assert status(opened).startswith(f"1 to 48 of {len(tiny_store):,} cells, page 1 of ")
    assert opened.is_disabled("[data-part=previous]")
    opened.click("[data-part=next]")
    assert rows(opened) == list(range(48, 96))
    opened.keyboard.press("ArrowRight")
    assert rows(opened) == list(range(96, 144))
    opened.keyboard.press("ArrowLeft")
    opened.focus("[data-part=previous]")
    opened.keyboard.press("Enter")
    assert rows(opened) == list(range(48))
    assert opened.evaluate("document.activeElement.dataset.part") == "next"  # the button pressed is off


def test_the_last_page_ends_with_the_last_cell(opened, tiny_store) -> None:
    last = len(tiny_store) // 48
    for _ in range(last):
        opened.click("[data-part=next]")
        until(opened, TURNED)
    assert rows(opened) == list(range(48 * last, len(tiny_store)))
    assert opened.is_disabled("[data-part=next]")


def test_a_perturbation_is_typed(opened, tiny_store) -> None:
    name = tiny_store.perturbations[1]
    opened.evaluate("document.addEventListener('contrascope:perturbation', (e) => (window.told = e.detail))")
    opened.fill("[name=perturbation]", name.lower())
    until(opened, "window.told")
    expected = tiny_store.cells.with_row_index("row").filter(pl.col("perturbation") == name)["row"].to_list()
    assert rows(opened) == expected[:48]
    assert opened.evaluate("window.told") == {"name": name, "from": "browse"}
    opened.fill("[name=perturbation]", "")
    assert rows(opened) == list(range(48))


def test_a_perturbation_chosen_elsewhere_is_followed(opened, tiny_store) -> None:
    name = tiny_store.perturbations[2]
    tell = (
        "(name) => document.dispatchEvent(new CustomEvent('contrascope:perturbation', {detail: {name, from: 'map'}}))"
    )
    opened.evaluate(tell, name)
    expected = tiny_store.cells.with_row_index("row").filter(pl.col("perturbation") == name)["row"].to_list()
    assert rows(opened) == expected[:48]
    assert opened.input_value("[name=perturbation]") == name


def test_controls_wells_and_an_order_are_chosen(opened, tiny_store) -> None:
    well = tiny_store.cells["well"].unique().sort()[-1]
    opened.select_option("[name=control]", label="controls")
    opened.select_option("[name=well]", well)
    opened.select_option("[name=sort]", label="y, largest first")
    kept = tiny_store.cells.with_row_index("row").filter(pl.col("control"), pl.col("well") == well)
    assert rows(opened) == kept.sort("y", descending=True)["row"].to_list()[:48]


def test_nobody_found_is_said(opened) -> None:
    opened.fill("[name=perturbation]", "<img src=x>")
    opened.keyboard.press("Enter")
    opened.wait_for_selector("text=No perturbation is called “<img src=x>”.")
    assert rows(opened) == []
    assert opened.is_disabled("[data-part=next]") and opened.is_disabled("[data-part=previous]")
    opened.fill("[name=perturbation]", "nontargeting")
    opened.select_option("[name=control]", label="perturbed")
    opened.wait_for_selector("text=No cell is like that.")


def test_a_channel_and_a_size_are_switched(opened, tiny_store) -> None:
    first = opened.locator("#browse li img").first
    width = first.bounding_box()["width"]
    opened.select_option("[name=channel]", tiny_store.channels[2])
    assert parse_qs(urlsplit(first.get_attribute("src")).query) == {"channel": [tiny_store.channels[2]]}
    assert opened.is_hidden("[data-part=key]")
    opened.focus("[name=size]")
    opened.keyboard.press("End")
    assert first.bounding_box()["width"] >= 256 > 2 * width
    assert rows(opened) == list(range(48))


def test_a_cell_is_enlarged_with_its_channels_and_its_row_of_the_table(opened, tiny_store) -> None:
    opened.focus("#browse li:nth-child(47) button")
    opened.keyboard.press("Enter")
    captions = opened.locator("dialog figcaption")
    assert captions.all_inner_texts() == ["composite", *tiny_store.channels]
    opened.wait_for_selector("dialog tbody tr")
    told = dict(
        line.split("\n") if "\n" in line else line.split("\t") for line in opened.locator("dialog tr").all_inner_texts()
    )
    assert told["cell_id"] == tiny_store.cells["cell_id"][46]
    assert list(told) == tiny_store.cells.columns
    for _ in range(2):  # over the end of the page
        opened.keyboard.press("ArrowRight")
        until(opened, TURNED)
    opened.wait_for_selector("dialog h3:has-text('row 48')")
    opened.keyboard.press("ArrowLeft")
    opened.wait_for_selector("dialog h3:has-text('row 47')")
    opened.keyboard.press("Escape")
    assert opened.is_hidden("dialog")
    until(opened, "document.activeElement.ariaLabel?.startsWith('Enlarge the cell in row 47')")


def test_the_scale_bar_is_as_long_as_it_says(opened, tiny_store) -> None:
    bar, image = opened.locator("#browse li i").first, opened.locator("#browse li img").first
    um = float(opened.inner_text("#browse li u").split()[0])
    shown = bar.bounding_box()["width"] / image.bounding_box()["width"]
    assert shown == pytest.approx(um / (tiny_store.pixel_size_um * tiny_store.crop_size[1]), rel=0.02)


def test_a_view_that_was_stopped_says_so(new_page, analysis, serve) -> None:
    page = new_page(console=())  # the browser itself says that nobody answers
    with serve(analysis) as ask:
        page.goto(ask.view.url)
        page.wait_for_selector("#browse li")
    page.click("[data-part=next]")
    page.wait_for_selector("text=Start contrascope view again.")


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out_and_all_can_be_reached(new_page, ask_analysis, width) -> None:
    page = new_page(viewport={"width": width, "height": 900})
    page.goto(ask_analysis.view.url)
    page.wait_for_selector("#browse li")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    names = page.eval_on_selector_all(
        "#browse input, #browse select, #browse button",
        "all => all.map((one) => one.labels?.[0]?.innerText || one.getAttribute('aria-label') || one.innerText)",
    )
    assert all(names[:-3])  # the last three are in the dialog, which is closed


def test_without_scripts_the_first_cells_are_there(new_page, ask_analysis) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(ask_analysis.view.url)
    assert page.locator("#browse noscript img").count() == 12
    assert page.is_hidden("[data-part=choices]")
