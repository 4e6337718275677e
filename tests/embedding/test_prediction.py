"""Who embeds which chunk, and what is left of it when it is over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from contrascope.embedding.cell_encoder import CellEncoder
from contrascope.embedding.prediction import predict
from contrascope.errors import StoreError
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.run import Run


def kept(spaces: CellEncoder, store: CropStore, chunks: dict[int, range]) -> dict[int, dict[str, np.ndarray]]:
    found: dict[int, dict[str, np.ndarray]] = {}
    predict(spaces, store, chunks, keep=lambda chunk, values: found.update({chunk: values}), finish=lambda: None)
    return found


@pytest.fixture
def spaces(long_run: Run, long_store: CropStore) -> CellEncoder:
    settings = long_run.facts["settings"] | {"precision": "bf16"}
    run = Run(long_run.path, long_run.facts | {"settings": settings})
    return CellEncoder(run, long_store, baselines=False, uncertainty=True, error=True)


def test_chunks_are_kept_whole_in_order_and_know_nothing_of_each_other(
    spaces: CellEncoder, long_store: CropStore
) -> None:
    both = kept(spaces, long_store, {3: range(600), 7: range(1_000, 1_300)})
    assert list(both) == [3, 7]
    assert both[3]["salient"].shape == (600, 3)
    alone = kept(spaces, long_store, {7: range(1_000, 1_300)})
    for name, values in alone[7].items():
        np.testing.assert_array_equal(both[7][name], values)


def test_the_number_of_threads_changes_no_bit_and_is_put_back(spaces: CellEncoder, long_store: CropStore) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(kept(spaces, long_store, {0: range(300)})[0])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for name, values in found[0].items():
        for other in found[1:]:
            np.testing.assert_array_equal(other[name], values)


def test_cells_that_come_out_as_no_numbers_are_named(long_run: Run, tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(100, 1000, (300, 2, 20, 20)).astype(np.float32)
    images[[7, 280], 0, 3, 4] = np.nan, np.inf
    label = ["nontargeting", "GENE"] * 150
    table = pl.DataFrame({"guide": label, "perturbation": label}).with_columns(
        control=pl.col("guide") == "nontargeting"
    )
    store = store_from_arrays(images, table, tmp_path / "cells.zarr", channels=["DNA", "Actin"])
    run = Run(long_run.path, long_run.facts | {"dtype": "float32"})
    spaces = CellEncoder(run, store, baselines=False, uncertainty=False, error=False)
    for rows, named in ((range(300), "7"), (range(200, 300), "280")):
        with pytest.raises(StoreError, match=rf"come out as NaN or infinite, by row: {named}; .*make the store again"):
            kept(spaces, store, {0: rows})
    assert len(kept(spaces, store, {0: range(8, 280)})[0]["salient"]) == 272


def test_it_finishes_once_after_the_last_chunk(spaces: CellEncoder, long_store: CropStore) -> None:
    seen: list[object] = []
    chunks = {0: range(40), 1: range(40, 80)}
    predict(spaces, long_store, chunks, keep=lambda chunk, _: seen.append(chunk), finish=lambda: seen.append("end"))
    assert seen == [0, 1, "end"]
