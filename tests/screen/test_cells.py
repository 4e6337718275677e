"""A cell table comes under our names and whole, or is refused with a reason; never anything else."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrascope import cli
from contrascope import vocabulary as v
from contrascope.config import CellTableSettings
from contrascope.errors import ContrascopeError, SettingsError, TableError
from contrascope.screen.cells import read_cells
from contrascope.screen.screen import open_screen
from contrascope.screen.table_files import collected, scan_table
from contrascope.store.crops import extract_crops
from contrascope.store.store import open_store


def read(folder: Path, table: pl.DataFrame, *, name: str = "cells.parquet", **changes: Any) -> pl.DataFrame:
    (table.write_csv if name.endswith(".csv") else table.write_parquet)(folder / name)
    return read_cells(CellTableSettings.model_validate({"table": folder / name, "control": "control"} | changes))


def refusal(folder: Path, table: pl.DataFrame, **changes: Any) -> str:
    with pytest.raises(ContrascopeError) as caught:
        read(folder, table, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_our_columns_come_first_and_all_others_stay(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    table = toy_cells.with_columns(pl.lit(3.5).alias("Zellgröße"), pl.lit("G1").alias("cycle"))
    cells = read(tmp_path, table.select(reversed(table.columns)))
    assert cells.columns[:7] == list(v.REQUIRED)
    assert cells[v.CONTROL].to_list() == (toy_cells["perturbation"] == "control").to_list()
    assert cells["batch"].unique().sort().to_list() == ["P1_A01", "P1_A02"]
    assert cells.select(table.columns).equals(table.with_columns(pl.col("tile").cast(pl.String)))


def test_csv_tsv_and_parquet_say_the_same(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    toy_cells.write_csv(tmp_path / "cells.tsv", separator="\t")
    parquet, csv = read(tmp_path, toy_cells), read(tmp_path, toy_cells, name="cells.csv")
    assert parquet.equals(csv)
    assert parquet.equals(read_cells(CellTableSettings(table=tmp_path / "cells.tsv", control="control")))


def test_a_table_in_a_folder_of_any_name_is_found(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    folder = tmp_path / "plate [1] * ü"
    folder.mkdir()
    for name in ("cells[2].csv", "cells?.parquet"):
        assert read(folder, toy_cells, name=name).height == toy_cells.height


def test_the_published_tables_are_read_by_their_preset(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    funk = toy_cells.rename(
        {"cell_id": "UID", "y": "cell_i", "x": "cell_j", "guide": "sgRNA_0", "perturbation": "gene_symbol_0"}
    )
    assert read(tmp_path, funk, preset="funk2022").equals(read(tmp_path, toy_cells))


def test_several_columns_are_joined_and_a_constant_serves_all(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    table = toy_cells.drop("plate", "cell_id")
    cells = read(
        tmp_path, table, columns={"batch": ["well", "tile"], "guide": ["perturbation", "guide"]}, constants={"plate": 7}
    )
    assert cells["plate"].unique().to_list() == ["7"]
    assert cells["batch"][0] == "A01_0"
    assert cells["guide"][1] == "GENE1_g1"
    assert cells["cell_id"].to_list() == [str(i) for i in range(24)]


@pytest.mark.parametrize("name", ["height", "width", "tile_index", "reason", "split", "field_distance", "cells"])
def test_a_column_that_bears_the_name_of_one_of_our_own_misleads_nobody(
    name: str, tmp_path: Path, toy_cells: pl.DataFrame, write_screen: Callable[..., Path]
) -> None:
    plain = tmp_path / "plain"
    named = tmp_path / "named"
    for folder, cells in ((plain, toy_cells), (named, toy_cells.with_columns(pl.lit(1).alias(name)))):
        folder.mkdir()
        write_screen(folder, cells=cells)
    with_it, without = (extract_crops(open_screen(f / "screen.yaml"), f / "s.zarr") for f in (named, plain))
    kept = name if name in with_it.cells.columns and name not in without.cells.columns else f"table_{name}"
    assert with_it.cells.drop(kept).equals(without.cells)
    assert with_it.cells[kept].to_list() == [1] * len(with_it)


def test_columns_that_would_get_one_name_are_both_kept(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    table = toy_cells.with_columns(pl.lit(1).alias("control"), pl.lit(2).alias("table_control"))
    cells = read(tmp_path, table)
    assert cells["table_control"][0] == 2
    assert cells["table_table_control"][0] == 1


def test_controls_are_a_label_several_labels_a_prefix_or_another_column(
    tmp_path: Path, toy_cells: pl.DataFrame
) -> None:
    table = toy_cells.with_columns((pl.col("perturbation") == "GENE2").alias("count"))
    for control, share in (("control", 1), (["control", "GENE2"], 2), ("GENE*", 2)):
        assert read(tmp_path, table, control=control)[v.CONTROL].sum() == 8 * share
    assert read(tmp_path, table, control={"column": "count", "values": ["true"]})[v.CONTROL].sum() == 8


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ("nontargeting", ("'nontargeting' does not occur", "GENE1")),
        (["control", "DMSO"], ("DMSO",)),
        ("*", ("All 24 cells",)),
        ("", ("does not occur",)),
        ({"column": "role", "values": ["control"]}, ("'role'",)),
        ({"column": "count", "values": ["9"]}, ("'9'", "count")),
    ],
)
def test_controls_that_tell_nobody_apart_are_refused(
    tmp_path: Path, toy_cells: pl.DataFrame, control: Any, words: tuple[str, ...]
) -> None:
    message = refusal(tmp_path, toy_cells.with_columns(pl.lit(1).alias("count")), control=control)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", v.REQUIRED)
def test_a_missing_column_is_named(name: str, tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    message = refusal(tmp_path, toy_cells.rename({name: f"{name}_0"}))
    assert f"'{name}' (as {name}" in message
    assert f"{name}_0" in message


@pytest.mark.parametrize("name", [v.PLATE, v.WELL, v.TILE, v.CELL_ID, v.Y, v.X, v.BATCH])
def test_a_cell_that_lies_nowhere_is_refused(name: str, tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    table = toy_cells.with_columns(pl.col("well").alias("batch"))
    table = table.with_columns(pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise(pl.col(name)).alias(name))
    for file in ("cells.parquet", "cells.csv"):
        assert name in refusal(tmp_path, table, name=file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_position_that_is_no_number_is_refused(value: float, tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    table = toy_cells.with_columns(pl.when(pl.col("cell_id") == "c07").then(value).otherwise(pl.col("x")).alias("x"))
    for file in ("cells.parquet", "cells.csv"):
        assert "c07" in refusal(tmp_path, table, name=file)


def test_an_id_that_stands_twice_is_named(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    assert "c03" in refusal(tmp_path, pl.concat([toy_cells, toy_cells[3:4]]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preset": "funk2023"}, "funk2022"),
        ({"columns": {"gene": "perturbation"}}, "'gene'"),
        ({"columns": {"y": ["y", "x"]}}, "makes y of several columns"),
        ({"columns": {"y": "well"}}, "holds String"),
        ({"constants": {"y": 3}}, "gives one y to all cells"),
        ({"constants": {"cell_id": 3}}, "gives one cell_id to all cells"),
        ({"columns": {"stage": "phase"}}, "'phase' (as stage"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(
    tmp_path: Path, toy_cells: pl.DataFrame, changes: dict[str, Any], words: str
) -> None:
    assert words in refusal(tmp_path, toy_cells, **changes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cells.csv", b""),
        ("cells.csv", b"plate,well,tile\n"),
        ("cells.csv", b"a,b\n1,2,3\n4\n"),
        ("cells.csv", b"a,b\n\xff\xfe,\x80\n"),
        ("cells.parquet", b""),
        ("cells.parquet", b"PAR1 and no more"),
        ("cells.xlsx", b"PK"),
    ],
)
def test_a_file_that_is_no_table_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match="cells"):
        read_cells(CellTableSettings(table=tmp_path / name, control="control"))


def test_a_table_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    for name in ("nowhere.csv", "nowhere.parquet", "folder.parquet"):
        with pytest.raises(TableError, match=name):
            read_cells(CellTableSettings(table=tmp_path / name, control="control"))


NAMES = [*v.REQUIRED, "cell_id", "batch", "stage", "tile_row", "control", "table_control", "height", "tile_index"]
HOSTILE = {
    "absurd numbers": st.sampled_from([0.0, -0.5, 0.49, 39.5, 47.5, 47.51, -1e-9, 1e300, -1e308, 2.0**53, 1e-320]),
    "numbers": st.floats(-5, 60) | st.floats(),
    "whole numbers": st.integers(-(2**63), 2**63 - 1),
    "huge numbers": st.integers(0, 2**64 - 1),
    "numbers as words": st.sampled_from(["20", "20.5", " 20", "1e300", "nan", "NaN", "inf", "-1", "1,5", "0x10", ""]),
    "words": st.text(max_size=4) | st.sampled_from(["P1", "A1", "a01", "0", "00", "control", "é", "\u202e", "A\n1"]),
    "truth": st.booleans(),
    "bytes": st.binary(max_size=3),
    "lists": st.lists(st.integers(0, 3), max_size=2),
    "records": st.fixed_dictionaries({"a": st.integers(0, 3)}),
    "days": st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    "decimals": st.decimals(-99, 99, places=2).map(Decimal),
    "nothing": st.none(),
}
TYPES = [pl.Int8, pl.UInt64, pl.Float32, pl.Boolean, pl.String, pl.Binary, pl.Categorical, pl.Datetime, pl.Null]
Befall = Callable[[pl.DataFrame], pl.DataFrame]


@st.composite
def hostile_columns(draw: st.DrawFn) -> Befall:
    """A column, there or not, that holds something else."""
    name, kind = draw(st.sampled_from([*NAMES, "", "ü", "a b"])), draw(st.sampled_from(sorted(HOSTILE)))
    some = draw(st.lists(HOSTILE[kind] | st.none() if draw(st.booleans()) else HOSTILE[kind], min_size=24, max_size=24))
    dtype = pl.UInt64 if kind == "huge numbers" else None
    return lambda t: t.with_columns(pl.Series(name, (some * 2)[: t.height], dtype, strict=False))


@st.composite
def hostile_tables(draw: st.DrawFn) -> Befall:
    """What can befall a good table: columns of other kinds, missing, or in another order; and rows too."""
    name, dtype = st.sampled_from(NAMES), st.sampled_from(TYPES)
    befalls = st.one_of(
        hostile_columns(),
        hostile_columns(),
        name.map(lambda n: lambda t: t.drop(n, strict=False)),
        name.map(lambda n: lambda t: t.rename({n: n.upper()}, strict=False)),
        st.tuples(name, dtype).map(lambda pair: lambda t: _cast(t, *pair)),
        st.randoms(use_true_random=False).map(lambda r: lambda t: t.select(r.sample(t.columns, len(t.columns)))),
        st.integers(0, 2**32).map(lambda seed: lambda t: t.sample(fraction=1, shuffle=True, seed=seed)),
        st.just(lambda t: pl.concat([t, t[:3]])),
        st.just(lambda t: t.clear()),
    )
    changes = draw(st.lists(befalls, min_size=1, max_size=3))

    def befall(table: pl.DataFrame) -> pl.DataFrame:
        for change in changes:
            table = change(table)
        return table

    return befall


def _cast(table: pl.DataFrame, name: str, dtype: Any) -> pl.DataFrame:
    try:
        return table.with_columns(pl.col(name).cast(dtype, strict=False))
    except pl.exceptions.PolarsError:  # no such column, or no way from one type to the other
        return table


def ingested(screen: Path, out: Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    said, complained = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        patch.setattr("sys.argv", ["contrascope", "ingest", str(screen), "--out", str(out), "--json"])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return int(end.value.code or 0), said.getvalue(), complained.getvalue()


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(befall=hostile_tables(), as_csv=st.booleans())
def test_any_table_is_accounted_for_or_refused_in_one_paragraph(
    befall: Befall, as_csv: bool, toy_cells: pl.DataFrame, write_screen: Callable[..., Path]
) -> None:
    table = befall(toy_cells)
    nested = any(dtype.is_nested() or dtype in (pl.Binary, pl.Object) for dtype in table.dtypes)
    file = "cells.csv" if as_csv and not nested and table.width else "cells.parquet"
    with tempfile.TemporaryDirectory() as name:
        screen, out = write_screen(Path(name), cells=table, table=file), Path(name) / "cells.zarr"
        code, said, complained = ingested(screen, out)
        if code == 1:
            assert re.fullmatch(r"[A-Z]\w+Error: .+\.\n", complained), complained
            assert not said
            assert not (out / "zarr.json").exists()
            return
        assert code == 0
        told, store = json.loads(said), open_store(out)
        account, dropped = store.account, pl.read_parquet(out / "dropped.parquet")
        assert told["rows"] == account.rows == table.height == account.stored + sum(account.dropped.values())
        assert dict(dropped["reason"].value_counts().iter_rows()) == account.dropped == told["dropped"]
        ids = [*store.cells["cell_id"], *dropped["cell_id"]]
        assert len(set(ids)) == len(ids) == table.height
        assert store.read(np.arange(len(store))).shape == (len(store), 2, 16, 16)
        assert len(store.labels) == len(store)


def test_an_unknown_preset_is_a_matter_of_settings(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    with pytest.raises(SettingsError):
        read(tmp_path, toy_cells, preset="cellprofiler")


def test_a_row_that_stands_twice_is_refused_where_cells_have_no_id_of_their_own(
    tmp_path: Path, toy_cells: pl.DataFrame
) -> None:
    table = toy_cells.drop("cell_id", strict=False)
    once = read(tmp_path, table)
    message = refusal(tmp_path, pl.concat([table, table[[3]]]))
    assert message.startswith("2 rows of") and f"y {once['y'][3]:g}, x {once['x'][3]:g}" in message
    named = pl.concat([table, table[[3]]]).with_row_index("cell_id")
    assert read(tmp_path, named).height == table.height + 1, "they have ids of their own"
    moved = table[[3]].with_columns(pl.col("x") + 1)
    assert read(tmp_path, pl.concat([table, moved])).height == table.height + 1


def test_a_well_that_is_spelled_in_two_ways_is_one_batch(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    spelled = (
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("well")).otherwise(pl.col("well").str.replace("A", "a0"))
    )
    cells = read(tmp_path, toy_cells.with_columns(spelled))
    assert cells["well"].n_unique() == 4
    assert cells["batch"].unique().sort().to_list() == ["P1_A01", "P1_A02"]


def test_labels_of_a_csv_are_what_is_written(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    number = {"control": "00", "GENE1": "01", "GENE2": "1"}
    table = toy_cells.with_columns(
        pl.col("perturbation").replace_strict(number).alias("perturbation"),
        pl.format("0{}", pl.int_range(pl.len())).alias("cell_id"),
        pl.col("perturbation").replace_strict(number).alias("guide"),
    )
    cells = read(tmp_path, table, name="cells.csv", control="00")
    for name in ("perturbation", "guide", "cell_id"):
        assert cells[name].cast(pl.String).to_list() == table[name].to_list()
    assert cells["control"].sum() == (table["perturbation"] == "00").sum()


def test_blanks_around_labels_make_no_perturbation_and_no_control(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    blank = pl.col("perturbation").replace({"GENE1": "GENE1 ", "control": " control"})
    first = pl.int_range(pl.len()) < 3
    table = toy_cells.with_columns(
        pl.when(first).then(pl.lit("  ")).otherwise(blank).alias("perturbation"),
        pl.when(first).then(pl.lit("")).otherwise(pl.format(" {} ", "guide")).alias("guide"),
        pl.format("{} ", "cell_id").alias("cell_id"),
        pl.when(first).then(pl.lit("negcon ")).otherwise(pl.lit("poscon")).alias("kind"),
    )
    for name in ("cells.csv", "cells.parquet"):
        cells = read(tmp_path, table, name=name)
        assert cells["perturbation"].cast(pl.String).to_list()[3:] == toy_cells["perturbation"].to_list()[3:]
        assert cells["guide"].cast(pl.String).to_list() == [None] * 3 + toy_cells["guide"].to_list()[3:]
        assert cells["cell_id"][0] == "c00 "
        assert cells["control"].sum() == 7
        kinds = read(tmp_path, table, name=name, control={"column": "kind", "values": ["negcon"]})
        assert kinds["control"].sum() == 3


def test_a_number_that_is_none_is_no_label(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    number = pl.col("perturbation").replace_strict({"control": 0.0, "GENE1": float("nan"), "GENE2": 2.0})
    table = toy_cells.with_columns(
        number.alias("perturbation"), pl.col("perturbation").replace("GENE2", "NaN").alias("guide")
    )
    cells = read(tmp_path, table, control="0.0")
    assert cells["perturbation"].unique().drop_nulls().cast(pl.String).sort().to_list() == ["0.0", "2.0"]
    assert cells["perturbation"].null_count() == 8
    assert "NaN" in cells["guide"].unique().to_list()


def test_a_well_without_a_name_is_refused(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    table = toy_cells.with_columns(pl.when(pl.col("well") == "A1").then(pl.lit(" ")).otherwise("well").alias("well"))
    assert "12 cells" in refusal(tmp_path, table)
    assert "no well" in refusal(tmp_path, table)


def late(cells: pl.DataFrame, tmp_path: Path, **ends: Any) -> Path:
    """A CSV of 12,000 rows whose columns are whole numbers, but for the last rows."""
    long = pl.concat([cells] * 500).with_columns(pl.int_range(pl.len()).alias("cell_id"))
    numbers = [pl.lit(5, pl.Int64).cast(pl.String).alias(name) for name in ends]
    endings = [
        pl.when(pl.int_range(pl.len()) < 11_990).then(pl.col(name)).otherwise(pl.lit(end)).alias(name)
        for name, end in ends.items()
    ]
    long.with_columns(numbers).with_columns(endings).write_csv(tmp_path / "late.csv", quote_style="never")
    return tmp_path / "late.csv"


def test_a_column_of_a_csv_may_change_its_looks_after_many_rows(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    path = late(toy_cells, tmp_path, area="5.5", note="nothing", perturbation="DMSO", guide="none")
    cells = read_cells(CellTableSettings(table=path, control="DMSO"))
    assert cells["area"].dtype == pl.Float64
    assert cells["note"].to_list()[-11:] == ["5"] + ["nothing"] * 10
    assert cells["control"].sum() == 10
    by_column = {"column": "perturbation", "values": ["DMSO"]}
    settings = CellTableSettings.model_validate({"table": path, "control": by_column})
    assert read_cells(settings).equals(cells)


def test_a_csv_that_cannot_be_read_comes_without_advice_for_programmers(tmp_path: Path) -> None:
    for text in ('plate,well\nP1,A0\nP1,"A1\nP1,A2\n', "plate,well\nP1,A0\nP1,A1,7\n"):
        (tmp_path / "cells.csv").write_text(text)
        with pytest.raises(TableError, match="cannot be read") as caught:
            collected(scan_table(tmp_path / "cells.csv", infer=None), tmp_path / "cells.csv")
        assert not re.search("infer_schema|ragged|schema_overrides|offset", str(caught.value))


@pytest.mark.parametrize("name", ["cells.csv", "cells.parquet"])
def test_a_control_without_a_dose_is_called_by_its_compound(name: str, tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    dose = pl.when(pl.col("perturbation") != "control").then(pl.lit(2.5))
    compound = pl.col("perturbation").replace("GENE2", None)
    table = toy_cells.select(pl.exclude("guide", "perturbation"), dose.alias("dose"), compound.alias("compound"))
    columns = {"perturbation": ["compound", "dose"], "guide": ["compound", "dose", "well"]}
    cells = read(tmp_path, table, name=name, columns=columns)
    assert cells["perturbation"].to_list()[:3] == ["control", "GENE1_2.5", None]
    assert cells["guide"].to_list()[:3] == ["control_A01", "GENE1_2.5_A01", None]
    assert cells["control"].sum() == 8


def test_a_place_of_which_a_part_is_empty_is_no_place(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    table = toy_cells.with_columns(pl.lit("A").alias("row"), pl.lit(None, pl.Int64).alias("column")).drop("well")
    assert "no well" in refusal(tmp_path, table, columns={"well": ["row", "column"]})


def test_a_missing_column_is_named_with_all_that_was_to_be_made_of_it(tmp_path: Path, toy_cells: pl.DataFrame) -> None:
    columns = {"well": "Metadata_Well", "guide": ["perturbation", "Metadata_Well"]}
    message = refusal(tmp_path, toy_cells, columns=columns)
    assert "'Metadata_Well' (as well and guide)" in message
    assert "no guides" not in message
    assert "no guides" in refusal(tmp_path, toy_cells.drop("guide"))


def test_a_guide_or_batch_made_of_a_place_knows_it_however_it_is_spelled(
    tmp_path: Path, toy_cells: pl.DataFrame
) -> None:
    odd = pl.int_range(pl.len()) % 2 == 0
    table = toy_cells.with_columns(
        pl.when(odd).then(pl.col("well")).otherwise(pl.col("well").str.replace("A", "a0")),
        pl.when(odd).then(pl.lit("1")).otherwise(pl.lit("01 ")).alias("plate"),
        pl.col("perturbation").alias("drug"),
    ).drop("guide")
    joined = {"guide": ["drug", "well"], "batch": "plate", "perturbation": "drug"}
    cells = read(tmp_path, table, columns=joined)
    assert cells["batch"].unique().to_list() == ["1"]
    assert set(cells["guide"].unique()) == {
        f"{drug}_A0{n}" for drug, n in zip(toy_cells["perturbation"], toy_cells["well"].str.tail(1), strict=True)
    }
    assert cells["cell_id"].to_list() == toy_cells["cell_id"].to_list()
    assert not [name for name in cells.columns if "spelled" in name]
