"""Things shown by a real notebook, which asks them for HTML as they come last in a cell."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import contrascope
from contrascope.benchmarks.result import Result, tidy


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_an_executed_notebook_shows_all_four_and_loads_torch_for_the_run_only(
    analysis: Path, tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tidy([{"space": "mine", "metric": "score", "value": 1.0, "chance": 0.5, "n": 3}])
    Result("outside", table, table).save(tmp_path)
    sources = [
        f"import sys, contrascope as cs; cs.open_screen({str(tiny_screen)!r})",
        f"cs.open_store({str(analysis / 'cells.zarr')!r})",
        f"cs.read_result({str(tmp_path / 'outside.csv')!r})",
        "'torch' in sys.modules",
        f"cs.open_run({str(analysis / 'runs' / 'mcvae')!r})",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    source = str(Path(contrascope.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")])))
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    screen, store, result, loaded, run = (cell.outputs[-1]["data"] for cell in notebook.cells)
    assert [each.get("text/html", "").count("<img") for each in (screen, store, result, run)] == [1, 8, 0, 16]
    assert loaded["text/plain"] == "False"
    assert all("text/plain" in each for each in (screen, store, result, run))
