"""A benchmark that takes cells is not given profiles, which would answer it without a complaint."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from contrascope.benchmarks import benchmark
from contrascope.benchmarks.rows import taken_by
from contrascope.errors import BenchmarkError
from contrascope.profiles import profile
from contrascope.registry import BENCHMARKS


@pytest.fixture(scope="module")
def cells() -> AnnData:
    n = 240
    gene = np.array(["nt", "A", "B", "C"])[np.arange(n) % 4]
    guide = [f"{name}_{i // 4 % 3}" for i, name in enumerate(gene)]
    obs = pd.DataFrame(
        {"perturbation": gene, "guide": guide, "control": gene == "nt"}, index=[f"c{i}" for i in range(n)]
    )
    return AnnData(obs=obs, obsm={"salient": np.random.default_rng(0).normal(size=(n, 3))})


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if taken_by(name) == "cells"])
@pytest.mark.parametrize(("by", "words"), [("guide", "profiles of guides"), ("perturbation", "profiles of pert")])
def test_profiles_are_not_taken_for_cells(cells: AnnData, name: str, by: str, words: str) -> None:
    needed = {
        "dose": {"dose": "dose", "negative": {}, "positive": {}, "fit": {}, "test": {}},
        "mitosis": {"genes": ["A"]},
    }.get(name, {})
    with pytest.raises(BenchmarkError, match=rf"{name} takes cells, .* are {words}.*Give it the embedded cells"):
        benchmark(profile(cells, by=by), name, **needed)  # type: ignore[arg-type]


def test_a_perturbation_is_not_taken_for_a_guide_of_itself(cells: AnnData) -> None:
    with pytest.raises(BenchmarkError, match=r"functions takes profiles of guides.*of perturbations.*--by guide"):
        benchmark(profile(cells), "functions", annotations={"one": ["A", "B"], "two": ["C"]})
