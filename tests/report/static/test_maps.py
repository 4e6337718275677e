"""The maps in a browser: what is hovered, coloured, chosen or selected is what the table of cells says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from contrascope.figures.style import CATEGORIES
from contrascope.report.maps import Maps
from contrascope.report.report import Picture, Section, render_report
from contrascope.report.sheets import PER_SHEET, packed_sheet, read_sheets, sheet_name, write_index

N, PAD = 400, 14
SPACES = ("background", "salient")
GHOST, BLUE, ORANGE = (232, 234, 239), (0, 114, 178), (213, 94, 0)


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    """Cells on a jittered lattice, so that each can be hit; another order of places in each space."""
    rng = np.random.default_rng(3)
    perturbation = rng.choice(["A<1>", "B2", "C3", "nt"], N, p=[0.2, 0.2, 0.2, 0.4])
    table = pd.DataFrame({"row": 10 * np.arange(N), "cell_id": [f"cell {k}" for k in range(N)]})
    for space in SPACES:
        places = rng.permutation(N)
        table[f"{space} 1"] = places % 20 + rng.uniform(-0.1, 0.1, N)
        table[f"{space} 2"] = places // 20 + rng.uniform(-0.1, 0.1, N)
    table["perturbation"], table["control"] = perturbation, perturbation == "nt"
    table["guide"] = [f"{name} g{k % 2}" for k, name in enumerate(perturbation)]
    table["area"] = np.where(np.arange(N) % 10 == 0, np.nan, rng.uniform(100, 900, N))
    return table


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """The one colour of each cell's picture, (N, 3)."""
    return np.random.default_rng(4).integers(0, 256, (N, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(cells: pd.DataFrame, colours: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with maps, whose first 300 cells have a picture, and beside it a picture of every cell."""
    folder = tmp_path_factory.mktemp("page")
    pictures = np.broadcast_to(colours[:, None, None], (N, 16, 16, 3))
    for number, start in enumerate(range(0, 300, PER_SHEET)):
        sheet = packed_sheet(pictures[start : min(300, start + PER_SHEET)])
        (folder / sheet_name(number)).write_bytes(sheet)
    write_index(folder, cells["row"].to_numpy()[:300], width=16, height=16)
    (folder / "cells").mkdir()
    for row, picture in zip(cells["row"], pictures, strict=True):
        Image.fromarray(picture).save(folder / "cells" / f"{row}.webp", lossless=True)
    Image.new("RGB", (200, 100), "red").save(folder / "still.png")
    still = Picture(folder / "still.png", "The maps at rest.")
    maps = Maps(cells, SPACES, stored=2 * N, sheets=read_sheets(folder), stills=[still], standing=["B2"])
    page = render_report("Toy", subtitle="", facts=[], sections=[Section("Maps", [maps])])
    (folder / "report.html").write_text(page, encoding="utf-8")
    live = "<script>window.contrascopeLive = {cells: 'cells/'}</script>\n<script>"
    (folder / "live.html").write_text(page.replace("<script>", live, 1), encoding="utf-8")
    return folder


@pytest.fixture
def page(browser_page: Any, folder: Path) -> Any:
    return opened(browser_page, (folder / "report.html").as_uri())


def opened(page: Any, address: str) -> Any:
    """The page with its maps ready, which note what they tell the other blocks."""
    page.goto(address)
    wait(page, "performance.getEntriesByName('contrascope:maps').length")
    page.evaluate(
        """() => {
        window.told = [];
        document.addEventListener("contrascope:perturbation", (event) => window.told.push(event.detail));
        document.querySelector(".maps-pair").scrollIntoView();
    }"""
    )
    settled(page)
    return page


def wait(page: Any, condition: str) -> None:
    """Wait until a condition holds. Playwright's own way evaluates texts in the page, which its policy forbids."""
    page.evaluate(
        f"new Promise((done) => {{ const look = () => ({condition}) ? done() : setTimeout(look, 20); look() }})"
    )


def settled(page: Any) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def corner(page: Any, space: int) -> tuple[float, float, float]:
    """Left, top and side of a map within its border, in CSS pixels of the window."""
    box = page.locator(".maps-view").nth(space).bounding_box()
    return box["x"] + 1, box["y"] + 1, box["width"] - 2


def places(page: Any, cells: pd.DataFrame, space: int) -> np.ndarray:
    """(N, 2) where the cells lie in the window while all are shown."""
    left, top, side = corner(page, space)
    x, y = (cells[f"{SPACES[space]} {axis}"].to_numpy() for axis in (1, 2))
    x, y = (x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)
    return np.stack([left + PAD + (side - 2 * PAD) * x, top + PAD + (side - 2 * PAD) * (1 - y)], axis=1)


def drawn(page: Any, cells: pd.DataFrame, space: int) -> np.ndarray:
    """(N, 3) colour of the pixel at each cell."""
    left, top, _ = corner(page, space)
    points = (places(page, cells, space) - [left, top]).tolist()
    settled(page)
    return np.array(
        page.evaluate(
            """([space, points]) => {
            const canvas = document.querySelectorAll(".maps-view")[space].querySelector("canvas");
            const context = canvas.getContext("2d");
            return points.map(([x, y]) => Array.from(context.getImageData(x, y, 1, 1).data.slice(0, 3)));
        }""",
            [space, points],
        )
    )


def is_like(found: np.ndarray, colour: tuple[int, ...] | str) -> np.ndarray:
    """Whether pixels have a colour."""
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)] if isinstance(colour, str) else colour
    return np.asarray(np.abs(found - np.array(wanted)).max(1) < 3)


def hover(page: Any, cells: pd.DataFrame, cell: int, space: int = 0) -> Any:
    page.mouse.move(*places(page, cells, space)[cell])
    return page.locator(".maps-tip")


def pictured(page: Any, canvas: str) -> list[int]:
    """Colour in the middle of a small picture."""
    wait(page, f"document.querySelector('{canvas}').width === 16")
    return page.evaluate(
        f"Array.from(document.querySelector('{canvas}').getContext('2d').getImageData(8, 8, 1, 1).data.slice(0, 3))"
    )


def draw_around(page: Any, line: np.ndarray) -> None:
    """Drag along a line of places in the window with Shift."""
    page.keyboard.down("Shift")
    page.mouse.move(*line[0])
    page.mouse.down()
    for place in line[1:]:
        page.mouse.move(*place)
    page.mouse.up()
    page.keyboard.up("Shift")


@pytest.mark.parametrize("space", [0, 1])
def test_a_hovered_cell_shows_its_picture_and_its_labels(page, cells, colours, space: int) -> None:
    tip = hover(page, cells, 7, space)
    assert tip.locator("dl").inner_text().split("\n") == [
        "perturbation", cells["perturbation"][7], "guide", cells["guide"][7], "cell_id", "cell 7",
    ]  # fmt: skip
    assert np.abs(np.subtract(pictured(page, ".maps-tip canvas"), colours[7].astype(int))).max() <= 12


def test_a_picture_of_the_second_sheet_is_that_of_its_cell(page, cells, colours) -> None:
    hover(page, cells, 290)
    assert np.abs(np.subtract(pictured(page, ".maps-tip canvas"), colours[290].astype(int))).max() <= 12


def test_a_cell_without_a_picture_says_so(page, cells) -> None:
    tip = hover(page, cells, 350)
    assert tip.locator(".maps-none").is_visible() and not tip.locator("canvas").is_visible()
    assert "Pictures of 300 of 400 cells are in this page" in page.locator(".maps-note").inner_text()
    assert "400 of 800, chosen at random" in page.locator(".maps-note").inner_text()


def test_controls_and_the_perturbations_that_stand_out_have_a_colour(page, cells) -> None:
    for space in (0, 1):
        found = drawn(page, cells, space)
        np.testing.assert_array_equal(is_like(found, BLUE), cells["control"])
        np.testing.assert_array_equal(is_like(found, ORANGE), cells["perturbation"] == "B2")


def test_cells_are_coloured_by_any_column_of_labels(page, cells) -> None:
    page.select_option(".maps-colour", "guide")
    found = drawn(page, cells, 0)
    for name, colour in zip(sorted(cells["guide"].unique()), CATEGORIES, strict=False):
        np.testing.assert_array_equal(is_like(found, colour), cells["guide"] == name)
    legend = page.locator(".maps-legend button").all_inner_texts()
    counts = cells["guide"].value_counts().sort_index()
    assert [text.split("\n") for text in legend] == [[name, str(n)] for name, n in counts.items()]


def test_numbers_go_from_dark_to_bright_and_what_is_missing_is_grey(page, cells) -> None:
    page.select_option(".maps-colour", "area")
    found, known = drawn(page, cells, 1), cells["area"].notna()
    brightness = pd.Series(found.sum(1))
    assert brightness[known].corr(cells["area"][known], method="spearman") > 0.99
    assert is_like(found[~known], (213, 217, 224)).all()
    low, high = np.percentile(cells["area"].dropna(), [1, 99])
    numbers = [float(text.strip("≤≥ ")) for text in page.locator(".maps-scale span").all_inner_texts()]
    np.testing.assert_allclose(numbers, [low, (low + high) / 2, high], rtol=0.02)
    assert "not known: 40 cells" in page.locator(".maps-legend").inner_text()


def test_what_is_drawn_around_in_one_map_lights_up_in_the_other_and_is_counted(page, cells) -> None:
    left, top, side = corner(page, 1)
    line = np.array([[0.1, 0.05], [0.55, 0.2], [0.7, 0.6], [0.35, 0.4], [0.15, 0.8]]) * side + [left, top]
    draw_around(page, line)
    inside = Outline(line).contains_points(places(page, cells, 1))
    selected = cells[inside]
    words = page.locator(".maps-words").inner_text()
    assert words.startswith(f"{len(selected)} of 400 cells are selected")
    share, overall = (f"{100 * table['control'].mean():.0f} %" for table in (selected, cells))
    assert f"Controls are {share} of them and {overall} of all cells" in words.replace("\xa0", " ")
    for space in (0, 1):
        np.testing.assert_array_equal(~is_like(drawn(page, cells, space), GHOST), inside)
    perturbed = selected[~selected["control"]]["perturbation"].value_counts()
    expected = cells["perturbation"].value_counts() * len(selected) / N
    rows = [line.split("\t") for line in page.locator(".maps-table tbody tr").all_inner_texts()]
    assert {row[0]: int(row[1]) for row in rows} == perturbed.to_dict()
    assert [row[0] for row in rows] == (perturbed - expected[perturbed.index]).sort_values(
        ascending=False
    ).index.tolist()
    for name, _, _, times in rows:
        assert float(times) == pytest.approx(perturbed[name] / expected[name], abs=0.051)
    assert page.locator(".maps-gallery button").count() == min(24, (np.flatnonzero(inside) < 300).sum())


def test_escape_clears_the_selection(page, cells) -> None:
    page.get_by_role("button", name="controls").click()
    assert page.locator(".maps-words").inner_text().startswith(f"{cells['control'].sum()} of 400")
    page.keyboard.press("Escape")
    assert page.locator(".maps-words").inner_text().startswith("Nothing is selected")
    assert page.locator(".maps-gallery button").count() == 0
    assert not is_like(drawn(page, cells, 0), GHOST).any()


TELL = "(name) => document.dispatchEvent(new CustomEvent('contrascope:perturbation', {detail: {name, from: 'table'}}))"


def test_a_perturbation_chosen_elsewhere_stands_out_and_is_not_told_again(page, cells) -> None:
    page.evaluate(TELL, "A<1>")
    assert page.input_value(".maps-name") == "A<1>"
    np.testing.assert_array_equal(is_like(drawn(page, cells, 0), ORANGE), cells["perturbation"] == "A<1>")
    assert len(page.evaluate("told")) == 1


def test_colours_that_say_something_else_stay_and_the_chosen_cells_are_outlined(page, cells) -> None:
    page.select_option(".maps-colour", "area")
    before = drawn(page, cells, 0)
    page.evaluate(TELL, "C3")
    assert page.input_value(".maps-colour") == "area"
    np.testing.assert_array_equal(drawn(page, cells, 0), before)
    chosen = (cells["perturbation"] == "C3").to_numpy()
    entry = page.locator(".maps-legend button")
    assert entry.inner_text().split("\n") == ["C3, outlined", str(chosen.sum())]
    np.testing.assert_array_equal(rims(page, cells, 0), chosen)
    page.select_option(".maps-colour", "perturbation")
    assert not rims(page, cells, 0).any() and page.locator(".maps-outlined").count() == 0


def rims(page: Any, cells: pd.DataFrame, space: int) -> np.ndarray:
    """(N,) whether there is ink somewhere within 7 pixels to the right of each cell's place."""
    left, top, _ = corner(page, space)
    points = (places(page, cells, space) - [left, top]).tolist()
    settled(page)
    return np.array(
        page.evaluate(
            """([space, points]) => {
            const canvas = document.querySelectorAll(".maps-view")[space].querySelector("canvas");
            const context = canvas.getContext("2d");
            const isInk = (pixels) => [0, 1, 2, 3, 4, 5, 6].some((k) =>
                [29, 36, 51].every((wanted, byte) => Math.abs(pixels[4 * k + byte] - wanted) < 3));
            return points.map(([x, y]) => isInk(context.getImageData(x, y, 7, 1).data));
        }""",
            [space, points],
        )
    )


@pytest.mark.parametrize(("typed", "name"), [("b2", "B2"), (" c", "C3"), ("a<", "A<1>"), ("NT", "nt")])
def test_a_name_is_found_in_any_case_and_by_how_it_begins(page, typed: str, name: str) -> None:
    page.fill(".maps-name", typed)
    page.press(".maps-name", "Enter")
    assert page.input_value(".maps-name") == name
    assert page.evaluate("told") == [{"name": name, "from": "cell-maps"}]
    assert page.get_attribute(".maps-name", "aria-invalid") == "false"


def test_what_was_told_of_a_cell_is_gone_after_drawing_around(page, cells) -> None:
    tip = hover(page, cells, 7)
    assert tip.is_visible()
    draw_around(page, places(page, cells, 0)[7] + np.array([[0, 0], [40, 0], [40, 40], [0, 40]]))
    settled(page)
    assert page.locator(".maps-words").inner_text().split()[1] == "of" and not tip.is_visible()


def test_a_clicked_cell_tells_its_perturbation(page, cells) -> None:
    cell = int(np.flatnonzero(cells["perturbation"] == "C3")[0])
    page.mouse.click(*places(page, cells, 1)[cell])
    assert page.evaluate("told") == [{"name": "C3", "from": "cell-maps"}]
    page.get_by_role("button", name="Select its cells").click()
    count = (cells["perturbation"] == "C3").sum()
    assert page.locator(".maps-words").inner_text().startswith(f"{count} of 400")


def test_an_unknown_name_is_marked_and_changes_nothing(page, cells) -> None:
    page.fill(".maps-name", "nobody")
    page.press(".maps-name", "Enter")
    assert page.get_attribute(".maps-name", "aria-invalid") == "true"
    assert page.inner_text(".maps-unfound") == "No perturbation here begins with “nobody”."
    assert page.evaluate("told") == []


def test_everything_can_be_done_by_keyboard(page, cells) -> None:
    view = page.locator(".maps-view").nth(0)
    view.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".maps-tip dd").last.inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator(".maps-tip dd").last.inner_text()
    one, two = (places(page, cells, 0)[int(name.removeprefix("cell "))] for name in (first, second))
    assert two[0] - one[0] > abs(two[1] - one[1])
    assert second in page.locator(".maps-said").inner_text()
    page.keyboard.press("s")
    near = np.hypot(*(places(page, cells, 0) - two).T)
    count = int(page.locator(".maps-words").inner_text().split()[0])
    assert (near < 38).sum() <= count <= (near < 40).sum()
    page.keyboard.press("Enter")
    assert page.evaluate("told")[-1]["name"] == cells["perturbation"][int(second.removeprefix("cell "))]
    page.keyboard.press("Escape")
    assert page.locator(".maps-words").inner_text().startswith("Nothing is selected")


