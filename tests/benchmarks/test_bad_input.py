"""Bad input to any benchmark, through the command line: one clear sentence, exit code 1, and nothing written."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from contrascope import cli
from contrascope.profiles import profile
from contrascope.tables import write_anndata

N = 600
DOSE = ("dose=dose", "negative={column: [1]}", "positive={column: [6]}", "fit={row: [A, B]}", "test={row: [C, D]}")
Ask = Callable[..., tuple[int, str]]
Spoil = Callable[[AnnData], Any]


def cells() -> AnnData:
    random = np.random.default_rng(0)
    row, column, control = random.integers(0, 4, N), random.integers(1, 7, N), random.random(N) < 0.3
    perturbation = np.where(control, "nontargeting", [f"G{i % 12:02d}" for i in range(N)])
    obs = pd.DataFrame(
        {
            "plate": "1",
            "well": [f"{'ABCD'[r]}{c:02d}" for r, c in zip(row, column, strict=True)],
            "tile": random.integers(0, 9, N).astype(str),
            "batch": pd.Categorical([f"1{'ABCD'[r]}" for r in row]),
            "tile_row": random.integers(0, 3, N),
            "tile_column": random.integers(0, 3, N),
            "field_distance": np.sqrt(random.random(N)),
            "dose": np.maximum(column - 1.0, 0),
            "stage": np.where(random.random(N) < 0.3, "mitotic", "interphase"),
            "perturbation": perturbation,
            "guide": [f"{p}_{i}" for p, i in zip(perturbation, random.integers(0, 2, N), strict=True)],
            "control": control,
        },
        index=[str(i) for i in range(N)],
    )
    return AnnData(obs=obs, obsm={space: random.normal(size=(N, 6)) for space in ("background", "salient")})


@pytest.fixture(scope="module")
def sound() -> dict[str, AnnData]:
    return {"cells": cells(), "profiles": profile(cells())}


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Exit code of a benchmark of some data, and what it said where."""
    (tmp_path / "sets.gmt").write_text("C1\tx\tG00\tG01\tG02\nC2\tx\tG03\tG04\n")

    def call(data: AnnData | Path, name: str, *options: str) -> tuple[int, str]:
        path = data if isinstance(data, Path) else write_anndata(data, tmp_path / "data.h5ad")
        given = {"complexes": (f"annotations={tmp_path / 'sets.gmt'}",), "dose": DOSE}.get(name, ())
        settings = [word for option in (*given, *options) for word in ("--set", option)]
        words = ["contrascope", "benchmark", str(path), name, "--out", str(tmp_path / "out"), "--quiet", *settings]
        monkeypatch.setattr(sys, "argv", words)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        code = int(end.value.code or 0)
        if code:
            assert out == ""
            assert len(err.strip().splitlines()) == 1, err
            assert not (tmp_path / "out").exists()
        else:
            assert err == ""
        return code, out + err

    return call


def table(**columns: Any) -> Spoil:
    def spoil(data: AnnData) -> None:
        data.obsm["salient"] = pd.DataFrame({"f": 1.0} | columns, index=data.obs_names)

    return spoil


def space(change: Callable[[np.ndarray], Any]) -> Spoil:
    def spoil(data: AnnData) -> None:
        data.obsm["salient"] = change(data.obsm["salient"])

    return spoil


def _one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, value, x)


BAD_SPACES: dict[str, tuple[Spoil, str]] = {
    "NaN": (space(_one(np.nan)), r"obsm\['salient'\] is NaN or infinite in 1 of"),
    "infinite": (space(_one(np.inf)), "NaN or infinite in 1 of"),
    "too large": (space(_one(1e200)), "values as large as 1e[+]200, whose squares overflow"),
    "no features": (space(lambda x: x[:, :0]), r"has the shape \(\d+, 0\); rows of features were needed"),
    "images": (space(lambda x: np.zeros((len(x), 2, 2))), r"has the shape \(\d+, 2, 2\)"),
    "texts": (space(lambda x: np.full((len(x), 2), "x")), "A row of real numbers was needed"),
    "complex numbers": (space(lambda x: x * 1j), "holds complex128"),
    "a column of texts": (table(name="a"), "has columns that are no numbers: name"),
    "nothing": (lambda data: data.obsm.clear(), "obsm is empty"),
}


@pytest.mark.parametrize("what", BAD_SPACES)
@pytest.mark.parametrize("name", ["artifacts", "dose", "complexes"])
def test_an_embedding_that_cannot_be_judged_is_refused(
    what: str, name: str, sound: dict[str, AnnData], ask: Ask
) -> None:
    spoil, words = BAD_SPACES[what]
    data = sound["profiles" if name == "complexes" else "cells"].copy()
    spoil(data)
    code, said = ask(data, name)
    assert code == 1
    assert pd.Series([said]).str.contains(words).all(), said


