"""Foreign crops into a store: somebody cut them out before, in a format of theirs.

| kind | source | told by |
|---|---|---|
| arrays | an array in memory, ``.npy`` or ``.npz`` | ``axes`` |
| lmdb | raw uint16 under keys | ``shape``, ``axes``, ``keys`` |
| scportrait | ``.h5sc``, HDF5 AnnData | what the file says, else ``n_masks`` |
| folder | one TIFF or ``.npy`` a cell, with an index table | ``axes``, ``path`` |

Nothing is guessed: neither the order of axes, nor which planes are masks. Pixels are stored as they are.
A row of the cell table without an image is dropped and counted, an image without a row is counted in the
store's provenance. A shard is in memory at a time; an import that was interrupted goes on where it was, and
one over a finished store of the same inputs makes again what is damaged.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.addresses import local_path
from contrascope.config import fingerprint
from contrascope.errors import SettingsError, StoreError, TableError
from contrascope.progress import track
from contrascope.registry import IMPORTERS
from contrascope.screen.labels import notes_on_labels
from contrascope.store.crops import NO_LABEL
from contrascope.store.importers.labels import labelled, read_cell_table, table_digest
from contrascope.store.importers.source import NO_IMAGE, ForeignCrops
from contrascope.store.store import CropStore
from contrascope.store.writer import StorePlan, StoreWriter, claim

WITHOUT_IMAGE = "no image in the source"
WITHOUT_ROW = "images_without_row"
"""Where a store's provenance says how many images of the source no row of the table names."""
_DROPPED = (v.CELL_ID, v.PLATE, v.WELL, v.TILE, v.Y, v.X)


def import_crops(
    source: Any,
    out: str | Path,
    *,
    kind: str,
    cells: pl.DataFrame | str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    control: str | Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
    name: str = "imported crops",
    pixel_size_um: float | None = None,
    **options: Any,
) -> CropStore:
    """A store from crops of another format.

    Args:
        source: An array, a file or a folder, as the kind takes.
        out: The store's folder, ``NAME.zarr``.
        kind: A registered importer (table at the top of this module).
        cells: The cell table, in memory or as CSV, TSV or Parquet; some kinds carry one. ``plate well tile``
            are ``1`` where absent, all other columns are kept.
        columns: Our name -> the table's column, for ``guide``, ``perturbation`` and so on.
        control: Labels of the perturbation column that are controls, ``name*`` for a prefix; without it the
            table's Boolean column ``control`` says.
        channels: Names of the C channels, where the source does not hold them.
        name: Name of the screen.
        pixel_size_um: Width of a pixel in micrometres.
        options: The kind's own keywords.

    Raises:
        SettingsError: No such kind, an option it does not have or lacks, or ``out`` is a URL.
        TableError: The cell table cannot be used.
        StoreError: The source cannot be read, or ``out`` holds something else.
    """
    out, importer = local_path(out), IMPORTERS[kind]
    _check_options(kind, importer, options)
    foreign: ForeignCrops = importer(source, cells=read_cell_table(cells, columns or {}), channels=channels, **options)
    plan, image = _plan(foreign, kind, control=control, name=name, pixel_size_um=pixel_size_um, options=options)
    made_from = plan.facts["fingerprint"]
    if (finished := claim(out, made_from)) is not None:
        return finished
    writer = StoreWriter(plan, out)
    ids = plan.cells.select(v.CELL_ID).collect().to_series()
    for index, rows in track(writer.todo(), "Importing cells", writer.shards):
        writer.write(index, _finite(foreign.read(image[rows]), ids[rows]))
    tiles = plan.cells.group_by(v.PLATE, v.WELL, v.TILE, maintain_order=True).agg(pl.len().alias("cells"))
    return writer.finish(tiles.with_row_index("tile_index").collect())


