"""The examples of docs/extending: shown as they are, found through entry points, held by the contracts of our parts."""

from __future__ import annotations

import importlib.util
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from contrascope.benchmarks import benchmark
from contrascope.benchmarks.result import FIGURES
from contrascope.profiles import profile
from contrascope.registry import ARCHITECTURES, BENCHMARKS, MODELS, READERS, Registry

ROOT = Path(__file__).parents[2]
EXAMPLES, PAGES = ROOT / "examples" / "extending", ROOT / "docs" / "extending"
REGISTRIES = (MODELS, ARCHITECTURES, READERS, BENCHMARKS, FIGURES)
FOR_THE_TESTS = re.compile(
    r"<!-- not run: needs the package;[^\n]*-->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def loaded(path: Path) -> ModuleType:
    """A file as a module, whatever folder it lies in."""
    spec = importlib.util.spec_from_file_location(f"shown_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONTRACTS = {
    kind: loaded(ROOT / "tests" / "contracts" / f"test_{kind}.py")
    for kind in ("models", "architectures", "readers", "benchmarks")
}


def _forget(registry: Registry) -> None:
    """Have a registry look for entry points again."""
    vars(registry).pop("_parts", None)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package of the examples, as pip would leave it; afterwards it was never there."""
    place = tmp_path_factory.mktemp("site")
    project = tomllib.loads((EXAMPLES / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = place / "contrascope_extras-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in parts.items()) for group, parts in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        patch.syspath_prepend(EXAMPLES)
        for registry in REGISTRIES:
            _forget(registry)
        yield
    for registry in REGISTRIES:
        _forget(registry)


def checks(kind: str) -> list[Any]:
    """Every test of a contract, with every set of values that it is asked with."""
    functions = inspect.getmembers(
        CONTRACTS[kind], lambda part: inspect.isfunction(part) and part.__name__.startswith("test_")
    )
    return [
        pytest.param(function, values, id=f"{name}-{number}")
        for name, function in functions
        for number, values in enumerate(_values(function))
    ]


def _values(function: Callable[..., None]) -> list[dict[str, Any]]:
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    each = []
    for mark in marks:
        names, rows = mark.args
        names = [names] if isinstance(names, str) else names
        each.append([dict(zip(names, row if len(names) > 1 else [row], strict=True)) for row in rows])
    return [{name: value for part in parts for name, value in part.items()} for parts in product(*each)]


def keep(function: Callable[..., None], values: dict[str, Any], **fixtures: Any) -> None:
    """Call a test of a contract with those of the fixtures that it asks for."""
    wanted = inspect.signature(function).parameters
    function(**values, **{name: value for name, value in fixtures.items() if name in wanted})


@pytest.mark.parametrize(("check", "values"), checks("models"))
def test_the_model_keeps_the_contract(check: Callable[..., None], values: dict[str, Any], tmp_path: Path) -> None:
    keep(check, values, member=("programmes", "conv5"), tmp_path=tmp_path)


@pytest.mark.parametrize(("check", "values"), checks("architectures"))
def test_the_architecture_keeps_the_contract(check: Callable[..., None], values: dict[str, Any]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        keep(check, values, architecture=ARCHITECTURES["conv3"])


def _write_npy(folder: Path, tiles: dict[Any, np.ndarray]) -> str:
    for (plate, well, tile), pixels in tiles.items():
        np.save(folder / f"{plate}_{well}_{tile}.npy", pixels)
    return str(folder / "{plate}_{well}_{tile}.npy")


@pytest.mark.parametrize(("check", "values"), checks("readers"))
def test_the_reader_keeps_the_contract(
    check: Callable[..., None], values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACTS["readers"].WRITERS, "npy", _write_npy)
    keep(check, values, name="npy", tmp_path=tmp_path)


@pytest.mark.parametrize(("check", "values"), checks("benchmarks"))
def test_the_benchmark_keeps_the_contract(
    check: Callable[..., None], values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = CONTRACTS["benchmarks"]

    def question(name: str) -> tuple[Any, dict[str, Any]]:
        return profile(contract.random_cells(), by="guide"), {}

    monkeypatch.setattr(contract, "question", question)
    monkeypatch.setitem(contract.TOLERANCE, "sisters", 0.05)
    data, options = question("sisters")
    keep(check, values, answered=("sisters", data, options, benchmark(data, "sisters")))


@pytest.mark.parametrize("page", ["model", "architecture", "reader", "benchmark"])
def test_a_page_shows_the_file_that_is_tested_and_its_use_works(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    assert loaded(ROOT / "docs" / "sources.py").with_sources(text) == text
    monkeypatch.chdir(tmp_path)
    (use,) = FOR_THE_TESTS.findall(text)
    exec(compile(use, f"{page}.md", "exec"), {})


def test_the_benchmark_finds_sisters_where_there_are_some() -> None:
    cells = CONTRACTS["benchmarks"].random_cells()
    genes = cells.obs["perturbation"].astype("category").cat.codes.to_numpy()
    cells.obsm["salient"] = np.random.default_rng(3).normal(size=(genes.max() + 1, 64))[genes]
    headline = benchmark(profile(cells, by="guide"), "sisters", spaces=["salient", "untrained"]).headline
    found = headline.set_index("space")
    assert found.loc["salient", "value"] == 1
    assert found["chance"].to_numpy() == pytest.approx(1 / 119)  # one sister among 119 other guides
    assert found.loc["untrained", "value"] < 0.1
