"""The paper's panels, drawn of whatever has what they need."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.figure import Figure

from contrascope.benchmarks.suite import Judged, ask_all
from contrascope.figures.paper import PANELS, Material, draw_paper
from contrascope.profiles.beside import beside

FUNCTIONS = {f"F{k}": [f"G{3 * k + i}" for i in range(3)] for k in range(4)}


def cells(seed: int = 0, spaces: tuple[str, ...] = ("background", "salient")) -> AnnData:
    """Cells of 12 genes in 4 functions; the embedding knows the gene's function."""
    random = np.random.default_rng(0)
    n = 3000
    gene = np.arange(n) % 15
    perturbation = np.where(gene >= 12, "nontargeting", [f"G{g}" for g in gene])
    obs = pd.DataFrame(
        {
            "perturbation": perturbation,
            "guide": [f"{p}_{i}" for p, i in zip(perturbation, random.integers(0, 3, n), strict=True)],
            "control": gene >= 12,
            "batch": np.where(random.random(n) < 0.5, "b0", "b1"),
            "field_distance": np.sqrt(random.random(n)),
            "tile_row": random.integers(0, 5, n),
            "tile_column": random.integers(0, 5, n),
        },
        index=[f"c{i}" for i in range(n)],
    )
    knows = 2 * np.eye(6)[np.minimum(gene // 3, 4)]
    random = np.random.default_rng(seed)
    return AnnData(obs=obs, obsm={space: random.normal(size=(n, 6)) + knows for space in spaces})


@pytest.fixture(scope="module")
def everything() -> Material:
    others = {name: cells(seed) for seed, name in enumerate(("cvae", "cvae-s", "cvae-z"), start=1)}
    others |= {"vae": cells(4, ("background",)), "CellProfiler": cells(5, ("features",))}
    data, _ = beside(cells(), others)
    judged = Judged(data)
    options = {name: {"annotations": FUNCTIONS} for name in ("complexes", "functions", "explained")}
    options["functions"] |= {"permutations": 1}
    spaces = ["background", "salient", "combined", *(space for space in data.obsm if space[0] in "cvC")]
    results, _ = ask_all(judged, options=options | {"hits": {"permutations": 19}}, spaces=spaces)
    return Material(data, judged.profiles, judged.guides, results, "mcvae", list(others), FUNCTIONS)


def test_every_panel_is_drawn_where_there_is_all_it_needs(everything: Material) -> None:
    drawn, lacking = draw_paper(everything)
    assert lacking == {}
    assert list(drawn) == list(PANELS)
    assert all(isinstance(figure, Figure) for figure in drawn.values())
    for name, wanted in {
        "2A": {"mcvae", "cvae", "vae", "CellProfiler"},
        "2B": {"background", "salient", "combined"},
        "2C": {"mcvae", "cvae", "cvae-s", "cvae-z"},
    }.items():
        shown = {text.get_text() for text in drawn[name].legends[0].get_texts()}
        assert shown == wanted | {"chance"}, name


def test_a_panel_that_lacks_something_says_what(everything: Material) -> None:
    alone = cells()
    del alone.obs["tile_row"]
    drawn, lacking = draw_paper(Material(alone, Judged(alone).profiles, Judged(alone).guides, {}, "mcvae"))
    assert list(drawn) == ["3A batch", "3A field"]
    assert lacking["2A"] == "Panel 2A lacks the benchmark complexes."
    assert lacking["2B"] == "Panel 2B lacks the benchmark complexes."
    assert lacking["2C"] == "Panel 2C lacks the benchmark complexes."
    assert "Panel 3A well lacks cells at either place in the well: the cells have no tile_row" in lacking["3A well"]
    assert lacking["4A"] == "Panel 4A lacks functions of genes."
    own = {name: result for name, result in everything.results.items() if name == "complexes"}
    one = Material(everything.cells, everything.profiles, everything.guides, own, "mcvae", ["cvae"])
    assert draw_paper(one)[1]["2C"] == "Panel 2C lacks the models cvae-s, cvae-z beside mcvae."


def test_a_model_of_one_space_has_the_panels_of_one_space() -> None:
    data = cells(spaces=("background",))
    drawn, lacking = draw_paper(
        Material(data, Judged(data).profiles, Judged(data).guides, {}, "vae", functions=FUNCTIONS)
    )
    assert drawn == {}
    assert lacking["3A batch"] == lacking["4A"].replace("4A", "3A batch") == "Panel 3A batch lacks a salient space."
