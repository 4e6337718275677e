"""Blocks of cells that lie in a file: wide tables are read a few rows at a time, and say the same as memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import contrascope.profiles.blocks as blocks_module
from contrascope.profiles.blocks import StoredTable, observations_of, opened, rows_at_once
from contrascope.tables import write_anndata


@pytest.mark.parametrize("name", ["cells.h5ad", "cells.zarr"])
def test_a_table_of_features_is_read_as_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    random = np.random.default_rng(0)
    obs = pd.DataFrame({"control": [True, False] * 15, "batch": "B"}, index=[f"c{i}" for i in range(30)])
    table = pd.DataFrame({"a": random.normal(size=30), "b": np.arange(30), "d": 1.5}, index=obs.index)
    data = AnnData(obs=obs, obsm={"features": table})
    monkeypatch.setattr(blocks_module, "ROWS_AT_ONCE", 7)
    with opened(write_anndata(data, tmp_path / name)) as cells:
        assert isinstance(cells.spaces["features"], StoredTable)
        assert cells.spaces["features"].columns == ["a", "b", "d"]
        read = [spaces["features"] for _, spaces in cells.blocks()]
    assert [len(block) for block in read] == [7, 7, 7, 7, 2]
    np.testing.assert_array_equal(np.concatenate(read), table.to_numpy())
    assert list(observations_of(tmp_path / name).index) == list(obs.index)


def test_wide_spaces_come_fewer_rows_at_a_time() -> None:
    narrow, wide = rows_at_once([np.empty((9, 128))]), rows_at_once([np.empty((9, 4096))])
    assert narrow == blocks_module.ROWS_AT_ONCE
    assert wide * 4096 <= narrow * 128
