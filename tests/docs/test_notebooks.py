"""The notebooks run from beginning to end, on the tiny screen, and their pages say what they say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from contrascope.embedding import embed
from contrascope.store.store import CropStore
from contrascope.tables import write_anndata
from contrascope.training.fit import fit

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def loaded() -> ModuleType:
    """docs/notebooks.py as a module."""
    spec = importlib.util.spec_from_file_location("notebooks_of_docs", DOCS / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def demo(tiny_screen: Path, tiny_store: CropStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `contrascope demo` leaves one, of the tiny screen and a training of one epoch."""
    folder = tmp_path_factory.mktemp("demo")
    analysis = folder / "analysis"
    analysis.mkdir()
    (folder / "screen").symlink_to(tiny_screen.parent)
    (analysis / "cells.zarr").symlink_to(tiny_store.path)
    run = fit(tiny_store, model="mcvae", out=analysis / "runs" / "mcvae", image_size=32, epochs=1)
    write_anndata(embed(tiny_store, run), analysis / "embedding" / "cells.h5ad")
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Said by the kernel's own libraries, of ports and of event loops.
@pytest.mark.filterwarnings("default")
def test_a_notebook_runs_and_every_figure_is_shown(path: Path, demo: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(demo)
    notebook = loaded().executed(path, tmp_path)
    for cell in notebook.cells:
        shown = any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        assert shown == ("alt" in cell.metadata), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_has_its_words_its_code_and_its_pictures(path: Path) -> None:
    script = loaded()
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    expected, _ = script.page(nbformat.read(path, as_version=4), path.stem)
    assert script.without_outputs(text) == expected
    pictures = re.findall(r"\((\S+\.webp)\)", text)
    assert pictures
    assert sorted(pictures) == sorted(file.name for file in path.parent.glob(f"{path.stem}-*.webp"))
