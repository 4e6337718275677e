"""Every block of code that a page shows is run as it stands, or says why not.

Blocks of a page are run in order, in one folder, on small things (``quick.py``). A comment right before a block says
what is special about it: ``<!-- not run: REASON -->``; ``<!-- slow: REASON -->``, run by the slow tests only;
``<!-- file: NAME -->``, the block is that file, which blocks after it use; ``<!-- prints: ... -->``, the block is what
the Python before it prints; ``<!-- fails: ... -->``, its last command ends with one of our errors, and ``<!-- says:
... -->``, the block is that error, in the folder ``/data``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml

from contrascope.config import ScreenSettings, training_settings, validated
from contrascope.store.store import open_store
from contrascope.tables import read_anndata

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).with_suffix("").as_posix(): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>[\w ]+): (?P<said>[^\n]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
SHELL = {"sh", "bash", "console"}
SHOWN = {"", "text", "csv", "tsv", "json"}
"""Output, tables and drawings, which nobody runs."""
FINGERPRINT = re.compile(r"\b[0-9a-f]{16}\b")
MARKS = {"not run", "slow", "file", "prints", "fails", "says"}


@dataclass(frozen=True)
class Block:
    """A block of code and where it stands."""

    language: str
    text: str
    mark: str | None
    said: str | None
    line: int


def blocks(page: str) -> list[Block]:
    text = PAGES[page].read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            dedent(found["text"]),
            found["mark"],
            found["said"],
            text[: found.start("text")].count("\n"),
        )
        for found in FENCE.finditer(text)
    ]


def of_page(*, slow: bool) -> list[str]:
    """Pages with something to run; the slow ones are those with a slow block."""
    marks = {page: {block.mark for block in blocks(page) if block.language not in SHOWN} for page in PAGES}
    return [page for page, found in marks.items() if ("slow" in found if slow else found - {"not run", "slow"})]


@pytest.mark.parametrize("page", PAGES)
def test_a_block_is_run_or_says_why_not(page: str) -> None:
    for block in blocks(page):
        where = f"{PAGES[page]}:{block.line}"
        assert block.language in SHELL | SHOWN | {"python", "yaml"}, f"{where}: how is {block.language} run?"
        assert block.mark is None or block.mark in MARKS, f"{where}: a block marked '{block.mark}'"
    assert PAGES[page].read_text(encoding="utf-8").count("```") == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES)
def test_a_screen_file_in_a_page_has_known_keys_only(page: str) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            known_keys(yaml.safe_load(block.text), f"{PAGES[page]}:{block.line}")


def known_keys(values: dict[str, Any], where: str) -> None:
    """A whole screen file, or some sections of one on top of the least that there can be."""
    least = {
        "name": "least",
        "images": {"pattern": "{tile}", "channels": ["DNA"], "reference_channel": "DNA"},
        "cells": {"table": "cells.csv", "control": "none"},
    }
    settings = validated(ScreenSettings, values if "name" in values else least | values, where=where)
    training_settings(10_000, **settings.training)


@pytest.mark.parametrize("page", of_page(slow=False))
def test_what_a_page_says_can_be_done(page: str, run_page: Callable[..., None]) -> None:
    run_page(page, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", of_page(slow=True))
def test_what_a_page_says_can_be_done_at_length(page: str, run_page: Callable[..., None]) -> None:
    run_page(page, slow=True)


@pytest.fixture
def run_page(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    command: Callable[[list[str]], int],
    quick: Path,
) -> Callable[..., None]:
    """A function that runs the blocks of a page in a folder where what the page takes as given is there."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "contrascope"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{quick}" "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv(
        "PATH", f"{shim.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    folder = tmp_path / "work"

    def shell(text: str) -> None:
        commands = re.sub(r"(^|\s)#[^\n]*", "", text).replace("\\\n", " ")
        lines = [shlex.split(line) for line in commands.splitlines()]
        if all(line[:1] in ([], ["contrascope"]) for line in lines) and not re.search(r"[$|;&<>]", commands):
            for line in filter(None, lines):
                assert command(line[1:]) == 0, " ".join(line)
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True, timeout=600)

    def failing(text: str) -> str:
        *before, last = text.strip().splitlines()
        shell("\n".join(before))
        with redirect_stderr(StringIO()) as err:
            assert command([*shlex.split(last)[1:], "--quiet"]) == 1, last
        return err.getvalue()

    def run(page: str, *, slow: bool) -> None:
        folder.mkdir()
        monkeypatch.chdir(folder)
        names: dict[str, Any] = {"__name__": page}
        printed = complaint = ""
        for make in GIVEN.get(page, ()):
            make(folder, request)
        for block in blocks(page):
            if block.mark == "not run" or (block.mark == "slow" and not slow):
                continue
            if block.mark == "file":
                assert block.said is not None
                (folder / block.said).write_text(block.text, encoding="utf-8")
            elif block.mark == "prints":
                assert printed == block.text
            elif block.mark == "fails":
                complaint = FINGERPRINT.sub("…", failing(block.text).replace(str(folder), "/data"))
            elif block.mark == "says":
                assert " ".join(complaint.split()) == " ".join(block.text.split())
            elif block.language == "python":
                # Line breaks before the block have a traceback name the line of the page.
                code = compile("\n" * block.line + block.text, str(PAGES[page]), "exec")
                with redirect_stdout(StringIO()) as out:
                    exec(code, names)
                printed = out.getvalue()
            elif block.language in SHELL:
                shell(block.text)

    return run


