"""How quickly a view of a large store opens, and turns a page of 48 cells.

    python perf/view.py [CELLS]     a store of so many cells of 4 x 16 x 16 pixels, 1,000,000 unless told
    python perf/view.py STORE       a store that is there

The view is a process of its own, as `contrascope view` starts it. Open is the time from its start to its whole page.
A page of cells is the answer of the table and its 48 pictures: asked for one after another on one connection; over six,
as browsers do; and, where Chromium is installed, from the press of a button to the last picture decoded. Pages are
those of random perturbations at random places, so that hardly one has been seen before. Beside the clock stands what
the view worked, which tells more on a machine at work on other things.
"""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import psutil
import read

PAGES, PAGE, CONNECTIONS = 50, 48, 6


class Asking:
    """One connection to the view."""

    def __init__(self, url: str):
        self.path = urlsplit(url).path
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def __call__(self, path: str) -> bytes:
        """What is at this path."""
        self.connection.request("GET", self.path + path)
        answer = self.connection.getresponse()
        assert answer.status == 200, path
        return answer.read()


def main(store: Path) -> None:
    """Open a view of the store, turn pages, and print what it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "contrascope.cli", "view", str(store), "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = json.loads(process.stdout.readline())["url"]
        view, ask = psutil.Process(process.pid), Asking(url)
        ask("")
        opened, started = time.perf_counter() - began, view.memory_info().rss
        columns = {column["name"]: column for column in json.loads(ask("api/columns"))["columns"]}
        print(f"{store}: open with its page after {opened:.2f} s, {started / 2**20:,.0f} MiB then")
        rng = np.random.default_rng(0)
        told("one connection", view, lambda page: one_by_one(ask, page), pages_of(columns, rng))
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            lines = [Asking(url) for _ in range(CONNECTIONS)]
            told("six connections", view, lambda page: side_by_side(lines, threads, page), pages_of(columns, rng))
        if chromium := shutil.which("chromium"):
            in_browser(chromium, url, view)
        for text in ("sort=-y", "sort=-y&offset=48", "perturbation=GENE7&control=false&sort=-y"):
            began = time.perf_counter()
            ask(f"api/cells?{text}")
            print(f"  the table alone, {text}: {1000 * (time.perf_counter() - began):.0f} ms")
        print(f"  memory: {peak_of(process.pid):,.0f} MiB at most")
        process.send_signal(signal.SIGINT)


def pages_of(columns: dict, rng: np.random.Generator) -> list[str]:
    """Questions for a page each: of any cells, or of those of a perturbation."""
    values = columns["perturbation"]["values"]
    chosen = []
    for turn in range(PAGES):
        value = values[rng.integers(len(values))]
        cells = value["cells"] if turn % 2 else sum(other["cells"] for other in values)
        offset = PAGE * int(rng.integers(max(1, cells // PAGE)))
        name = f"&perturbation={quote(value['value'])}" if turn % 2 else ""
        chosen.append(f"api/cells?limit={PAGE}&offset={offset}{name}")
    return chosen


def one_by_one(ask: Asking, page: str) -> None:
    """The table, then picture after picture."""
    for cell in json.loads(ask(page))["cells"]:
        ask(f"cells/{cell['row']}.webp")


def side_by_side(lines: list[Asking], threads: ThreadPoolExecutor, page: str) -> None:
    """The table, then pictures over all connections."""
    rows = [cell["row"] for cell in json.loads(lines[0](page))["cells"]]

    def share(line: int) -> None:
        for row in rows[line :: len(lines)]:
            lines[line](f"cells/{row}.webp")

    list(threads.map(share, range(len(lines))))


def in_browser(chromium: str, url: str, view: psutil.Process) -> None:
    """Pages turned by a key in Chromium, until the last picture can be drawn."""
    from playwright.sync_api import sync_playwright

    turn = """() => new Promise((done) => {
        const cells = document.querySelector(".browse-cells");
        const began = performance.now();
        const watch = new MutationObserver(async () => {
            if (cells.hasAttribute("data-waiting")) return;
            watch.disconnect();
            await Promise.all([...cells.querySelectorAll("img")].map((image) => image.decode()));
            done(performance.now() - began);
        });
        watch.observe(cells, { attributes: true });
        document.querySelector("[data-part=next]").click();
    })"""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_selector("#browse li")
        page.wait_for_load_state("networkidle")
        cores = worked(view)
        line("Chromium", [page.evaluate(turn) for _ in range(PAGES)], worked(view) - cores)
        browser.close()


def told(name: str, view: psutil.Process, turn: Callable[[str], None], pages: Iterable[str]) -> None:
    """Turn pages, and print median and worst."""
    times, cores = [], worked(view)
    for page in pages:
        began = time.perf_counter()
        turn(page)
        times.append(1000 * (time.perf_counter() - began))
    line(name, times, worked(view) - cores)


def line(name: str, times: list[float], cores: float) -> None:
    """Print milliseconds a page."""
    middle, most = np.quantile(times, [0.5, 0.9])
    print(
        f"  {name:16s} a page of {PAGE}: median {middle:4.0f} ms, nine of ten within {most:4.0f} ms, "
        f"worst {max(times):4.0f} ms; {1000 * cores / len(times):.0f} core-milliseconds of the view"
    )


def worked(view: psutil.Process) -> float:
    """Core-seconds of the view so far."""
    return sum(view.cpu_times()[:2])


def peak_of(pid: int) -> float:
    """Most memory that a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


if __name__ == "__main__":
    match sys.argv[1:]:
        case [path] if not path.isdecimal():
            main(Path(path))
        case cells:
            with tempfile.TemporaryDirectory() as name:
                read.write(Path(name) / "cells.zarr", int(cells[0]) if cells else 1_000_000)
                main(Path(name) / "cells.zarr")