def test_a_map_is_zoomed_moved_and_put_back(page) -> None:
    def picture() -> str:
        settled(page)
        return page.evaluate("document.querySelector('.maps-view canvas').toDataURL()")

    seen = [picture()]
    page.locator(".maps-view").nth(0).focus()
    for act in ("+", "Shift+ArrowLeft", "-"):
        page.keyboard.press(act)
        seen.append(picture())
    page.mouse.move(*(value + 100 for value in corner(page, 0)[:2]))
    page.mouse.wheel(0, -300)
    seen.append(picture())
    page.mouse.down()
    page.mouse.move(*(value + 160 for value in corner(page, 0)[:2]))
    page.mouse.up()
    seen.append(picture())
    assert len(set(seen)) == len(seen)
    page.get_by_role("button", name="Show all").first.click()
    assert picture() == seen[0]


def test_the_cell_under_the_pointer_stays_there_while_zooming(page, cells) -> None:
    hover(page, cells, 33)
    for _ in range(4):
        page.mouse.wheel(0, -200)
    settled(page)
    tip = hover(page, cells, 33)
    assert "cell 33" in tip.inner_text().split("\n")


def test_a_page_that_is_served_has_a_picture_of_every_cell(browser_page, folder, cells, colours) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

        def do_GET(self) -> None:
            if self.path == "/favicon.ico":
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

    with served(partial(Quiet, directory=str(folder))) as address:
        page = opened(browser_page, f"{address}/live.html")
        tip = hover(page, cells, 350)
        assert pictured(page, ".maps-tip canvas") == colours[350].tolist()
        assert not tip.locator(".maps-none").is_visible()
        assert "Pictures of" not in page.locator(".maps-note").inner_text()


def test_in_print_and_without_scripts_the_maps_are_figures(page, new_page, folder) -> None:
    assert not page.locator(".maps-static img").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".maps-static img").is_visible() and not page.locator(".maps-live").is_visible()
    still = new_page(java_script_enabled=False)
    still.goto((folder / "report.html").as_uri())
    assert still.locator(".maps-static img").is_visible() and not still.locator(".maps-live").is_visible()


def test_a_narrow_page_is_not_scrolled_sideways(page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    first, second = (page.locator(".maps-view").nth(k).bounding_box() for k in (0, 1))
    assert second["y"] > first["y"] + first["height"]


class served:  # noqa: N801
    """A server of this machine for as long as it is needed."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *raised: object) -> None:
        self.server.shutdown()
        self.server.server_close()
