"""Measuring all cells of a store: part by part, by any number of workers, in any number of sittings.

A part is some neighbouring cells in a Parquet file of its own, a pure function of the store and the plan, written whole
or not at all; parts wait in a folder beside what is made of them. Whoever is killed goes on with those that are not
there. A few parts are held at a time, so memory does not grow with the cells, but for an ``.h5ad``, which is made in
memory, and a word on each cell's mask.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope.addresses import local_path
from contrascope.config import FeatureSettings, fingerprint, validated
from contrascope.errors import SettingsError, StoreError
from contrascope.features.measure import feature_names, greys_of, measured
from contrascope.features.outcome import MASK, Measured, former, write_measured
from contrascope.features.plan import Plan, plan_for
from contrascope.features.segment import NO_NUCLEUS, segment
from contrascope.store.files import read_json, write_json, write_parquet
from contrascope.store.parallel import calling
from contrascope.store.store import CropStore, open_store

PART_CELLS = 128
"""Cells of a part: some seconds of work, so that little is lost and workers end together."""
FAILED = "cp_measure cannot measure it"
_PACKAGES = ("contrascope", "cp_measure", "centrosome", "mahotas", "scikit-image", "scipy")
"""Whose versions the numbers depend on."""
_PLAN = "plan.json"


def measure_cells(
    store: CropStore,
    out: str | Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    **settings: Any,
) -> Measured:
    """Measure every cell of a store, and write what was measured.

    Started again after a crash it goes on where it stopped; what is finished with the same store, settings and versions
    of packages is not made again.

    Args:
        store: The cells.
        out: The file to write: ``.parquet``, or ``.h5ad``, made in memory. See ``outcome.py`` for what is in it.
        workers: Processes; 1 works in this one.
        scheduler: Address of a Dask scheduler, whose workers are used instead; they have to see ``out``.
        settings: Fields of ``FeatureSettings``.

    Raises:
        SettingsError: A setting or channel is unknown, or ``out`` has another ending or is a URL.
        StoreError: No nucleus is found anywhere, parts of another measurement are in the way, or there is no room.
    """
    chosen, out = validated(FeatureSettings, settings, where="The settings of features"), local_path(out)
    if out.suffix not in (".parquet", ".h5ad"):
        raise SettingsError(f"{out} has an ending we do not write. Name it .parquet or .h5ad.")
    plan = plan_for(store, chosen)
    facts = _facts(store, plan)
    if (done := former(out, facts["fingerprint"])) is not None:
        return done
    folder = out.with_name(f"{out.name}.parts")
    _claim(folder, facts)
    # The path as it is from anywhere: workers may have been started elsewhere.
    where = store.path.resolve() if isinstance(store.path, Path) else store.path
    work = _MeasurePart(str(where), folder.resolve(), plan, PART_CELLS)
    parts = range(-(-len(store) // PART_CELLS))
    todo = [part for part in parts if not part_path(folder, part).is_file()]
    with calling(workers, scheduler) as each:
        for _ in each(work, todo, len(todo), "Measuring cells"):
            pass
    result = write_measured(store, out, [part_path(folder, part) for part in parts], facts)
    shutil.rmtree(folder)
    return result


def part_path(folder: Path, part: int) -> Path:
    """The file of a part."""
    return folder / f"part-{part:07d}.parquet"


def _facts(store: CropStore, plan: Plan) -> dict[str, Any]:
    """What the numbers depend on, and the fingerprint of it."""
    how = {
        "nucleus": plan.channels[plan.anatomy.nucleus],
        "cell": [plan.channels[i] for i in plan.anatomy.cell],
        "diameter": plan.anatomy.diameter,
        "features": plan.features,
    }
    white = dict(zip(plan.channels, plan.white, strict=True))
    made = {"store": store.fingerprint, "settings": how, "white": white}
    made |= {"package": {name: version(name) for name in _PACKAGES}}
    return made | {"fingerprint": fingerprint([made, PART_CELLS])}


def _claim(folder: Path, facts: dict[str, Any]) -> None:
    """Make the folder of parts ready.

    Raises:
        StoreError: It holds parts of another measurement.
    """
    path = folder / _PLAN
    if path.is_file() and read_json(path) != facts:
        raise StoreError(
            f"{folder} holds parts of another measurement: of another store, with other settings or other versions of "
            f"packages. Delete it, or give the features another name (--out)."
        )
    write_json(path, facts)


@dataclass(frozen=True)
class _MeasurePart:
    """Measures neighbouring cells and writes their part."""

    store: str
    folder: Path
    plan: Plan
    cells: int

    def __call__(self, part: int) -> None:
        store = _opened(self.store)
        rows = np.arange(part * self.cells, min((part + 1) * self.cells, len(store)))
        write_parquet(part_path(self.folder, part), part_of(self.plan, rows, store.read(rows)))


def part_of(plan: Plan, rows: np.ndarray, crops: np.ndarray) -> pl.DataFrame:
    """Some cells measured.

    Args:
        plan: How.
        rows: (B,) rows in the store.
        crops: (B, C, H, W) as stored.

    Returns:
        A row a cell: ``row``, ``mask`` (how good it is, or why the cell was not measured) and all features as
        float64, null where a cell was not measured.
    """
    names = feature_names(plan.channels, plan.features)
    said, values = [], np.full((len(rows), len(names)), np.nan)
    counted = np.zeros(len(rows), bool)
    for i, pixels in enumerate(plan.scaled(crops)):
        quality, found = _cell(pixels, plan)
        said.append(quality)
        if found is not None:
            values[i], counted[i] = [found[name] for name in names], True
    table = pl.DataFrame({"row": rows.astype(np.int64), MASK: said, "measured": counted})
    return table.hstack(pl.DataFrame(values, schema=dict.fromkeys(names, pl.Float64)))


def _cell(pixels: np.ndarray, plan: Plan) -> tuple[str, dict[str, float] | None]:
    """How good a cell's mask is, or why it was not measured; and its features."""
    mask = segment(pixels, plan.anatomy)
    if mask.quality == NO_NUCLEUS:
        return mask.quality, None
    try:
        return mask.quality, measured(pixels, mask, plan.channels, plan.features, greys_of(plan.white))
    except Exception as error:  # one odd cell, of which cp_measure makes what it likes, must not end a day's work
        return f"{FAILED}: {type(error).__name__}", None


@lru_cache(maxsize=1)
def _opened(path: str) -> CropStore:
    """The store in this worker's hand."""
    return open_store(path)
