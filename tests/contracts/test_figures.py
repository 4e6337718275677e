"""What every figure keeps: a Figure of its own, an untouched world and input, equal pictures of equal data."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot
from matplotlib.figure import Figure

from contrascope import figures
from contrascope.benchmarks import benchmark
from contrascope.benchmarks.result import read_result
from contrascope.errors import BenchmarkError, FigureError
from contrascope.profiles import profile

GENES = [*(f"G{g:02d}" for g in range(10)), "NA", "1"]
SETS = {f"{k}": GENES[3 * k : 3 * k + 3] for k in range(4)}
DRAWN_OF = {
    "precision_recall": "complexes",
    "sweep": "complexes",
    "artifact_bars": "artifacts",
    "dose_response": "dose",
    "gene_functions": "functions",
    "confusion_matrices": "functions",
    "recall_differences": "functions",
    "stage_bars": "stages",
    "mitosis_curves": "mitosis",
    "explained_curves": "explained",
    "top_features": "explained",
    "novelty_map": "novelty",
    "ranked_hits": "hits",
}
"""Figure -> the benchmark of whose table it is drawn."""
TWO_SPACES = {"recall_differences"}
NAMES = [name for name in figures.__all__ if name not in ("Shown", "same_colours")]


@cache
def cells() -> AnnData:
    """Few cells of genes whose names look like nothing, or like a number."""
    random, n = np.random.default_rng(0), 780
    gene = np.arange(n) % 15
    perturbation = np.where(gene >= len(GENES), "nontargeting", np.array([*GENES, "", "", ""])[gene])
    columns = random.integers(1, 7, n)
    obs = pd.DataFrame(
        {
            "plate": "1",
            "well": [f"A{c:02d}" for c in columns],
            "batch": pd.Categorical([f"b{i % 2}" for i in range(n)]),
            "stage": np.where(random.random(n) < 0.4, "1", "2"),
            "dose": columns.astype(float),
            "perturbation": perturbation,
            "guide": [f"{p}_{i}" for p, i in zip(perturbation, random.integers(0, 3, n), strict=True)],
            "control": gene >= len(GENES),
            "field_distance": np.sqrt(random.random(n)),
        },
        index=[str(i) for i in range(n)],
    )
    spaces = {space: random.normal(size=(n, 4)) for space in ("background", "salient")}
    spaces["background"][:, 0] += columns  # something for the dose to be read from
    return AnnData(obs=obs, obsm=spaces)


@cache
def result(name: str) -> Any:
    """The answer of a benchmark, from few cells."""
    asked: dict[str, dict[str, Any]] = {
        "complexes": {"annotations": SETS, "groups": {"0": "1", "1": "1", "2": "2", "3": "2"}},
        "dose": {
            "dose": "dose",
            "negative": {"column": [1]},
            "positive": {"column": [6]},
            "fit": {"batch": ["b0"]},
            "test": {"batch": ["b1"]},
        },
        "functions": {"annotations": SETS, "permutations": 3},
        "mitosis": {"genes": ["NA", "1", "G00"], "mitotic": "1"},
        "explained": {"annotations": SETS},
        "novelty": {"annotations": SETS, "draws": 50},
        "hits": {"permutations": 99},
    }
    data = {"complexes": lambda: profile(cells()), "functions": lambda: profile(cells(), by="guide")}
    return benchmark(data.get(name, cells)(), name, **asked.get(name, {}))


def drawn_of(name: str) -> tuple[Any, dict[str, Any]]:
    """What a figure is drawn of, and its options; a new figure needs a line here, in DRAWN_OF or below."""
    if name in DRAWN_OF:
        return result(DRAWN_OF[name]).table, {"title": "complexes"} if name == "sweep" else {}
    random = np.random.default_rng(0)
    images = random.random((3, 2, 8, 8))
    places = pd.DataFrame({"plate": "P1", "well": ["A01", "A02", "B01"], "stored": [3, 4, 5], "no tile": [1, 0, 2]})
    reasons = pd.DataFrame({"reason": ["no tile", "at the edge"], "cells": [3, 2], "share": [0.2, 0.1]})
    metrics = pd.DataFrame({"step": [0, 1, 0], "name": ["train/loss", "train/loss", "beta"], "value": [3.0, 2.0, 1.0]})
    given: dict[str, tuple[Any, dict[str, Any]]] = {
        "cells_by_channel": (images, {"channels": ["a", "b"]}),
        "composites": (images, {"labels": ["x", "y", "x"], "channels": ["a", "b"]}),
        "pairs": (images, {"reconstruction": images / 2, "channels": ["a", "b"]}),
        "counterfactuals": (images, {"without": images / 2, "channels": ["a", "b"]}),
        "umap": (random.normal(size=(3, 2)), {"values": ["a", "b", "a"], "label": "gene"}),
        "function_map": (profile(cells(), by="guide"), {"annotations": SETS}),
        "training_curves": (metrics, {}),
        "plate_maps": (places, {"shown": {"cells": figures.Shown(np.array([1.0, np.nan, 3.0]), "cells")}}),
        "channel_shifts": ({"GFP": random.normal(size=(3, 2))}, {}),
        "cells_by_well": (places, {"reasons": ["no tile"]}),
        "drops_by_reason": (reasons, {}),
    }
    return given[name]


def first_row(name: str) -> tuple[Any, dict[str, Any]]:
    """The same of one row, cell, well or channel."""
    data, options = drawn_of(name)
    cut = {key: value[:1] for key, value in options.items() if key in ("labels", "reconstruction", "without", "values")}
    if name == "plate_maps":
        cut = {"shown": {"cells": figures.Shown(np.array([1.0]), "cells")}}
    return data if isinstance(data, dict) else data[:1], options | cut


def draw(name: str, data: Any, options: dict[str, Any]) -> Figure:
    function: Callable[..., Figure] = getattr(figures, name)
    return function(data, **options)


def png(figure: Figure) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def same(one: Any, other: Any) -> bool:
    """Whether two inputs hold the same."""
    if isinstance(one, pd.DataFrame):
        return one.equals(other)
    if isinstance(one, AnnData):
        return one.obs.equals(other.obs) and all(np.array_equal(one.obsm[key], other.obsm[key]) for key in one.obsm)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, figures.Shown):
        return same(one.values, other.values)
    return np.array_equal(one, other, equal_nan=getattr(one, "dtype", np.dtype("U")).kind == "f")


def test_every_function_that_makes_a_figure_is_to_be_had_by_name() -> None:
    files = [path for path in Path(inspect.getfile(figures)).parent.glob("*.py") if path.stem not in ("style", "paper")]
    made = {
        node.name
        for path in files
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and ast.unparse(node.returns) == "Figure"  # type: ignore[arg-type]
    }
    assert made == set(NAMES)
    assert set(figures.__all__) <= set(dir(figures))
    assert not {path.stem for path in files} & set(NAMES)
    described = {line.split("|")[1].strip() for line in str(figures.__doc__).splitlines() if line.startswith("|")}
    assert described == set(NAMES) | {"function", "---"}
    with pytest.raises(AttributeError, match="no attribute 'pie'"):
        getattr(figures, "pie")  # noqa: B009


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_leaves_the_world_and_its_input_alone_and_is_the_same_each_time(name: str) -> None:
    data, options = drawn_of(name)
    given, settings, open_ = deepcopy((data, options)), dict(matplotlib.rcParams), pyplot.get_fignums()
    figure = draw(name, data, options)
    assert isinstance(figure, Figure)
    assert dict(matplotlib.rcParams) == settings
    assert pyplot.get_fignums() == open_
    first = png(figure)
    assert same(data, given[0])
    assert same(options, given[1])
    assert png(draw(name, *given)) == first


@pytest.mark.parametrize("name", NAMES)
def test_one_row_makes_a_figure_or_one_clear_refusal_and_none_makes_the_refusal(name: str) -> None:
    data, options = first_row(name)
    if name in (*DRAWN_OF, "function_map"):
        try:
            assert png(draw(name, data, options))
        except (FigureError, BenchmarkError) as refusal:
            assert len(str(refusal)) > 40
    else:
        assert png(draw(name, data, options))
    nothing = {} if isinstance(data, dict) else data[:0]
    with pytest.raises(FigureError, match=f"{name} was given nothing to draw"):
        draw(name, nothing, options)


@pytest.mark.parametrize("name", DRAWN_OF)
def test_one_space_is_enough_unless_two_are_compared(name: str) -> None:
    data, options = drawn_of(name)
    for space in ("background", "salient"):
        alone = data[data["space"] == space]
        if name in TWO_SPACES:
            with pytest.raises(FigureError, match="has no"):
                draw(name, alone, options)
        else:
            assert png(draw(name, alone, options))


@pytest.mark.parametrize("name", DRAWN_OF)
def test_a_part_of_a_table_or_another_table_makes_a_figure_or_one_clear_refusal(name: str) -> None:
    data, options = drawn_of(name)
    other = pd.DataFrame({"space": ["a"], "metric": ["R9"], "value": [1.0], "chance": [0.5], "n": [2]})
    with pytest.raises(FigureError, match="has the metrics R9"):
        draw(name, other, options)
    for metric in data["metric"].unique():
        try:
            draw(name, data[data["metric"] == metric], options)
        except FigureError as refusal:
            assert "Give the whole table" in str(refusal)


@pytest.mark.parametrize("name", sorted(set(DRAWN_OF.values())))
def test_a_result_that_was_saved_is_drawn_as_it_was(name: str, tmp_path: Path) -> None:
    before = result(name)
    before.save(tmp_path)
    again = read_result(tmp_path / f"{name}.csv")
    pd.testing.assert_frame_equal(again.headline, before.headline, check_exact=True)
    assert png(again.plot()) == png(before.plot())
