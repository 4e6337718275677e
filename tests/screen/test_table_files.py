"""A table says the same in every kind of file, and nothing in a file is ever run."""

from __future__ import annotations

import gzip
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from contrascope.errors import TableError
from contrascope.screen.table_files import collected, digest_of_table, scan_table


def read_table(path: Path, *, key: str | None = None) -> pl.DataFrame:
    return collected(scan_table(path, key=key), path)


@pytest.fixture
def table() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "well": ["A1", "Ü2", None],
            "tile": [3, 1, 2],
            "y": [0.1, 1e-9, -7.25],
            "x": [1.0, 2.0, 3.0],
            "b": [True, False, True],
        }
    )


def as_bytes(table: pl.DataFrame, name: str, width: int = 8, missing: str = "nan") -> np.ndarray:
    return np.array([(missing if t is None else t).encode() for t in table[name]], f"S{width}")


def write_columns(group: h5py.Group, table: pl.DataFrame) -> None:
    for name in table.columns:
        texts = table[name].dtype == pl.String
        group.create_dataset(
            name,
            data=table[name].to_list() if texts else table[name].to_numpy(),
            dtype=h5py.string_dtype() if texts else None,
        )


def write_pandas_table(path: Path, table: pl.DataFrame, *, kind: Any = None) -> None:
    """As ``to_hdf(format="table")`` lays it out: one field for the columns of each type, their names pickled."""
    blocks = {"values_block_0": ["y", "x"], "values_block_1": ["well"]}
    fields = [("index", "i8"), ("values_block_0", "f8", (2,)), ("values_block_1", "S8", (1,)), ("tile", "i8")]
    rows = np.zeros(table.height, fields)
    rows["index"], rows["tile"] = np.arange(table.height), table["tile"]
    rows["values_block_0"], rows["values_block_1"][:, 0] = table.select("y", "x").to_numpy(), as_bytes(table, "well")
    with h5py.File(path, "w") as file:
        group = file.create_group("cells")
        group.attrs.update({"pandas_type": np.bytes_(b"frame_table"), "nan_rep": np.bytes_(b"nan")})
        stored = group.create_dataset("table", data=rows)
        for field, names in (blocks | {"tile": ["tile"]}).items():
            stored.attrs[f"{field}_kind"] = np.bytes_(pickle.dumps(names if kind is None else kind, protocol=0))


def write_pandas_fixed(path: Path, table: pl.DataFrame, *, index: list[int] | None = None) -> None:
    """As ``to_hdf`` lays it out: one matrix for the columns of each type."""
    with h5py.File(path, "w") as file:
        group = file.create_group("cells")
        group.attrs.update({"pandas_type": np.bytes_(b"frame"), "nblocks": 2})
        group["axis0"] = np.array([b"tile", b"y", b"x"])
        group["axis1"] = np.arange(table.height) if index is None else index
        for i, names in enumerate((["y", "x"], ["tile"])):
            group[f"block{i}_items"] = np.array([name.encode() for name in names])
            group[f"block{i}_values"] = table.select(names).to_numpy()
            group[f"block{i}_values"].attrs["transposed"] = True


def test_texts_and_numbers_are_the_same_in_every_kind_of_file(table: pl.DataFrame, tmp_path: Path) -> None:
    table.write_csv(tmp_path / "a.csv")
    table.write_csv(tmp_path / "a.tsv", separator="\t")
    for name in ("a.csv", "a.tsv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    table.write_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.tsv", "a.csv.gz", "a.tsv.gz", "a.parquet"):
        assert read_table(tmp_path / name).equals(table), name


@pytest.mark.parametrize("folder", ["parts.parquet", "parts", "parts [1] *"])
def test_a_folder_of_parquet_is_one_table_in_the_order_of_its_files(
    folder: str, table: pl.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / folder / "below").mkdir(parents=True)
    (tmp_path / folder / "_SUCCESS").touch()
    (tmp_path / folder / "_tmp.parquet").write_bytes(b"half a file")
    table[2:].write_parquet(tmp_path / folder / "below/0.parquet")
    table[:2].write_parquet(tmp_path / folder / "a.parquet")
    assert read_table(tmp_path / folder).equals(table)


