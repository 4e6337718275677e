"""A store of random crops whose names are no friends of HTML, and a run on it that lies where runs lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.fit import fit
from contrascope.training.run import Run

UNFRIENDLY = '<script>alert("&")</script>'


class _Checked(HTMLParser):
    """Tags that were opened and closed, and the addresses of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        if tag == "img":
            assert dict(attrs)["alt"]
            self.pictures.append(str(dict(attrs)["src"]))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="session")
def pictures_in() -> Callable[[str], list[str]]:
    """A function that gives the pictures of some HTML, once it is sound, escaped, self-contained and small."""

    def pictures(html: str) -> list[str]:
        checked = _Checked()
        checked.feed(html)
        assert checked.open == []
        assert len(html) < 200_000
        assert not re.search(r"https?://|src=\"(?!data:)", html)
        return checked.pictures

    return pictures


@pytest.fixture(scope="session")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store ``cells.zarr`` and a run on it, ``runs/mcvae``."""
    folder, n = tmp_path_factory.mktemp("analysis"), 120
    images = np.random.default_rng(0).integers(100, 1000, (n, 2, 16, 16)).astype(np.uint16)
    control = np.arange(n) % 3 == 0
    names = np.where(control, "nontargeting", np.array([UNFRIENDLY, "b"])[np.arange(n) % 2])
    cells = pl.DataFrame({"guide": names, "perturbation": names, "control": control})
    store = store_from_arrays(images, cells, folder / "cells.zarr", channels=["DNA", "<b>Actin"], name=UNFRIENDLY)
    small = {"image_size": 16, "background_size": 4, "salient_size": 3, "batch_size": 32, "epochs": 1}
    fit(store, model="mcvae", out=folder / "runs" / "mcvae", precision="fp32", split=(0.7, 0.2, 0.1), **small)
    return folder


@pytest.fixture
def store(analysis: Path) -> CropStore:
    """The store, just opened."""
    return CropStore(analysis / "cells.zarr")


@pytest.fixture
def run(analysis: Path) -> Run:
    """The run, just opened."""
    from contrascope.training.run import open_run

    return open_run(analysis / "runs" / "mcvae")
