"""The maps' table holds the cells of the map and what is known of them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from PIL import Image

from contrascope.profiles.maps import mapped_rows
from contrascope.report.maps import Maps, mapped_cells
from contrascope.report.report import Picture
from contrascope.report.sheets import read_sheets, write_index

N = 50


@pytest.fixture
def cells() -> AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "cell_id": [f"c{k}" for k in range(N)],
            "perturbation": pd.Categorical([["<b>", "nt"][k % 2] for k in range(N)]),
            "control": np.arange(N) % 2 == 1,
            "area": rng.random(N),
        },
        index=[f"c{k}" for k in range(N)],
    )
    return AnnData(obs=obs, obsm={"background": rng.random((N, 4)), "salient": rng.random((N, 3))})


@pytest.fixture
def drawn(cells) -> pd.DataFrame:
    """20 cells as ``umap_maps`` gives them."""
    rows = mapped_rows(N, 20)
    table = pd.DataFrame({"cell_id": cells.obs_names[rows]})
    return table.assign(**{f"{space} {axis}": rows * axis for space in cells.obsm for axis in (1, 2)})


def test_every_point_is_the_cell_it_says(cells, drawn) -> None:
    table = mapped_cells(drawn, cells, ["background", "salient"])
    assert table["cell_id"].tolist() == [f"c{row}" for row in table["row"]] == drawn["cell_id"].tolist()
    assert table["area"].tolist() == cells.obs["area"].to_numpy()[table["row"]].tolist()
    length = np.sqrt((cells.obsm["salient"][table["row"]] ** 2).sum(1))
    np.testing.assert_allclose(table["salient norm"], length)


def test_the_rows_that_are_mapped_are_all_or_a_random_choice() -> None:
    assert mapped_rows(7, 10).tolist() == list(range(7))
    rows = mapped_rows(1000, 100)
    assert len(set(rows)) == 100 and rows.tolist() == sorted(rows) and rows.max() > 900


@pytest.fixture
def html(cells, drawn, tmp_path) -> str:
    Image.new("RGB", (20, 10)).save(tmp_path / "still.png")
    write_index(tmp_path, np.array([], int), width=8, height=8)
    return Maps(
        mapped_cells(drawn, cells, ["background"]),
        ["background"],
        stored=N,
        sheets=read_sheets(tmp_path),
        stills=[Picture(tmp_path / "still.png", "Still <life>")],
        standing=["<b>"],
    ).html()


def test_the_figures_are_there_without_scripts(html) -> None:
    assert "<figcaption>Still &lt;life&gt;</figcaption>" in html and 'src="data:image/webp;base64,' in html


def test_names_are_escaped_everywhere(html) -> None:
    assert '<option value="&lt;b&gt;">' in html and "<b>" not in html


def test_a_model_of_one_space_has_one_map(html) -> None:
    assert html.count('class="maps-view"') == 1


def test_columns_are_offered_as_labels_and_as_numbers(html) -> None:
    groups = [re.findall('<option value="([^"]+)"', part) for part in html.split("<optgroup")[1:]]
    assert groups[0] == ["perturbation", "control"]
    assert groups[1][:2] == ["area", "salient norm"]


def test_what_the_page_shows_is_said(html) -> None:
    assert "A point is a cell: 20 of 50, chosen at random." in html
    assert "Pictures of 0 of 20 cells are in this page; contrascope view shows all." in html
