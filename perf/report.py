"""How long a report takes to show, and to move its maps.

    python perf/report.py [REPORT.html ...]

For each report its bytes, the time of its first paint, and the time until its maps can be moved. Then, for pages
with maps of 10,000 and 100,000 made-up cells, what a frame takes while one map is zoomed: the time from one to the
next, which a screen of 60 Hz holds at 16.7 ms, and how long the page's thread was at work for it. Needs Debian's
chromium. Medians of several openings; the browser has no GPU.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from contrascope.report.maps import Maps
from contrascope.report.report import Picture, Section, render_report
from contrascope.report.sheets import read_sheets, write_index

SIZES, OPENINGS, FRAMES = (10_000, 100_000), 5, 60
READY = "contrascope:maps"
WAIT = """(mark) => new Promise((done) => {
    const look = () => performance.getEntriesByName(mark).length ? done() : setTimeout(look, 20);
    look();
})"""
ZOOM = """async (frames) => {
    const view = document.querySelector(".maps-view"), box = view.getBoundingClientRect();
    const place = {clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, cancelable: true};
    const next = () => new Promise(requestAnimationFrame);
    await next();
    const began = performance.now();
    for (let frame = 0; frame < frames; frame++) {
        view.dispatchEvent(new WheelEvent("wheel", {...place, deltaY: frame < frames / 2 ? -20 : 20}));
        await next();
    }
    return (performance.now() - began) / frames;
}"""


def main(reports: list[Path]) -> None:
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as name:
        found = shutil.which("chromium")
        if found is None:
            sys.exit("There is no chromium here. Install Debian's package of that name.")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for report in reports:
            tell_opening(browser, report.resolve(), report.name)
        for cells in SIZES:
            path = written(Path(name), cells)
            tell_opening(browser, path, f"maps of {cells:,} cells")
            tell_zooming(browser, path)
        browser.close()


def tell_opening(browser: Browser, path: Path, name: str) -> None:
    """Bytes, first paint and time until the maps are ready."""
    times = []
    for _ in range(OPENINGS):
        page = opened(browser, path)
        times.append(
            page.evaluate(f"['first-paint', '{READY}'].map((n) => performance.getEntriesByName(n)[0].startTime)")
        )
        page.close()
    paint, ready = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{name}: {path.stat().st_size / 1e6:.2f} MB, first paint after {paint:,.0f} ms, maps after {ready:,.0f} ms")


def tell_zooming(browser: Browser, path: Path) -> None:
    """What a frame takes while a map is zoomed."""
    page = opened(browser, path)
    page.locator(".maps-view").first.scroll_into_view_if_needed()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before = at_work(session)
    interval = page.evaluate(ZOOM, FRAMES)
    print(
        f"  zooming: {interval:.1f} ms from frame to frame, {(at_work(session) - before) / FRAMES:.1f} ms of work each"
    )
    page.close()


def opened(browser: Browser, path: Path) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(path.as_uri())
    page.evaluate(WAIT, READY)
    return page


def at_work(session: Any) -> float:
    """Milliseconds that the page's thread has worked so far."""
    metrics = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
    return 1000 * metrics["TaskDuration"]


def written(folder: Path, cells: int) -> Path:
    """A page with maps of cells in twelve clouds, without pictures."""
    rng = np.random.default_rng(0)
    cloud = rng.integers(0, 12, cells)
    table = pd.DataFrame({"row": np.arange(cells), "cell_id": [f"cell {k}" for k in range(cells)]})
    for space in ("background", "salient"):
        table[f"{space} 1"] = np.cos(cloud) + rng.normal(0, 0.15, cells)
        table[f"{space} 2"] = np.sin(cloud) + rng.normal(0, 0.15, cells)
    table["perturbation"] = [f"GENE{k}" for k in rng.integers(0, 1000, cells)]
    table["control"], table["area"] = rng.random(cells) < 0.2, rng.random(cells)
    Image.new("RGB", (10, 10)).save(folder / "still.png")
    write_index(folder, np.array([], int), width=64, height=64)
    still = Picture(folder / "still.png", "The maps at rest.")
    maps = Maps(table, ("background", "salient"), cells, read_sheets(folder), [still], ["GENE1"])
    path = folder / f"{cells}.html"
    page = render_report("Clouds", subtitle="", facts=[], sections=[Section("Maps", [maps])])
    path.write_text(page, encoding="utf-8")
    return path


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