@pytest.mark.parametrize("what", [name for name in BAD_SPACES if name != "nothing"])
def test_profiles_are_not_made_of_it_either(what: str, sound: dict[str, AnnData]) -> None:
    spoil, words = BAD_SPACES[what]
    data = sound["cells"].copy()
    spoil(data)
    with pytest.raises(Exception, match=words) as refused:
        profile(data)
    assert type(refused.value).__name__ == "BenchmarkError"


GOOD_SPACES: dict[str, Spoil] = {
    "sparse": space(sparse.csr_matrix),
    "sparse by column": space(sparse.csc_array),
    "a table": table(g=2),
    "half precision": space(lambda x: x.astype(np.float16)),
    "whole numbers": space(lambda x: np.rint(10 * x).astype(np.int8)),
    "flags": space(lambda x: x > 0),
    "one feature": space(lambda x: x[:, :1]),
}


@pytest.mark.parametrize("what", GOOD_SPACES)
@pytest.mark.parametrize("name", ["artifacts", "complexes"])
def test_an_embedding_of_another_kind_is_taken(what: str, name: str, sound: dict[str, AnnData], ask: Ask) -> None:
    data = sound["profiles" if name == "complexes" else "cells"].copy()
    GOOD_SPACES[what](data)
    assert ask(data, name, "spaces=[salient]")[0] == 0


@pytest.mark.parametrize("name", ["artifacts", "complexes"])
def test_a_constant_embedding_scores_by_chance_and_is_said(name: str, sound: dict[str, AnnData], ask: Ask) -> None:
    data = sound["profiles" if name == "complexes" else "cells"].copy()
    data.obsm["salient"] = np.full(data.obsm["salient"].shape, 3.0)
    code, said = ask(data, name)
    assert code == 0
    assert "salient is the same in all" in said
    data.obsm["salient"] = np.column_stack([data.obsm["salient"], np.arange(data.n_obs)])
    assert "6 of 7 features of salient are the same in all rows" in ask(data, name)[1]


def test_names_that_stand_twice_are_no_matter(sound: dict[str, AnnData], ask: Ask) -> None:
    data = sound["cells"].copy()
    data.obs_names = ["x"] * N
    assert ask(data, "artifacts", "spaces=[salient]")[0] == 0


@pytest.mark.parametrize("flags", [np.array(["True", "False"]), np.array([1, 0]), np.array(["yes", "no"])])
def test_flags_of_controls_that_are_none_are_refused(flags: np.ndarray, sound: dict[str, AnnData], ask: Ask) -> None:
    for kind, name, options in (("cells", "artifacts", ["among=controls"]), ("profiles", "complexes", [])):
        data = sound[kind].copy()
        data.obs["control"] = flags[np.where(data.obs["control"], 0, 1)]
        code, said = ask(data, name, *options)
        assert code == 1
        assert "obs['control'] holds" in said
        assert "true or false was needed for each row" in said


def test_what_needs_perturbation_profiles_takes_no_others(sound: dict[str, AnnData], ask: Ask) -> None:
    code, said = ask(profile(sound["cells"], by="guide"), "complexes")
    assert code == 1
    assert "takes one profile for each perturbation" in said
    assert ask(sound["cells"], "complexes") == ask(profile(sound["cells"]), "complexes")


def test_a_screen_of_one_complex_has_no_unrelated_pair(sound: dict[str, AnnData], ask: Ask) -> None:
    genes = sound["profiles"][["G00", "G01", "G05"]].copy()
    assert "no pair is unrelated" in ask(genes, "complexes")[1]
    assert "do not overlap" in ask(genes[:1].copy(), "complexes")[1]


def test_a_table_without_columns_or_rows_is_refused(sound: dict[str, AnnData], ask: Ask) -> None:
    bare = AnnData(obs=pd.DataFrame(index=sound["cells"].obs_names), obsm=dict(sound["cells"].obsm))
    assert "batch was left out: the cells have no batch" in ask(bare, "artifacts")[1]
    assert "The cells have nothing" in ask(bare, "dose")[1]
    assert "lack obs['perturbation']" in ask(bare, "complexes")[1]
    for name in ("artifacts", "dose", "complexes"):
        assert ask(sound["cells"][:0].copy(), name)[0] == 1


def test_no_controls_in_a_batch_leaves_that_batch_out(sound: dict[str, AnnData], ask: Ask) -> None:
    data = sound["cells"].copy()
    here = (data.obs["batch"] == "1A").to_numpy()
    data.obs["guide"] = data.obs["guide"].astype(str).where(~here, data.obs["guide"].astype(str) + " of 1A")
    data.obs["control"] &= ~here
    assert ask(data, "artifacts", "among=controls", "spaces=[salient]")[0] == 0
    data.obs["control"] = False
    assert "No artefact can be judged on these 0 cells" in ask(data, "artifacts", "among=controls")[1]


def test_levels_that_no_cell_has_are_no_classes(sound: dict[str, AnnData], ask: Ask) -> None:
    data = sound["cells"].copy()
    plain = ask(data, "artifacts", "spaces=[salient]")
    data.obs["batch"] = data.obs["batch"].cat.add_categories(["1E"])
    assert ask(data, "artifacts", "spaces=[salient]") == plain


