"""Every perturbation has a card that can be read without scripts; with them one is shown, however it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contrascope.report.cards import Cards
from contrascope.report.perturbations import card_id, perturbation_frame
from contrascope.report.report import render_report
from contrascope.report.sections import perturbations_section

TABLE = "#perturbation-table"


@pytest.fixture
def path(gathered, results, tmp_path: Path) -> Path:
    """A page of the table and the cards."""
    section = perturbations_section(perturbation_frame(gathered, results), gathered)
    page = render_report("Screen", subtitle="", facts=[], sections=[section])
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    return tmp_path / "report.html"


@pytest.fixture
def page(path: Path, open_page: Callable[..., Any]) -> Any:
    """The same in a browser."""
    return open_page(path)


def shown(page: Any) -> list[str]:
    return page.eval_on_selector_all(".card", "cards => cards.filter(c => c.offsetParent).map(c => c.dataset.name)")


def names(page: Any) -> list[str]:
    return page.eval_on_selector_all(f"{TABLE} tbody tr:not([hidden])", "rows => rows.map(r => r.dataset.name)")


def test_hostile_names_are_escaped_everywhere(gathered, results) -> None:
    html = Cards(perturbation_frame(gathered, results), gathered).html()
    assert "<script" not in html and html.count("<article") == 6


def test_cards_beyond_those_pictured_say_where_their_pictures_are(gathered, results) -> None:
    cards = Cards(perturbation_frame(gathered, results), gathered, pictured=2)
    html = cards.html()
    assert html.count("data:image/webp") == 2 * 3 and html.count("lie in the folder cards") == 4
    assert 'data-cells="0 1" data-controls="50 51"' not in html  # SEP2 is one of the two
    assert 'data-cells="21 22" data-controls="50 51"' in html
    assert "The 2 cards of the strongest effects" in " ".join(cards.said())


def test_a_card_says_what_is_known(page) -> None:
    page.goto(f"{page.url}#{card_id('SEP2')}")
    text = page.inner_text(".card.shown")
    assert "SEP2 is a hit" in text and "SEP2_1" in text and "matched controls" in text and "SEP2 at random" in text


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((0, 0, 0), None),
        ((0, 5, 2), None),
        ((0, 20, 5), "draws no difference in DNA that could be shown"),
        ((0, 20, 10), "draws no difference in any channel that could be shown"),
    ],
)
def test_a_card_says_where_the_decoder_draws_too_little(gathered, results, times, words) -> None:
    gathered.tables["pictures"]["amplification"] = [*times] * 6
    html = Cards(perturbation_frame(gathered, results), gathered).html()
    assert html.count("that could be shown") == (6 if words else 0)
    assert words is None or html.count(words) == 6


def test_one_card_is_shown_and_the_buttons_turn(page) -> None:
    assert shown(page) == ["NA"]
    page.get_by_role("button", name="Next").click()
    assert shown(page) == ["SEP2"]
    for _ in range(2):
        page.get_by_role("button", name="Previous").click()
    assert shown(page) == [names(page)[-1]]


def test_sorting_is_by_number_and_puts_the_missing_last_both_ways(page) -> None:
    button = page.locator(f"{TABLE} thead button", has_text="effect")
    button.click()
    assert names(page)[:4] == ["NA", "SEP2", "7", '<script>alert("x")</script>']
    assert page.get_attribute(f"{TABLE} th:has-text('effect')", "aria-sort") == "descending"
    button.click()
    assert names(page)[:4] == ['<script>alert("x")</script>', "7", "SEP2", "NA"]
    assert set(names(page)[4:]) == {"quiet", "A B/ä#%41"}
    assert page.locator("[aria-sort]").count() == 1


def test_search_and_enter_open_a_card_by_keyboard_alone(page) -> None:
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "search":
            break
    page.keyboard.type("qui")
    assert names(page) == ["quiet"] and "1 of 6" in page.inner_text("[data-counts]")
    page.keyboard.press("Enter")
    assert shown(page) == ["quiet"]
    assert page.get_attribute(f"{TABLE} tr[data-name='quiet']", "aria-current") == "true"


def test_names_that_begin_with_what_is_searched_for_come_first_and_the_order_comes_back(page) -> None:
    before = names(page)
    assert before.index("NA") < before.index("A B/ä#%41")
    page.fill("[type=search]", "a")
    assert names(page) == ["A B/ä#%41", "NA", '<script>alert("x")</script>']
    page.locator(f"{TABLE} thead button", has_text="cells").first.click()
    assert names(page) == ["A B/ä#%41", '<script>alert("x")</script>', "NA"]  # most cells first
    page.press("[type=search]", "Enter")
    assert shown(page) == ["A B/ä#%41"]
    page.fill("[type=search]", "")
    assert names(page) == ["quiet", "A B/ä#%41", "7", '<script>alert("x")</script>', "NA", "SEP2"]


def test_a_row_and_a_neighbour_lead_to_a_card(page) -> None:
    page.click(f"{TABLE} tr[data-name='7'] th a")
    assert shown(page) == ["7"] and page.url.endswith("#perturbation-7")
    page.click(".card.shown .aside a")
    assert shown(page) == ["A B/ä#%41"]


@pytest.mark.parametrize("name", ["A B/ä#%41", '<script>alert("x")</script>', "quiet"])
def test_the_end_of_the_address_opens_a_card_and_goes_with_it(path, open_page, name) -> None:
    page = open_page(path, f"#{card_id(name)}")
    assert shown(page) == [name]
    page.get_by_role("button", name="Next").click()
    (now,) = shown(page)
    assert open_page(path, page.evaluate("location.hash")).evaluate("location.hash") == f"#{card_id(now)}"


def test_who_looks_at_a_perturbation_elsewhere_sees_its_card(page) -> None:
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('contrascope:perturbation', {detail: {name: 'quiet', from: 'map'}}))"
    )
    assert shown(page) == ["quiet"]
    page.evaluate("document.addEventListener('contrascope:perturbation', (e) => { window.told = e.detail; })")
    page.get_by_role("button", name="Next").click()
    assert page.evaluate("window.told") == {"name": shown(page)[0], "from": "cards-of-perturbations"}


def test_a_name_that_is_nobodys_changes_nothing(path, open_page) -> None:
    assert shown(open_page(path, "#perturbation-nobody")) == ["NA"]
    assert shown(open_page(path, "#perturbation-%E0%A4%A")) == ["NA"]


def test_channels_are_switched(page) -> None:
    page.locator(".card.shown").get_by_role("button", name="GFP", exact=True).click()
    assert views(page) == ["GFP"]
    assert page.locator(".card.shown [aria-pressed=true]").inner_text() == "GFP"


def views(page: Any) -> list[str]:
    return page.eval_on_selector_all(
        ".card.shown .sheet", "sheets => sheets.filter(f => f.offsetParent).map(f => f.dataset.view)"
    )


def test_the_next_card_shows_the_channel_that_was_chosen_on_the_last_and_so_does_the_page_read_again(page) -> None:
    page.locator(".card.shown").get_by_role("button", name="GFP", exact=True).click()
    page.get_by_role("button", name="Next").click()
    assert views(page) == ["GFP"] and page.locator(".card.shown [aria-pressed=true]").inner_text() == "GFP"
    page.reload()
    assert views(page) == ["GFP"]
    page.locator(".card.shown").get_by_role("button", name="all side by side").click()
    page.get_by_role("button", name="Next").click()
    assert views(page) == ["composite", "DNA", "GFP"]


def test_arrows_turn_cards_that_are_in_sight_and_stay_with_who_writes(page) -> None:
    page.set_viewport_size({"width": 800, "height": 300})
    page.keyboard.press("ArrowRight")  # the reader is elsewhere
    assert shown(page) == ["NA"] and page.evaluate("scrollY") == 0
    page.evaluate("document.querySelector('.cards').scrollIntoView()")
    page.keyboard.press("ArrowRight")
    assert shown(page) == ["SEP2"]
    page.keyboard.press("ArrowLeft")
    assert shown(page) == ["NA"] and page.evaluate("document.activeElement.dataset.name") == "NA"
    page.focus("[type=search]")
    page.keyboard.press("ArrowRight")
    assert shown(page) == ["NA"]


def test_the_buttons_keep_the_focus_while_cards_are_turned(page) -> None:
    page.get_by_role("button", name="Next").focus()
    for _ in range(2):
        page.keyboard.press("Enter")
    assert shown(page) == [names(page)[2]]


def test_the_bar_stays_at_the_top_and_says_whose_card_is_shown(page) -> None:
    page.set_viewport_size({"width": 800, "height": 300})
    page.click(f"{TABLE} tr[data-name='SEP2'] th a")
    bar = page.locator(".turning")
    assert bar.get_by_role("status").inner_text() == "SEP2 2 of 6"
    page.mouse.wheel(0, 250)
    page.wait_for_timeout(200)
    assert page.locator(".card.shown").bounding_box()["y"] < 0 <= bar.bounding_box()["y"] < 10


def test_the_table_can_be_skipped(page) -> None:
    page.focus("[type=search]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the cards"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.turn") == "-1"


def test_a_picture_is_enlarged_by_enter_or_a_click_and_escape_leads_back(page) -> None:
    picture = page.locator(".card.shown .sheet img").nth(1)
    large, natural = page.locator("dialog img"), int(picture.get_attribute("width"))
    picture.focus()
    page.keyboard.press("Enter")
    assert large.bounding_box()["width"] == 3 * natural and "NA, DNA" in page.inner_text("dialog")
    assert large.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    assert "matched controls" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    assert not large.is_visible()
    assert page.evaluate("document.activeElement.alt") == picture.get_attribute("alt")
    page.set_viewport_size({"width": 300, "height": 500})
    picture.click()
    assert large.bounding_box()["width"] == 2 * natural
    page.get_by_role("button", name="Close").click()
    assert not large.is_visible()


def test_on_a_narrow_page_sheets_keep_their_size_and_say_that_they_scroll(page) -> None:
    page.set_viewport_size({"width": 160, "height": 600})
    sheet = page.locator(".card.shown .sheet").first
    image = sheet.locator("img")
    page.wait_for_timeout(200)
    assert image.bounding_box()["width"] >= int(image.get_attribute("width"))
    assert sheet.get_attribute("data-more") == "right"
    sheet.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    page.wait_for_timeout(200)
    assert sheet.get_attribute("data-more") == "left"
    assert page.locator(".scroll.tall").get_attribute("data-more") == "right"
    page.set_viewport_size({"width": 1280, "height": 600})
    page.wait_for_timeout(200)
    assert sheet.get_attribute("data-more") == ""


def test_without_scripts_all_cards_stand_below_each_other(path, open_page) -> None:
    page = open_page(path, java_script_enabled=False)
    assert page.locator(".card:visible").count() == 6 and page.locator(f"{TABLE} tbody tr").count() == 6
    assert page.locator(".finder:visible, .turning:visible, .views:visible").count() == 0


def test_all_cards_are_printed(page) -> None:
    page.emulate_media(media="print")
    assert len(shown(page)) == 6


def test_a_live_view_brings_the_cells_of_cards_without_pictures(gathered, results, tmp_path, open_page) -> None:
    frame = perturbation_frame(gathered, results)
    html = render_report(
        "Screen", subtitle="", facts=[],
        sections=[perturbations_section(frame, gathered).__class__("P", [Cards(frame, gathered, pictured=0)])],
    )  # fmt: skip
    (tmp_path / "cells").mkdir()
    for row in range(70):
        (tmp_path / "cells" / f"{row}.webp").write_bytes((gathered.folder / "a.webp").read_bytes())
    live = '<script>window.contrascopeLive = {cells: "cells/"}</script><script>'
    page_path = tmp_path / "live.html"
    # Files are no server: what the page's policy calls its own is let in by name.
    page_path.write_text(html.replace("<script>", live, 1).replace("img-src data: blob: 'self'", "img-src data: file:"))
    page = open_page(page_path)
    assert page.locator(".card.shown .live img").count() == 4
    assert page.get_attribute(".card.shown .live img", "src") == "cells/7.webp"