def test_sub_folders_may_say_a_column_and_those_above_say_nothing(table: pl.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "run=9" / "cells"
    for well, part in (("A1", table[:1]), ("B2", table[1:])):
        (folder / f"plate=01/well={well}").mkdir(parents=True)
        part.drop("well").write_parquet(folder / f"plate=01/well={well}/part.parquet")
    found = read_table(folder)
    assert found["well"].to_list() == ["A1", "B2", "B2"]
    assert found["plate"].to_list() == ["01"] * 3
    assert "run" not in found.columns


def test_parts_that_do_not_fit_together_are_refused(table: pl.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    table.write_parquet(folder / "1.parquet")
    table.drop("x").write_parquet(folder / "2.parquet")
    with pytest.raises(TableError, match="parts cannot be read"):
        read_table(folder)


def test_the_digest_of_a_folder_knows_its_bytes_and_not_its_place(table: pl.DataFrame, tmp_path: Path) -> None:
    digests = []
    for name, part in (("one", table), ("two", table), ("three", table.reverse())):
        (tmp_path / name).mkdir()
        part.write_parquet(tmp_path / name / "0.parquet")
        digests.append(digest_of_table(tmp_path / name))
    assert digests[0] == digests[1] != digests[2]
    assert digest_of_table(tmp_path / "one/0.parquet") == digest_of_table(tmp_path / "two/0.parquet")


@pytest.mark.parametrize("place", ["/", "/cells", "/deep/er"])
def test_a_group_with_a_dataset_a_column_is_a_table(place: str, table: pl.DataFrame, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_columns(file.require_group(place), table.drop_nulls())
    assert read_table(tmp_path / "a.h5").select(table.columns).equals(table.drop_nulls())
    assert read_table(tmp_path / "a.h5", key=place).height == 2


def test_a_dataset_of_records_is_a_table(table: pl.DataFrame, tmp_path: Path) -> None:
    rows = np.zeros(3, [("well", "S8"), ("tile", ">i4"), ("y", "f8")])
    rows["well"], rows["tile"], rows["y"] = as_bytes(table, "well", missing=""), table["tile"], table["y"]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["cells"] = rows
    found = read_table(tmp_path / "a.hdf5")
    assert found["tile"].to_list() == [3, 1, 2]
    assert found["well"].to_list() == ["A1", "Ü2", ""]


def test_what_pandas_wrote_as_a_table_is_read_without_pandas(table: pl.DataFrame, tmp_path: Path) -> None:
    write_pandas_table(tmp_path / "a.h5", table)
    assert read_table(tmp_path / "a.h5").select("well", "tile", "y", "x").equals(table.drop("b"))


def test_what_pandas_wrote_by_default_is_read_if_it_is_numbers(table: pl.DataFrame, tmp_path: Path) -> None:
    write_pandas_fixed(tmp_path / "a.h5", table)
    assert read_table(tmp_path / "a.h5").equals(table.select("tile", "y", "x"))
    write_pandas_fixed(tmp_path / "a.h5", table, index=[7, 8, 9])
    assert read_table(tmp_path / "a.h5")["index"].to_list() == [7, 8, 9]


def test_texts_that_pandas_pickled_are_refused(table: pl.DataFrame, tmp_path: Path) -> None:
    write_pandas_fixed(tmp_path / "a.h5", table)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["cells/block1_values"].attrs["PSEUDOATOM"] = np.bytes_(b"object")
    with pytest.raises(TableError, match=r"columns tile is stored as a pickle.*never load"):
        read_table(tmp_path / "a.h5")


class Bomb:
    """What a hostile file holds: loaded, it writes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_in_the_place_of_column_names_is_never_run(table: pl.DataFrame, tmp_path: Path) -> None:
    write_pandas_table(tmp_path / "a.h5", table, kind=[Bomb(tmp_path / "exploded")])
    with pytest.raises(TableError, match="a list of column names was needed"):
        read_table(tmp_path / "a.h5")
    assert not (tmp_path / "exploded").exists()


def test_a_file_of_several_tables_is_asked_which(table: pl.DataFrame, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_columns(file.create_group("cells"), table.drop_nulls())
        write_columns(file.create_group("reads"), table.drop_nulls())
    with pytest.raises(TableError, match=r"2 tables: /cells, /reads.*cells\.key"):
        read_table(tmp_path / "a.h5")
    with pytest.raises(TableError, match=r"has no 'wells'.*/cells, /reads"):
        read_table(tmp_path / "a.h5", key="wells")
    assert read_table(tmp_path / "a.h5", key="cells").height == 2


def test_a_key_for_a_file_of_one_table_is_refused(table: pl.DataFrame, tmp_path: Path) -> None:
    table.write_csv(tmp_path / "a.csv")
    with pytest.raises(TableError, match=r"cells\.key is 'k'"):
        read_table(tmp_path / "a.csv", key="k")


def test_hdf5_that_is_no_table_is_refused(tmp_path: Path) -> None:
    contents: list[tuple[dict[str, Any], str]] = [
        ({}, "no table"),
        ({"image": np.zeros((2, 2))}, "no table"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "all of one length"),
        ({"a": np.zeros(2, complex)}, "complex128"),
        ({"a": np.zeros(0)}, "no rows"),
        ({"a": np.array([b"\xff\xfe"])}, "cannot be read"),
    ]
    for content, words in contents:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, values in content.items():
                file[name] = values
        with pytest.raises(TableError, match=words):
            read_table(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["a.h5", "a.csv.gz", "a.parquet", "a.gz", "a.parquet.gz", "a.h5ad"])
def test_a_file_that_is_cut_short_or_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError, match=name):
        read_table(tmp_path / name)
    with pytest.raises(TableError, match="nowhere"):
        read_table(tmp_path / "nowhere" / name)


@pytest.mark.skipif(find_spec("tables") is None, reason="PyTables is not installed")
@pytest.mark.parametrize("columns", [None, True, ["well"]], ids=str)
@pytest.mark.filterwarnings("ignore")  # whatever PyTables says
def test_pandas_itself_is_read(columns: Any, table: pl.DataFrame, tmp_path: Path) -> None:
    frame = table.to_pandas()
    frame.to_hdf(tmp_path / "t.h5", key="a", format="table", data_columns=columns)
    frame.drop(columns="well").to_hdf(tmp_path / "f.h5", key="a")
    frame.to_hdf(tmp_path / "p.h5", key="a")
    assert read_table(tmp_path / "t.h5").select(table.columns).equals(table)
    assert read_table(tmp_path / "f.h5").equals(table.drop("well"))
    with pytest.raises(TableError, match="pickle"):
        read_table(tmp_path / "p.h5")