def test_places_that_are_no_numbers_leave_their_target_out(sound: dict[str, AnnData], ask: Ask) -> None:
    data = sound["cells"].copy()
    data.obs["field_distance"], data.obs["tile_row"] = "far", "first"
    said = ask(data, "artifacts", "spaces=[salient]")[1]
    assert "field was left out: field_distance holds no numbers, but 'far'" in said
    assert "well was left out: tile_row holds no numbers, but 'first'" in said


def test_a_column_named_as_a_target_is_told_from_it(sound: dict[str, AnnData], ask: Ask) -> None:
    data = sound["cells"].copy()
    code, said = ask(data, "artifacts", "columns=[batch, well, stage]", "spaces=[salient]")
    assert code == 0
    assert "well column AUROC" in said
    assert said.count("batch AUROC by tile") == 1


def test_a_dose_that_is_no_number_is_refused(sound: dict[str, AnnData], ask: Ask) -> None:
    code, said = ask(sound["cells"], "dose", "dose=stage")
    assert code == 1
    assert "No cell of test has a number in 'stage', which holds 'mitotic', 'interphase'" in said
    data = sound["cells"].copy()
    wells = data.obs["well"].astype(object)
    wells.iloc[:5] = None
    data.obs["well"] = pd.Categorical(wells)
    assert ask(data, "dose")[0] == 0


@pytest.mark.parametrize(
    ("name", "option", "words"),
    [
        ("artifacts", "seed=abc", "cannot take seed='abc': a whole number was needed"),
        ("artifacts", "seed=1.5", "a whole number was needed"),
        ("artifacts", "seed=null", "a whole number was needed"),
        ("artifacts", "seed=-1", "A seed is 0 or more"),
        ("artifacts", "max_cells='5'", "a whole number was needed"),
        ("artifacts", "max_cells=0", "both must be 1 or more"),
        ("artifacts", "neighbours=[1]", "a whole number was needed"),
        ("artifacts", "columns=3", "text or a list was needed"),
        ("artifacts", "columns={a: b}", "text or a list was needed"),
        ("artifacts", "columns=nowhere", "asked for nowhere"),
        ("artifacts", "among=some", "'all' or 'controls' was needed"),
        ("artifacts", "spaces=3", "a list was needed"),
        ("artifacts", "spaces=[]", "spaces names no space"),
        ("artifacts", "spaces=nowhere", "There is no space 'nowhere'"),
        ("artifacts", "well_position=[tile_row, tile_column, dose]", "well_position names 3 columns"),
        ("complexes", "annotations=3", "a path or text or KEY: VALUE pairs was needed"),
        ("complexes", "groups=abc", "KEY: VALUE pairs was needed"),
        ("complexes", "groups={C1: [a]}", "text was needed"),
        ("dose", "negative=3", "KEY: VALUE pairs was needed"),
        ("dose", "fit=null", "KEY: VALUE pairs was needed"),
        ("dose", "dose=[dose]", "text was needed"),
    ],
)
def test_an_option_of_a_wrong_kind_is_refused(
    name: str, option: str, words: str, sound: dict[str, AnnData], ask: Ask
) -> None:
    code, said = ask(sound["profiles" if name == "complexes" else "cells"], name, option)
    assert code == 1
    assert words in said


def test_what_is_no_anndata_is_refused(tmp_path: Path, ask: Ask, sound: dict[str, AnnData]) -> None:
    (tmp_path / "text.h5ad").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.zarr").mkdir()
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["x"] = 1
    whole = write_anndata(sound["cells"], tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    for name in ("text.h5ad", "empty.zarr", "other.h5ad", "cut.h5ad"):
        code, said = ask(tmp_path / name, "artifacts")
        assert code == 1
        assert "cannot be read as AnnData" in said
    assert "folder is a folder" in ask(tmp_path / "folder", "artifacts")[1]
    assert "There is no" in ask(tmp_path / "nowhere.h5ad", "artifacts")[1]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hits", ()),
        ("artifacts", ()),
        ("stages", ()),
        ("novelty", ()),
        ("dose", ()),
        ("mitosis", ("genes=[G00]",)),
        ("explained", ("annotations={path}/sets.gmt",)),
        ("complexes", ()),
        ("functions", ("annotations={path}/sets.gmt",)),
    ],
)
def test_a_guide_of_two_perturbations_is_refused_by_all_in_the_same_words(
    name: str, options: tuple[str, ...], tmp_path: Path, sound: dict[str, AnnData], ask: Ask
) -> None:
    spoilt = sound["cells"].copy()
    spoilt.obs.loc[spoilt.obs["guide"] == "G00_0", "guide"] = "G01_0"
    code, said = ask(spoilt, name, *(option.replace("{path}", str(tmp_path)) for option in options))
    assert code == 1
    assert "1 guides have more than one perturbation: G01_0. A guide belongs to one perturbation" in said
