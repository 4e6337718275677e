"""Tables of a database are read as they were written, and a column of numbers as numbers whatever it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contrascope.errors import TableError
from contrascope.features import sqlite
from contrascope.features.sqlite import tables_in

N = 50
TABLE = pl.DataFrame(
    {
        "ImageNumber": [2**60 + i for i in range(N)],
        "Cells_AreaShape_Area": np.random.default_rng(0).normal(size=N),
        "Metadata_Well": [None if i % 9 == 0 else f"A{i % 4}" for i in range(N)],
    }
)
DECLARED = '"ImageNumber" INTEGER, "Cells_AreaShape_Area" REAL, "Metadata_Well" TEXT'


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def database(path: Path, declared: str, rows: list[tuple[object, ...]], *, name: str = "Per_Cells") -> Path:
    with closing(sqlite3.connect(path)) as opened:
        opened.execute(f"CREATE TABLE {quoted(name)} ({declared})")
        opened.executemany(f"INSERT INTO {quoted(name)} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        opened.commit()
    return path


@pytest.mark.parametrize("at_once", [7, 20_000])
def test_a_table_is_read_as_it_was_written_whatever_is_asked_of_it(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_ROWS", at_once)
    lazy = tables_in(database(tmp_path / "a b?%.sqlite", DECLARED, TABLE.rows()))["Per_Cells"]
    assert_frame_equal(lazy.collect(), TABLE)
    large = pl.col("Cells_AreaShape_Area") > 0
    for asked in (
        lambda t: t.select("Metadata_Well"),
        lambda t: t.filter(large).select("ImageNumber"),
        lambda t: t.head(13),
        lambda t: t.filter(large).head(3),
        lambda t: t.slice(20, 11),
        lambda t: t.filter(pl.col("ImageNumber") < 0),
        lambda t: t.select(pl.len()),
        lambda t: t.filter(large).select(pl.len()),
    ):
        assert_frame_equal(asked(lazy).collect(), asked(TABLE.lazy()).collect())


@settings(max_examples=20)
@given(
    names=st.lists(st.text("ab \"'`%;ä[", min_size=1, max_size=5), min_size=1, max_size=4, unique_by=str.lower),
    table=st.text("x \"'-;", min_size=1, max_size=4),
)
def test_names_may_hold_what_sql_means_something_by(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], table: str
) -> None:
    path = tmp_path_factory.mktemp("names") / "t.db"
    database(path, ", ".join(f"{quoted(name)} REAL" for name in names), [(1.5,) * len(names)], name=table)
    assert tables_in(path)[table].collect().to_dict(as_series=False) == {name: [1.5] for name in names}


ANY = (
    st.none() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=3) | st.binary(max_size=3)
)


@settings(max_examples=20)
@given(values=st.lists(ANY | st.sampled_from(["nan", "1e3", " 7", b"2.5"]), min_size=1, max_size=8))
def test_in_a_column_of_numbers_what_is_no_number_is_missing(
    tmp_path_factory: pytest.TempPathFactory, values: list[object]
) -> None:
    path = database(tmp_path_factory.mktemp("any") / "t.db", "area REAL", [(value,) for value in values])
    column = tables_in(path)["Per_Cells"].collect()["area"]
    assert column.dtype == pl.Float64
    for value, found in zip(values, column, strict=True):
        if isinstance(value, int | float):
            assert found == float(value)
        elif isinstance(value, str) and not any(c.isdigit() or c.isalpha() for c in value):
            assert found is None


def test_texts_stay_texts_and_numbers_that_nobody_declared_are_numbers(tmp_path: Path) -> None:
    path = database(tmp_path / "t.db", "well, area, note VARCHAR(9)", [("A01", 3, "007"), (None, None, None)])
    assert tables_in(path)["Per_Cells"].collect().to_dict(as_series=False) == {
        "well": ["A01", None],
        "area": [3.0, None],
        "note": ["007", None],
    }


def test_tables_without_rows_are_left_out_and_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = database(tmp_path / "t.db", "a REAL", [(1.0,)])
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("CREATE TABLE Empty (a REAL)")
        opened.commit()
    assert list(tables_in(path)) == ["Per_Cells"]
    (tmp_path / "cut.db").write_bytes(path.read_bytes()[:5000])
    (tmp_path / "other.db").write_bytes(b"a,b\n1,2\n" * 1000)
    for name in ("cut.db", "other.db", "nowhere.db"):
        with pytest.raises(TableError, match=f"{name} cannot be read as an SQLite database"):
            tables_in(tmp_path / name)
    assert not (tmp_path / "nowhere.db").exists(), "reading makes no database"
