"""contrascope: what a perturbation does to cells in microscope images, apart from what cells do anyway.

Names are loaded when they are first used: importing the package is quick and loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from contrascope.compiled import keep_compiled

if TYPE_CHECKING:
    from contrascope.benchmarks import Result as Result
    from contrascope.benchmarks import benchmark as benchmark
    from contrascope.benchmarks.result import read_result as read_result
    from contrascope.embedding import embed as embed
    from contrascope.errors import ContrascopeError as ContrascopeError
    from contrascope.features.parts import measure_cells as measure_cells
    from contrascope.features.reduce import reduce_features as reduce_features
    from contrascope.features.tables import match_features as match_features
    from contrascope.pipeline import run_screen as run_screen
    from contrascope.profiles import profile as profile
    from contrascope.screen.find_cells import find_cells as find_cells
    from contrascope.screen.screen import Screen as Screen
    from contrascope.screen.screen import open_screen as open_screen
    from contrascope.screen.synthetic import synthetic_screen as synthetic_screen
    from contrascope.store.arrays import store_from_arrays as store_from_arrays
    from contrascope.store.crops import extract_crops as extract_crops
    from contrascope.store.importers import import_crops as import_crops
    from contrascope.store.store import CropStore as CropStore
    from contrascope.store.store import open_store as open_store
    from contrascope.tables import read_anndata as read_anndata
    from contrascope.tables import write_anndata as write_anndata
    from contrascope.training.fit import fit as fit
    from contrascope.training.run import Run as Run
    from contrascope.training.run import open_run as open_run

keep_compiled()
_HOMES = {
    "ContrascopeError": "errors",
    "CropStore": "store.store",
    "Result": "benchmarks",
    "Run": "training.run",
    "Screen": "screen.screen",
    "benchmark": "benchmarks",
    "embed": "embedding",
    "extract_crops": "store.crops",
    "find_cells": "screen.find_cells",
    "fit": "training.fit",
    "import_crops": "store.importers",
    "match_features": "features.tables",
    "measure_cells": "features.parts",
    "open_run": "training.run",
    "open_screen": "screen.screen",
    "open_store": "store.store",
    "profile": "profiles",
    "read_anndata": "tables",
    "read_result": "benchmarks.result",
    "reduce_features": "features.reduce",
    "run_screen": "pipeline",
    "store_from_arrays": "store.arrays",
    "synthetic_screen": "screen.synthetic",
    "write_anndata": "tables",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'contrascope' has no attribute '{name}'")
    return getattr(import_module(f"contrascope.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
