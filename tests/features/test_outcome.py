"""Every cell is in the file of features or in the list beside it, in both formats alike."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import polars as pl
import pytest

from contrascope.errors import StoreError
from contrascope.features import outcome
from contrascope.features.outcome import former, write_measured
from contrascope.features.segment import OK
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore

N = 30
LOST, DOUBT = "no nucleus", "touches the border"
MASKS = [LOST if i % 7 == 3 else DOUBT if i % 5 == 0 else OK for i in range(N)]
FACTS = {"fingerprint": "abc", "settings": {"features": "fast"}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    guides = [("nt", "g")[i % 2] for i in range(N)]
    cells = pl.DataFrame({"cell_id": [f"c{i}" for i in range(N)], "guide": guides, "perturbation": guides})
    cells = cells.with_columns(pl.Series("control", [guide == "nt" for guide in guides]), pl.Series("a/b", range(N)))
    path = tmp_path_factory.mktemp("outcome") / "cells.zarr"
    return store_from_arrays(np.zeros((N, 1, 2, 2), np.uint8), cells, path, channels=["DNA"])


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Six cells a part; feature ``Cells_A`` is the cell's number, and what was not measured has none."""
    paths = []
    for start in range(0, N, 6):
        rows = range(start, start + 6)
        measured = [MASKS[i] != LOST for i in rows]
        values = [float(i) if there else None for i, there in zip(rows, measured, strict=True)]
        table = {"row": list(rows), "mask": [MASKS[i] for i in rows], "measured": measured, "Cells_A": values}
        paths.append(tmp_path / f"{start}.parquet")
        pl.DataFrame(table, schema_overrides={"Cells_A": pl.Float64}).write_parquet(paths[-1])
    return paths


@pytest.mark.parametrize("together", [1, 2, 8])
@pytest.mark.parametrize("name", ["features.parquet", "features.h5ad"])
def test_every_cell_is_in_the_file_with_its_own_numbers_or_in_the_list_with_the_reason(
    name: str, together: int, store: CropStore, parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "_TOGETHER", together)
    made = write_measured(store, tmp_path / name, parts, FACTS)
    if name.endswith("parquet"):
        table = pl.read_parquet(made.path)
        ids, values, masks = table["cell_id"].to_list(), table["Cells_A"].to_list(), table["mask"].to_list()
    else:
        cells = ad.read_h5ad(made.path)
        ids, values, masks = (
            list(cells.obs_names),
            cells.obsm["features"]["Cells_A"].tolist(),
            cells.obs["mask"].tolist(),
        )
        assert cells.obs["a_b"].tolist() == values, "the cell table stands beside them"
    kept = [i for i in range(N) if MASKS[i] != LOST]
    assert (ids, values, masks) == ([f"c{i}" for i in kept], kept, [MASKS[i] for i in kept])
    lost = pl.read_parquet(made.left_out)
    assert lost.to_dict(as_series=False) == {
        "cell_id": [f"c{i}" for i in range(N) if i not in kept],
        "reason": [LOST] * (N - len(kept)),
    }
    assert made.cells + sum(made.not_measured.values()) == N
    assert made.masks[DOUBT] == masks.count(DOUBT)
    assert f"{made.cells} cells measured, 1 features, {made.masks[DOUBT]} though {DOUBT}" in str(made)


@pytest.mark.parametrize("name", ["features.parquet", "features.h5ad"])
def test_what_is_finished_is_known_again_where_it_was_made_so_and_is_whole(
    name: str, store: CropStore, parts: list[Path], tmp_path: Path
) -> None:
    made = write_measured(store, tmp_path / name, parts, FACTS)
    assert former(made.path, "abc") == made
    assert former(made.path, "abd") is None
    made.left_out.rename(tmp_path / "elsewhere")
    assert former(made.path, "abc") is None
    (tmp_path / "elsewhere").rename(made.left_out)
    made.path.write_bytes(made.path.read_bytes()[:200])
    assert former(made.path, "abc") is None
    assert former(tmp_path / f"nothing-{name}", "abc") is None


def test_a_table_of_anybodys_is_not_taken_for_ours(tmp_path: Path) -> None:
    for name in ("any.parquet", "any.parquet.not-measured.parquet", "any.h5ad.not-measured.parquet"):
        pl.DataFrame({"cell_id": ["c0"]}).write_parquet(tmp_path / name)
    ad.AnnData(np.zeros((1, 1))).write_h5ad(tmp_path / "any.h5ad")
    assert former(tmp_path / "any.parquet", "abc") is None
    assert former(tmp_path / "any.h5ad", "abc") is None


def test_where_no_cell_was_measured_nothing_is_written(store: CropStore, parts: list[Path], tmp_path: Path) -> None:
    for part in parts:
        pl.read_parquet(part).with_columns(measured=False, mask=pl.lit(LOST)).write_parquet(part)
    with pytest.raises(StoreError, match=rf"None of the {N} cells .*'{LOST}': {N}"):
        write_measured(store, tmp_path / "features.parquet", parts, FACTS)
    assert not (tmp_path / "features.parquet").exists()


def test_a_damaged_part_is_named(store: CropStore, parts: list[Path], tmp_path: Path) -> None:
    parts[2].write_bytes(parts[2].read_bytes()[:100])
    with pytest.raises(StoreError, match=rf"{parts[2].name} is damaged.*Delete it and measure again"):
        write_measured(store, tmp_path / "features.parquet", parts, FACTS)


def test_a_file_says_how_it_was_made(store: CropStore, parts: list[Path], tmp_path: Path) -> None:
    told = json.loads(ad.read_h5ad(write_measured(store, tmp_path / "f.h5ad", parts, FACTS).path).uns["measured"])
    assert told["facts"] == FACTS
    assert told["not_measured"] == {LOST: MASKS.count(LOST)}
