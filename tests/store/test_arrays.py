"""A store from arrays gives them back as they were, and takes nothing that does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contrascope.errors import StoreError, TableError
from contrascope.store import shards
from contrascope.store.arrays import store_from_arrays


class TestStoreFromArrays:
    """Crops that are already cut make a store like any other."""

    @staticmethod
    def cells(n: int) -> pl.DataFrame:
        control = [i % 2 == 0 for i in range(n)]
        names = ["control" if c else "GENE" for c in control]
        return pl.DataFrame({"guide": names, "perturbation": names, "control": control, "area": np.arange(n) / 2})

    @settings(max_examples=30, deadline=None)
    @given(data=st.data(), dtype=st.sampled_from(["uint8", "uint16", ">u2", "float32", ">f4"]))
    def test_images_come_back_as_they_were_given(
        self, data: st.DataObject, dtype: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        shape = data.draw(hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=6).filter(lambda s: s[0] > 1))
        images = data.draw(hnp.arrays(dtype, shape))
        cells, channels = self.cells(len(images)), [f"channel {c}" for c in range(shape[1])]
        out = tmp_path_factory.mktemp("arrays") / "s.zarr"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shards, "SHARD_BYTES", 2 * images[0].nbytes)
            store = store_from_arrays(images, cells, out, channels=channels)
        order = np.random.default_rng(0).permutation(len(images))
        assert np.array_equal(store.read(order), images[order], equal_nan="f" in dtype)
        assert store.dtype == images.dtype.newbyteorder("=")
        assert store.cells.select(cells.columns).equals(cells)
        assert store.channels == channels
        assert store.damage() == []

    def test_the_same_arrays_are_the_same_store_and_others_are_refused(self, tmp_path: Path) -> None:
        images, cells = np.arange(6 * 16, dtype=np.uint8).reshape(6, 1, 4, 4), self.cells(6)
        store = store_from_arrays(images, cells, tmp_path / "s.zarr", channels=["a"])
        assert store_from_arrays(images, cells, tmp_path / "s.zarr", channels=["a"]).fingerprint == store.fingerprint
        others: list[tuple[np.ndarray, pl.DataFrame, dict[str, Any]]] = [
            (images[::-1], cells, {}),
            (images, cells.reverse(), {}),
            (images, cells.rename({"area": "size"}), {}),
            (images, cells, {"channels": ["b"]}),
            (images, cells, {"pixel_size_um": 0.5}),
        ]
        for pixels, table, changes in others:
            with pytest.raises(StoreError, match="other inputs"):
                store_from_arrays(pixels, table, tmp_path / "s.zarr", **{"channels": ["a"]} | changes)

    @pytest.mark.parametrize(
        ("images", "change", "words"),
        [
            (np.zeros((4, 1, 8)), {}, "do not fit"),
            (np.zeros((5, 1, 8, 8), np.uint8), {}, "do not fit"),
            (np.zeros((4, 2, 8, 8), np.uint8), {}, "do not fit"),
            (np.zeros((4, 1, 8, 0), np.uint8), {}, "no pixels"),
            (np.zeros((4, 1, 8, 8)), {}, "float64"),
            (np.zeros((4, 1, 8, 8), np.uint8), {"control": ["yes", "no"] * 2}, "Boolean"),
            (np.zeros((4, 1, 8, 8), np.uint8), {"control": [True, None] * 2}, "no control"),
            (np.zeros((4, 1, 8, 8), np.uint8), {"guide": ["a", None] * 2}, "no guide"),
            (np.zeros((4, 1, 8, 8), np.uint8), {"plate": ["a", None] * 2}, "no plate"),
            (np.zeros((4, 1, 8, 8), np.uint8), {"batch": ["a", None] * 2}, "no batch"),
            (np.zeros((4, 1, 8, 8), np.uint8), {"split": ["a", "b"] * 2}, "column split"),
        ],
    )
    def test_arrays_that_do_not_fit_are_refused(
        self, images: np.ndarray, change: dict[str, Any], words: str, tmp_path: Path
    ) -> None:
        cells = self.cells(4).with_columns(pl.Series(name, values) for name, values in change.items())
        with pytest.raises(StoreError, match=words):
            store_from_arrays(images, cells, tmp_path / "s.zarr", channels=["a"])
        assert not (tmp_path / "s.zarr").exists()

    def test_an_empty_table_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TableError, match="No control"):
            store_from_arrays(
                np.zeros((0, 1, 8, 8), np.uint8), self.cells(2).clear(), tmp_path / "s.zarr", channels=["a"]
            )

    def test_a_guide_of_two_perturbations_is_refused(self, tmp_path: Path) -> None:
        cells = self.cells(6).with_columns(pl.lit("g").alias("guide"))
        with pytest.raises(TableError, match="1 guides of the table of cells have more than one perturbation"):
            store_from_arrays(np.ones((6, 1, 4, 4), np.uint8), cells, tmp_path / "s.zarr", channels=["a"])
        assert not (tmp_path / "s.zarr").exists()
