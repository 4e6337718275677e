"""What comes of measuring a store: a file of features, and a list of the cells that have none.

    NAME.parquet               cell_id, mask, and a column a feature, float64
    NAME.h5ad                  obs the cell table and mask, obsm["features"] the same features by name
    FILE.not-measured.parquet  cell_id and reason of each cell that is not in the file

Rows are in the store's order. ``mask`` is ``ok``, or what is doubtful about the outline of a cell. How it was made
and where every cell went stands in the file itself, as JSON: in the schema's metadata, or in ``uns["measured"]``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from contrascope import vocabulary as v
from contrascope.errors import StoreError
from contrascope.features.segment import OK
from contrascope.store.export import without_slashes
from contrascope.store.files import appearing, write_parquet
from contrascope.store.store import CropStore
from contrascope.tables import write_anndata

MASK = "mask"
MADE = "measured"
"""Where a file says how it was made."""
_TOGETHER = 8
"""Parts that stand together as a row group of the finished file."""


@dataclass(frozen=True)
class Measured:
    """Features of a store's cells.

    Attributes:
        path: The file.
        facts: Store, settings, white levels and packages it was made with.
        masks: What is said of the mask -> measured cells.
        not_measured: Reason -> cells without features.
        features: Features of a cell.
    """

    path: Path
    facts: dict[str, Any]
    masks: dict[str, int]
    not_measured: dict[str, int]
    features: int

    @property
    def cells(self) -> int:
        """Cells that were measured."""
        return sum(self.masks.values())

    @property
    def left_out(self) -> Path:
        """The list of cells that were not measured."""
        return _list_of(self.path)

    def __str__(self) -> str:
        doubts = [f"{n:,} though {doubt}" for doubt, n in self.masks.items() if doubt != OK]
        lost = [f"{n:,} not measured: {reason}" for reason, n in self.not_measured.items()]
        return f"{self.path}: {self.cells:,} cells measured, {self.features:,} features" + "".join(
            f", {text}" for text in doubts + lost
        )


def write_measured(store: CropStore, out: Path, parts: list[Path], facts: dict[str, Any]) -> Measured:
    """Write the finished file of all parts, and the list of cells that were not measured.

    Raises:
        StoreError: A part is damaged, no cell was measured, or nothing can be written.
    """
    ids = store.column(v.CELL_ID).cast(pl.String)
    said = pl.concat([_read(part, ["row", MASK, "measured"]) for part in parts])
    kept, lost = said.filter("measured"), said.filter(~pl.col("measured"))
    masks, not_measured = (_counts(table[MASK]) for table in (kept, lost))
    if kept.is_empty():
        raise StoreError(
            f"None of the {len(said):,} cells of {store.path} can be measured: {not_measured}. Look at the crops, and "
            f"name the channels that show nuclei (--nucleus) and cells (--cell)."
        )
    features = [name for name in _read(parts[0]).columns if name not in ("row", MASK, "measured")]
    result = Measured(out, facts, masks, not_measured, len(features))
    write_parquet(_list_of(out), pl.DataFrame({v.CELL_ID: ids[lost["row"]], "reason": lost[MASK]}))
    made = json.dumps({"facts": facts, "masks": masks, "not_measured": not_measured}, sort_keys=True)
    if out.suffix == ".parquet":
        _write_table(out, _blocks(parts, ids), made)
    else:
        _write_anndata(out, store, kept, np.concatenate([b.select(features).to_numpy() for b in _blocks(parts, ids)]),
                       features, made)  # fmt: skip
    return result


def former(out: Path, fingerprint: str) -> Measured | None:
    """What a former sitting has finished, if it was made of the same store in the same way."""
    if not (out.is_file() and _list_of(out).is_file()) or (made := _said_by(out)) is None:
        return None
    told, features = json.loads(made[0]), made[1]
    if told["facts"]["fingerprint"] != fingerprint:
        return None
    return Measured(out, told["facts"], told["masks"], told["not_measured"], features)


def _said_by(out: Path) -> tuple[str, int] | None:
    """What a file says of how it was made, and its number of features; None if it is none of ours."""
    try:
        if out.suffix == ".parquet":
            schema = pq.read_schema(out)
            return schema.metadata[MADE.encode()].decode(), len(schema) - 2
        with h5py.File(out) as file:
            names = file["obsm/features"].attrs["column-order"]
            return file["uns"][MADE][()].decode(), len(names)
    except (KeyError, TypeError, OSError, pa.ArrowException):
        return None


def _list_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.not-measured.parquet")


def _counts(said: pl.Series) -> dict[str, int]:
    return dict(sorted(Counter(said.to_list()).items()))


def _read(part: Path, columns: list[str] | None = None) -> pl.DataFrame:
    try:
        return pl.read_parquet(part, glob=False, columns=columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(
            f"{part} is damaged: {' '.join(str(error).split())}. Delete it and measure again; the other parts are kept."
        ) from None


def _blocks(parts: list[Path], ids: pl.Series) -> Iterator[pl.DataFrame]:
    """Cells that were measured, some parts at a time: ``cell_id``, ``mask``, features."""
    for start in range(0, len(parts), _TOGETHER):
        block = pl.concat([_read(part) for part in parts[start : start + _TOGETHER]]).filter("measured")
        yield block.drop("row", "measured").insert_column(0, ids[block["row"]].alias(v.CELL_ID))


def _write_table(out: Path, blocks: Iterator[pl.DataFrame], made: str) -> None:
    with appearing(out) as beside, ExitStack() as opened:
        writer = None
        for block in blocks:
            table = block.to_arrow(compat_level=pl.CompatLevel.oldest())
            table = table.replace_schema_metadata({MADE: made})
            writer = writer or opened.enter_context(pq.ParquetWriter(beside, table.schema, compression="zstd"))
            writer.write_table(table)


def _write_anndata(
    out: Path, store: CropStore, kept: pl.DataFrame, values: np.ndarray, features: list[str], made: str
) -> None:
    import anndata as ad

    obs = observations_of_measured(store, kept["row"], kept[MASK])
    measured = pd.DataFrame(values, index=obs.index, columns=features)
    write_anndata(ad.AnnData(obs=obs, obsm={"features": measured}, uns={MADE: made}), out)


def observations_of_measured(store: CropStore, rows: pl.Series, masks: pl.Series) -> pd.DataFrame:
    """The cell table of cells that were measured, by cell id, with what is said of each cell's mask."""
    obs = store.cells[rows].to_pandas()
    obs.index = pd.Index(obs[v.CELL_ID].astype(str).tolist(), dtype=object)
    obs.columns = pd.Index(without_slashes(list(obs.columns)))
    obs[MASK] = pd.Categorical(masks.to_list())
    return obs
