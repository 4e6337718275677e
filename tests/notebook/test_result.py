"""A result in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData

from contrascope.benchmarks import Result, benchmark
from contrascope.benchmarks.result import tidy

Pictures = Callable[[str], list[str]]


def answered(spaces: int = 2) -> Result:
    random, names = np.random.default_rng(0), [f"<i>{i}" for i in range(24)]
    obs = pd.DataFrame({"perturbation": names}, index=names)
    data = AnnData(obs=obs, obsm={f"space {k}": random.normal(size=(24, 3)) for k in range(spaces)})
    return benchmark(data, "complexes", annotations={f"C{k}": names[4 * k : 4 * k + 4] for k in range(6)})


def test_a_result_shows_its_headline_a_column_a_space_its_figure_and_its_notes(pictures_in: Pictures) -> None:
    result = answered()
    html = result._repr_html_()
    assert len(pictures_in(html)) == 1
    value = result.headline.query("metric == 'average precision' and space == 'space 1'")["value"].item()
    assert f"{value:.3f}" in html
    assert "space 1" in html
    assert all(note.split(";")[0] in html for note in result.notes)


def test_much_is_cut_short_and_says_so(pictures_in: Pictures) -> None:
    result = replace(answered(spaces=14), notes=tuple("<b>" * 400 for _ in range(50)))
    html = result._repr_html_()
    pictures_in(html)
    assert "And 0 rows and 4 columns more" in html
    assert "and 30 more in result.notes" in html


def test_a_result_that_cannot_be_drawn_shows_the_rest(pictures_in: Pictures) -> None:
    table = tidy([{"space": "mine", "metric": "score", "value": 1.0, "chance": 0.5, "n": 3}])
    assert "score" in Result("outside", table, table)._repr_html_()
    broken = Result("complexes", table, table)._repr_html_()
    assert pictures_in(broken) == []
    assert "The figure cannot be shown: FigureError" in broken