def _plan(
    foreign: ForeignCrops,
    kind: str,
    *,
    control: str | Sequence[str] | None,
    name: str,
    pixel_size_um: float | None,
    options: dict[str, Any],
) -> tuple[StorePlan, np.ndarray]:
    """The store that will be written, and the number of each stored cell's image."""
    cells = labelled(foreign.cells, control)
    reason = _reasons(cells, foreign.image)
    kept, image = cells.filter(reason.is_null()), foreign.image[reason.is_null().to_numpy()]
    dropped = cells.with_columns(reason).filter(reason.is_not_null())
    dropped = dropped.select(*[c for c in _DROPPED if c in cells.columns], "reason")
    _refuse_one_sided(kept, dropped)
    _refuse_shared(foreign.image)
    unlisted = foreign.images - int((foreign.image != NO_IMAGE).sum())
    told = {key: value for key, value in options.items() if not isinstance(value, Path)}
    made_from = [kind, foreign.identity, foreign.channels, foreign.shape, foreign.dtype.name, name, pixel_size_um, told]
    facts = {
        "name": name,
        "channels": foreign.channels,
        "pixel_size_um": pixel_size_um,
        "account": {
            "rows": cells.height,
            "stored": kept.height,
            "dropped": dict(dropped["reason"].value_counts().sort("reason").iter_rows()),
        },
        "notes": notes_on_labels(cells),
        "fingerprint": fingerprint([*made_from, table_digest(cells)]),
        "provenance": {"package": version("contrascope"), "source": kind, "options": told, WITHOUT_ROW: unlisted},
    }
    return StorePlan(facts, kept.lazy(), dropped.lazy(), foreign.shape, foreign.dtype), image


def _reasons(cells: pl.DataFrame, image: np.ndarray) -> pl.Series:
    """Why each row is left out; null where it is stored."""
    no_label = cells[v.GUIDE].is_null() | cells[v.PERTURBATION].is_null()
    no_image = pl.Series(image == NO_IMAGE)
    reason = pl.when(no_image).then(pl.lit(WITHOUT_IMAGE)).when(no_label).then(pl.lit(NO_LABEL))
    return cells.select(reason.alias("reason")).to_series()


def _refuse_one_sided(kept: pl.DataFrame, dropped: pl.DataFrame) -> None:
    controls = int(kept[v.CONTROL].sum())
    if 0 < controls < kept.height:
        return
    reasons = "".join(f", {n:,} dropped: {reason}" for reason, n in dropped["reason"].value_counts().iter_rows())
    raise TableError(
        f"No {'perturbed cell' if controls else 'control'} is left: {kept.height:,} cells can be stored, {controls:,} "
        f"of them controls{reasons}. Controls and perturbed cells were both needed. Check control, and by which column "
        f"images are found."
    )


def _refuse_shared(image: np.ndarray) -> None:
    numbers = image[image != NO_IMAGE]
    if shared := len(numbers) - len(np.unique(numbers)):
        raise TableError(
            f"{shared:,} rows of the cell table name an image that another row names too. Each cell needs an image of "
            f"its own. Take the rows out that stand twice."
        )


def _finite(crops: np.ndarray, ids: pl.Series) -> np.ndarray:
    if crops.dtype.kind == "f" and not np.isfinite(crops).all():
        bad = ids[int(np.argmin(np.isfinite(crops).all(axis=(1, 2, 3))))]
        raise StoreError(
            f"The image of cell {bad} has pixels that are no finite number. Fill them, with 0 for instance, where the "
            f"images were written, then start again."
        )
    return np.ascontiguousarray(crops)


def _check_options(kind: str, importer: Callable[..., ForeignCrops], options: dict[str, Any]) -> None:
    parameters = inspect.signature(importer).parameters.values()
    known = {
        p.name: p.default is inspect.Parameter.empty
        for p in parameters
        if p.name not in ("source", "cells", "channels")
    }
    unknown = sorted(set(options) - set(known))
    missing = [option for option, required in known.items() if required and option not in options]
    if unknown or missing:
        found = f"have no option {', '.join(unknown)}" if unknown else f"need the option {', '.join(missing)}"
        raise SettingsError(f"Crops of the kind '{kind}' {found}. Its options: {', '.join(known)}.")
