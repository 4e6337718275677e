"""What stages left in a folder is found there, once, and as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.config import load_screen_settings
from contrascope.errors import ContrascopeError
from contrascope.line import finished, judging
from contrascope.line.finished import Finished
from contrascope.store.store import CropStore
from contrascope.tables import write_anndata


@pytest.fixture
def out(tiny_store: CropStore, tmp_path: Path) -> Path:
    """A folder with the crops of the tiny screen."""
    (tmp_path / "cells.zarr").symlink_to(tiny_store.path)
    return tmp_path


def made(screen: Path, out: Path, **changes: object) -> Finished:
    return Finished(load_screen_settings(screen, changes), out)


def table(n: int = 20, seed: int = 0, **obsm: object) -> AnnData:
    names = [f"c{i}" for i in range(n)]
    labels = [("nontargeting", "A", "B")[i % 3] for i in range(n)]
    obs = pd.DataFrame(
        {"perturbation": labels, "guide": labels, "control": [i % 3 == 0 for i in range(n)]}, index=names
    )
    salient = np.random.default_rng(seed).normal(size=(n, 3))
    return AnnData(obs=obs, obsm={"salient": salient} | obsm)


def test_each_outcome_is_opened_when_it_is_asked_for_and_once(tiny_screen: Path, out: Path) -> None:
    found = made(tiny_screen, out)
    assert found.store is found.store
    with pytest.raises(ContrascopeError):
        _ = found.cells
    write_anndata(table(), found.cells_path)
    assert found.cells is found.cells
    np.testing.assert_array_equal(found.cells.obsm["salient"], table().obsm["salient"])


def test_cells_too_many_for_memory_are_a_folder(tiny_screen: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(tiny_screen, out)
    assert found.cells_path == out / "embedding" / "cells.h5ad"
    monkeypatch.setattr(finished, "CELLS_IN_MEMORY", len(found.store) - 1)
    assert found.cells_path == out / "embedding" / "cells.zarr"


def test_profiles_are_by_guide_and_by_perturbation(tiny_screen: Path, out: Path) -> None:
    found = made(tiny_screen, out)
    for seed, by in enumerate(("guide", "perturbation")):
        write_anndata(table(4, seed), found.profiles_path(by))
    for seed, by in enumerate(("guide", "perturbation")):
        np.testing.assert_array_equal(found.profiles[by].obsm["salient"], table(4, seed).obsm["salient"])


def test_without_a_rival_cells_are_judged_with_their_profiles(tiny_screen: Path, out: Path) -> None:
    found = made(tiny_screen, out)
    write_anndata(table(), found.cells_path)
    for by in ("guide", "perturbation"):
        write_anndata(table(4), found.profiles_path(by))
    judged, notes = found.judged
    assert judged.data is found.cells
    assert judged.guides is found.profiles["guide"]
    assert notes == ()


def test_a_rival_is_judged_beside_the_spaces_on_the_cells_that_both_have(tiny_screen: Path, out: Path) -> None:
    found = made(tiny_screen, out, features={"features": "fast"})
    write_anndata(table(), found.cells_path)
    features = pd.DataFrame({"Cells_A": np.arange(20.0)}, index=[f"c{i}" for i in range(20)])
    rival = table(cellprofiler=np.arange(40.0).reshape(20, 2), features=features)[[7, 3, 5]].copy()
    del rival.obsm["salient"]
    write_anndata(rival, found.rival_path)
    (judged, notes), names = found.judged, ["c3", "c5", "c7"]
    assert judged.data.obs_names.tolist() == names
    np.testing.assert_array_equal(judged.data.obsm["salient"], table()[names].obsm["salient"])
    np.testing.assert_array_equal(judged.data.obsm["cellprofiler"], rival[names].obsm["cellprofiler"])
    assert judged.data.obsm["features"]["Cells_A"].tolist() == [3, 5, 7]
    assert notes[0].startswith("cellprofiler: 3 of 20 rows are matched")


def test_questions_have_an_answer_or_a_reason(tiny_screen: Path, out: Path, tmp_path: Path) -> None:
    found = made(tiny_screen, out)
    (tmp_path / "sets.gmt").write_text("one\t\tG0\tG1\tG2\ntwo\t\tG3\tG4\tG5\n")
    genes = [f"G{i}" for i in range(6)]
    profiles = AnnData(
        obs=pd.DataFrame({"perturbation": genes}, index=genes),
        obsm={"salient": np.random.default_rng(0).normal(size=(6, 3))},
    )
    for name in judging.questions(found.settings):
        options = {"annotations": str(tmp_path / "sets.gmt")} if name == "complexes" else {}
        if name == "complexes":
            judging.answer(name, profiles, options, out / "benchmarks")
        else:
            (out / "benchmarks").mkdir(exist_ok=True)
            (out / "benchmarks" / f"{name}_notes.json").write_text(f'["No {name} today."]')
    assert set(found.results) == {"complexes"}
    assert found.unanswered == {
        name: f"No {name} today." for name in judging.questions(found.settings) if name != "complexes"
    }


def test_names_of_cells_on_the_maps_are_texts(tiny_screen: Path, out: Path) -> None:
    (out / "figures").mkdir()
    (out / "figures" / "umap_perturbation.csv").write_text("cell_id,x\n007,1.5\n1e3,2\n")
    assert made(tiny_screen, out).map_table["cell_id"].tolist() == ["007", "1e3"]