Given = Callable[[Path, pytest.FixtureRequest], None]


def the_demo(folder: Path, request: pytest.FixtureRequest) -> None:
    """The demo, done."""
    shutil.copytree(request.getfixturevalue("demo"), folder / "demo")


def a_screen(folder: Path, request: pytest.FixtureRequest) -> None:
    """A screen file with its tiles, cell table and annotations; no benchmark is named."""
    shutil.copytree(request.getfixturevalue("demo") / "screen", folder, dirs_exist_ok=True)
    settings = yaml.safe_load((folder / "screen.yaml").read_text())
    kept = {key: settings[key] for key in ("name", "images", "cells", "crop")}
    (folder / "screen.yaml").write_text(yaml.safe_dump(kept, sort_keys=False))
    shutil.copy(folder / "complexes.gmt", folder / "corum.gmt")


def others_embeddings(folder: Path, request: pytest.FixtureRequest) -> None:
    """Embedded cells, those of another model, and features of the same cells, as of CellProfiler."""
    analysis = request.getfixturevalue("demo") / "analysis"
    shutil.copy(analysis / "embedding" / "cells.h5ad", folder / "cells.h5ad")
    shutil.copy(folder / "cells.h5ad", folder / "vae.h5ad")
    cells = read_anndata(folder / "cells.h5ad")
    table = pd.DataFrame(cells.obsm["intensity"], index=cells.obs_names).add_prefix("Cells_Intensity_Mean_")
    table.rename_axis("cell_id").to_csv(folder / "features.csv")
    (folder / "cellprofiler_output").mkdir()
    places = pl.DataFrame(cells.obs[["plate", "well", "tile"]].astype(str).reset_index(drop=True))
    numbered = places.with_columns(ImageNumber=pl.struct(pl.all()).rank("dense")).with_columns(
        ObjectNumber=pl.int_range(1, pl.len() + 1).over("ImageNumber")
    )
    named = {"plate": "Metadata_Plate", "well": "Metadata_Well", "tile": "Metadata_Site"}
    image = numbered.select("ImageNumber", *(pl.col(ours).alias(theirs) for ours, theirs in named.items())).unique()
    image.write_csv(folder / "cellprofiler_output" / "Image.csv")
    objects = numbered.select("ImageNumber", "ObjectNumber").hstack(pl.DataFrame(table.reset_index(drop=True)))
    centres = {"Location_Center_X": cells.obs["x"].to_numpy(), "Location_Center_Y": cells.obs["y"].to_numpy()}
    objects.with_columns(**centres).write_csv(folder / "cellprofiler_output" / "Cells.csv")


def brieflows_output(folder: Path, request: pytest.FixtureRequest) -> None:
    """Tiles and a cell table as brieflow leaves them."""
    screen = request.getfixturevalue("demo") / "screen"
    (folder / "aligned").mkdir()
    for tile in sorted((screen / "tiles").iterdir()):
        plate, well, number = tile.name.removesuffix(".ome.tif").split("_")
        shutil.copy(tile, folder / "aligned" / f"P-{plate}_W-{well}_T-{number}__aligned.tiff")
    theirs = {"cell_i": "i_0", "cell_j": "j_0", "sgRNA_0": "cell_barcode_0", "stage": "cell_stage"}
    table = pl.read_parquet(screen / "cells.parquet").rename(theirs).drop("UID")
    table.with_columns(cell_0=pl.int_range(pl.len())).write_parquet(folder / "cells.parquet")


def crops_in_an_lmdb(folder: Path, request: pytest.FixtureRequest) -> None:
    """Crops as of an optical pooled screen: raw uint16 under keys that say what they are."""
    lmdb = pytest.importorskip("lmdb")
    store = open_store(request.getfixturevalue("demo") / "analysis" / "cells.zarr")
    labels = store.cells.select("cell_id", "plate", "well", "tile", "perturbation")
    images = store.read(np.arange(len(store)))
    with lmdb.open(str(folder / "crops.lmdb"), map_size=2**28) as database, database.begin(write=True) as transaction:
        for row, (who, *place) in enumerate(labels.iter_rows()):
            uid = str(who).replace("_", "-")
            transaction.put("_".join(map(str, [uid, *place, row])).encode(), images[row].astype("<u2").tobytes())


def a_real_plate(folder: Path, request: pytest.FixtureRequest) -> None:
    """The plate BBBC013, for the slow blocks alone."""
    if request.node.get_closest_marker("slow"):
        request.getfixturevalue("monkeypatch").setenv("CONTRASCOPE_BBBC013", str(request.getfixturevalue("bbbc013")))


GIVEN: dict[str, tuple[Given, ...]] = {
    "README": (a_screen, others_embeddings),
    "docs/cell-painting": (a_real_plate,),
    "docs/cluster": (a_screen,),
    "docs/funk2022": (a_screen,),
    "docs/own-ops-screen": (brieflows_output, crops_in_an_lmdb),
    "docs/paper": (the_demo,),
    "docs/quickstart": (the_demo,),
    "docs/troubleshooting": (a_screen,),
}
"""Page -> what it takes as given."""


def test_what_is_given_is_given_to_a_page_that_is_there() -> None:
    assert GIVEN.keys() <= PAGES.keys()
