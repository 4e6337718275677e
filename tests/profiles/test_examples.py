"""Typical cells lie near the mean, marked ones along the effect; outliers are not shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.errors import BenchmarkError
from contrascope.profiles import blocks
from contrascope.profiles.examples import _Seen, examples
from contrascope.tables import write_anndata


def screen(*, salient: bool = True) -> AnnData:
    """400 controls and two perturbations of 100 cells: 'strong' moves half of its cells, 'inert' none."""
    random = np.random.default_rng(0)
    names = np.repeat(["control", "strong", "inert"], [400, 100, 100])
    background, moved = random.normal(size=(600, 8)), random.normal(size=(600, 4))
    moved[400:450, 0] += 12
    background[410] += 40  # an outlier
    order = random.permutation(600)
    obs = pd.DataFrame({"guide": names, "perturbation": names, "control": names == "control", "batch": "b"})
    obs.index = [f"c{i}" for i in range(600)]
    cells = AnnData(obs=obs, obsm={"background": background} | ({"salient": moved} if salient else {}))
    return cells[order].copy()


def test_typical_cells_are_those_that_a_loop_finds() -> None:
    cells = screen()
    table = examples(cells, typical=3, marked=0)
    for name in ("strong", "inert"):
        rows = np.flatnonzero(cells.obs["perturbation"] == name)
        x, z = cells.obsm["salient"][rows], cells.obsm["background"][rows]
        control = cells.obs["control"].to_numpy()
        off = np.linalg.norm((z - z.mean(0)) / cells.obsm["background"][control].std(0), axis=1)
        near = np.linalg.norm(x - x.mean(0), axis=1)
        inside = [i for i in range(len(rows)) if off[i] <= np.quantile(off, 0.9)]
        expected = [int(rows[i]) for i in sorted(inside, key=lambda i: near[i])[:3]]
        assert table[table["perturbation"] == name]["row"].tolist() == expected


@pytest.mark.parametrize("shift", [0.1, 1e7])
def test_spread_loses_no_digits_far_from_0_and_is_1_where_controls_do_not_vary(shift: float) -> None:
    cells = screen()
    cells.obsm["background"] = cells.obsm["background"] + shift
    cells.obsm["background"][:, 0] = shift
    numbers = np.unique(np.where(cells.obs["control"], "", cells.obs["perturbation"]), return_inverse=True)[1]
    with blocks.opened(cells) as found:
        spread = _Seen.of(found, numbers, 2).spread["background"]
    controls = cells.obsm["background"][cells.obs["control"].to_numpy()]
    assert spread[0] == 1
    np.testing.assert_allclose(spread[1:], controls[:, 1:].std(axis=0), rtol=1e-6)


def test_marked_cells_are_of_those_that_answer() -> None:
    cells = screen()
    marked = examples(cells).query("kind == 'marked'")
    assert set(marked["perturbation"]) == {"strong"} and len(marked) == 6
    assert marked["place"].tolist() == list(range(6))
    assert (cells.obsm["salient"][marked["row"], 0] > 8).all()


def test_what_does_nothing_has_more_typical_cells_in_place_of_marked_ones() -> None:
    inert = examples(screen()).query("perturbation == 'inert'")
    assert inert["kind"].tolist() == ["typical"] * 8 and inert["place"].tolist() == list(range(8))


def test_cells_at_random_are_of_the_perturbation_and_answer_as_often_as_all_of_it() -> None:
    cells = screen()
    table = examples(cells, marked=48)
    assert (cells.obs["perturbation"].to_numpy()[table["random"]] == table["perturbation"]).all()
    assert table["random"].is_unique
    strong = table[table["perturbation"] == "strong"]["random"]
    assert 0.3 < (cells.obsm["salient"][strong, 0] > 8).mean() < 0.7


def test_outliers_are_not_shown() -> None:
    cells = screen()
    shown = examples(cells, typical=20, marked=60)["row"]
    assert np.linalg.norm(cells.obsm["background"][shown], axis=1).max() < 10


def test_no_cell_is_shown_twice() -> None:
    assert examples(screen(), typical=30, marked=30)["row"].is_unique


def test_all_controls_are_controls() -> None:
    cells = screen()
    table = examples(cells)
    control = cells.obs["control"].to_numpy()
    assert control[table["control"]].all() and control[table["other"]].all() and not control[table["row"]].any()


def test_a_file_read_block_by_block_gives_what_memory_gives(tmp_path, monkeypatch) -> None:
    cells = screen()
    path = write_anndata(cells, tmp_path / "cells.h5ad")
    expected = examples(cells)
    monkeypatch.setattr(blocks, "ROWS_AT_ONCE", 37)
    pd.testing.assert_frame_equal(examples(path), expected)


def test_a_model_without_salient_space_has_examples_in_the_background() -> None:
    table = examples(screen(salient=False))
    assert table["perturbation"].value_counts().to_dict() == {"strong": 8, "inert": 8}


def test_a_perturbation_shows_no_more_cells_than_it_has() -> None:
    cells = screen()
    few = cells[(cells.obs["perturbation"] != "strong") | (np.arange(600) < 30)]
    count = int((few.obs["perturbation"] == "strong").sum())
    assert count < 20
    assert len(examples(few, typical=30).query("perturbation == 'strong'")) <= count


def test_without_controls_nothing_can_be_matched() -> None:
    cells = screen()
    with pytest.raises(BenchmarkError, match="0 of 200 cells are controls"):
        examples(cells[~cells.obs["control"]].copy())
