"""What tests share: a tiny synthetic screen with its store, a maker of toy screens, a real plate, and a browser."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest
import tifffile
import yaml
from hypothesis import HealthCheck, settings

from contrascope.screen.screen import open_screen
from contrascope.screen.synthetic import synthetic_screen
from contrascope.store.crops import extract_crops
from contrascope.store.store import CropStore

# A busy machine is slow; that is no fault of what is tested. In CI examples are the same each time, so that no change
# fails by luck.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("patient")

WriteScreen = Callable[..., Path]


def pytest_configure(config: pytest.Config) -> None:
    """NumPy on a Mac's Accelerate warns of overflows in products that have none."""
    if sys.platform == "darwin":
        config.addinivalue_line("filterwarnings", "ignore:.* encountered in matmul:RuntimeWarning")


@pytest.fixture(scope="session")
def tiny_screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The screen file of a synthetic screen of 18 tiles. Read only."""
    return synthetic_screen(tmp_path_factory.mktemp("tiny") / "screen", preset="tiny")


@pytest.fixture(scope="session")
def tiny_store(tiny_screen: Path, tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """The crops of the tiny screen. Read only."""
    return extract_crops(open_screen(tiny_screen), tmp_path_factory.mktemp("tiny") / "cells.zarr")


@pytest.fixture(scope="session")
def s3() -> Iterator[Callable[[str | Path, str], str]]:
    """A server of S3 on this machine: a function that copies a folder into a bucket, and gives its URL."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",  # nobody is asked for other credentials
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }.items():
            patch.setenv(name, value)

        def copied(folder: str | Path, to: str) -> str:
            bucket = fsspec.filesystem("s3")
            bucket.makedirs(to.partition("/")[0], exist_ok=True)
            bucket.put(str(folder), to, recursive=True)
            return f"s3://{to}"

        yield copied
    server.stop()


@pytest.fixture(scope="session")
def bbbc013() -> Path:
    """The folder of a real plate."""
    folder = Path(os.environ.get("CONTRASCOPE_BBBC013", Path(__file__).parents[1] / "../shared/data/bbbc013"))
    if not (folder / "images").is_dir():
        pytest.skip("the plate BBBC013 is not here: set CONTRASCOPE_BBBC013 to its folder")
    return folder


@pytest.fixture(scope="session")
def toy_cells() -> pl.DataFrame:
    """24 cells in 2 wells of 2 tiles, a third of them controls; the first of each tile lies near a corner."""
    rng = np.random.default_rng(0)
    n = 24
    return pl.DataFrame(
        {
            "plate": ["P1"] * n,
            "well": [f"A{1 + i // 12}" for i in range(n)],
            "tile": [i // 6 % 2 for i in range(n)],
            "cell_id": [f"c{i:02d}" for i in range(n)],
            "y": np.where(np.arange(n) % 6 == 0, 1.0, rng.uniform(8, 31, n)),
            "x": rng.uniform(8, 39, n),
            "guide": [f"g{i % 6}" for i in range(n)],
            "perturbation": [("control", "GENE1", "GENE2")[i % 3] for i in range(n)],
        }
    )


@pytest.fixture(scope="session")
def toy_tiles() -> dict[str, np.ndarray]:
    """File name -> (2, 40, 48) uint16 for the tiles of the toy cells."""
    rng = np.random.default_rng(1)
    return {f"P1_A{w}_{t}.tif": rng.integers(0, 4000, (2, 40, 48), np.uint16) for w in (1, 2) for t in (0, 1)}


@pytest.fixture(scope="session")
def write_screen(toy_cells: pl.DataFrame, toy_tiles: dict[str, np.ndarray]) -> WriteScreen:
    """A function that writes a toy screen into a folder, any part of it replaced, and gives its screen file."""

    def write(
        folder: Path,
        *,
        cells: pl.DataFrame | None = None,
        tiles: dict[str, np.ndarray] | None = None,
        table: str = "cells.parquet",
        **sections: dict[str, Any],
    ) -> Path:
        for name, tile in (toy_tiles if tiles is None else tiles).items():
            (folder / "tiles" / name).parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / "tiles" / name, tile, photometric="minisblack", metadata={"axes": "CYX"})
        cells = toy_cells if cells is None else cells
        (cells.write_csv if table.endswith(".csv") else cells.write_parquet)(folder / table)
        settings: dict[str, Any] = {
            "name": "toy",
            "images": {"pattern": "tiles/{plate}_{well}_{tile}.tif", "channels": ["DNA", "GFP"]},
            "cells": {"table": table, "control": "control"},
            "crop": {"size": 16},
        }
        settings["images"] |= {"reference_channel": "DNA", "align": False}
        for section, values in sections.items():
            settings[section] = settings.get(section, {}) | values if isinstance(values, dict) else values
        path = folder / "screen.yaml"
        path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def bytes_of() -> Callable[[Path], dict[str, bytes]]:
    """A function that gives every file of a folder: its path inside -> its bytes."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    return read


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser of this machine. A module's and not the session's: Playwright keeps the thread's event loop."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("there is no chromium here")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """A maker of pages in a browser, by the options of a context; ``console`` names what no console may say.

    The test fails if a console complains, or if a page asks any other machine for anything.
    """
    contexts, complaints = [], []

    def made(*, console: tuple[str, ...] = ("error",), **options: Any) -> Any:
        contexts.append(chromium.new_context(**{"viewport": {"width": 1280, "height": 1000}} | options))
        page = contexts[-1].new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in console else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if _stays_here(request.url) else complaints.append(request.url))
        page.set_default_timeout(20_000)
        return page

    yield made
    for context in contexts:
        context.close()
    assert complaints == []


def _stays_here(address: str) -> bool:
    return address.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))


@pytest.fixture
def browser_page(new_page: Callable[..., Any]) -> Any:
    """A page in a browser."""
    return new_page()
