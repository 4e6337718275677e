"""Cells embedded into a folder are the cells embedded into memory, however often it was killed on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from contrascope import embedding, progress
from contrascope.embedding import embed, on_disk, prediction
from contrascope.embedding.on_disk import CellsOnDisk, cells_per_chunk
from contrascope.errors import RunError, SettingsError
from contrascope.profiles.sums import sums_path
from contrascope.store.arrays import store_from_arrays
from contrascope.store.store import CropStore
from contrascope.training.processes import Processes
from contrascope.training.run import Run, open_run

ALL = {"uncertainty": True, "error": True}
BytesOf = Callable[[Path], dict[str, bytes]]


class Killed(BaseException):
    """What a test throws in place of SIGKILL; nothing of ours catches it."""


def killed(*_: object) -> None:
    raise Killed


def same(one: ad.AnnData, other: ad.AnnData) -> None:
    pd.testing.assert_frame_equal(one.obs, other.obs, check_index_type=False)
    assert set(one.obsm) == set(other.obsm)
    for name in one.obsm:
        np.testing.assert_array_equal(one.obsm[name], other.obsm[name])
        assert one.obsm[name].dtype == other.obsm[name].dtype
    assert one.X is None
    assert other.X is None


def test_the_folder_read_back_is_the_embedding_in_memory(folder: Path, long_store: CropStore, long_run: Run) -> None:
    cells, read = embed(long_store, long_run, **ALL), ad.read_zarr(folder)
    same(read, cells)
    facts = read.uns["contrascope"]
    assert (facts["run"], facts["store"]) == (long_run.fingerprint, long_store.fingerprint)
    assert list(facts["channels"]) == long_store.channels


def test_anndata_writes_and_reads_the_same_of_what_is_in_memory(
    folder: Path, long_store: CropStore, long_run: Run, tmp_path: Path
) -> None:
    embed(long_store, long_run, **ALL).write_h5ad(tmp_path / "cells.h5ad")
    same(ad.read_zarr(folder), ad.read_h5ad(tmp_path / "cells.h5ad"))


def test_the_cell_table_is_pandas_own_reading_of_the_stores(folder: Path, long_store: CropStore, long_run: Run) -> None:
    obs, table = ad.read_zarr(folder).obs, long_store.cells.to_pandas()
    assert obs.index.tolist() == table["cell_id"].tolist()
    for name in table:
        expected, found = table[name], obs[name]
        assert found.isna().tolist() == expected.isna().tolist()
        assert found[found.notna()].tolist() == expected[expected.notna()].tolist()
    assert obs["area"].dtype == np.int32
    assert obs["brightness"].dtype == np.float32
    assert obs["depth"].dtype == np.float64
    assert obs["control"].dtype == bool
    assert obs["note"].dtype == object
    assert obs["tile"].cat.categories.tolist() == sorted(set(table["tile"]))
    assert obs["phase"].cat.categories.tolist() == ["G", "M"]
    assert obs["split"].tolist() == long_run.split().to_list()


def test_it_can_be_read_lazily(folder: Path) -> None:
    pytest.importorskip("xarray")
    lazy, read = ad.experimental.read_lazy(folder), ad.read_zarr(folder)
    np.testing.assert_array_equal(lazy.obsm["salient"][1000:1100].compute(), read.obsm["salient"][1000:1100])
    assert lazy.obs["guide"].to_numpy().tolist() == read.obs["guide"].tolist()


def test_nothing_is_left_beside_what_anndata_knows(folder: Path) -> None:
    known = {"obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns", "zarr.json"}
    assert {child.name for child in folder.iterdir()} == known


@pytest.mark.parametrize("moment", [0, 1, 17, 40, 60, 75, -1])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    moment: int,
    folder: Path,
    long_store: CropStore,
    long_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bytes_of: BytesOf,
) -> None:
    out, write, written = tmp_path / "cells.zarr", on_disk.write_bytes, []
    last = len(bytes_of(folder)) - 1

    def writing(path: Path, data: bytes) -> None:
        if len(written) == (moment if moment >= 0 else last):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.1.writing").write_bytes(data[: len(data) // 2])
            raise Killed
        written.append(path)
        write(path, data)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(on_disk, "write_bytes", writing)
        embed(long_store, long_run, out=out, **ALL)
    with pytest.raises(Exception, match=r"(?s)."):
        ad.read_zarr(out)
    embed(long_store, long_run, out=out, **ALL)
    assert bytes_of(out) == bytes_of(folder)
    assert bytes_of(sums_path(out)) == bytes_of(sums_path(folder))


def test_chunks_that_are_done_are_not_computed_again(
    folder: Path, long_store: CropStore, long_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, chunks = tmp_path / "cells.zarr", []
    write = CellsOnDisk.write

    def writing(self: CellsOnDisk, chunk: int, values: dict[str, np.ndarray]) -> None:
        chunks.append(chunk)
        write(self, chunk, values)
        if len(chunks) == 2:
            raise Killed

    monkeypatch.setattr(CellsOnDisk, "write", writing)
    with pytest.raises(Killed):
        embed(long_store, long_run, out=out, **ALL)
    embed(long_store, long_run, out=out, **ALL)
    assert chunks == [0, 1, 2]


def test_a_finished_folder_is_opened_and_not_computed_again(
    folder: Path, long_store: CropStore, long_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrascope.embedding.predict", None)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert embed(long_store, long_run, out=folder, **ALL) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_other_inputs_is_refused_and_left_alone(
    finished: bool, folder: Path, long_store: CropStore, long_run: Run, tmp_path: Path, bytes_of: BytesOf
) -> None:
    there = tmp_path / "cells.zarr"
    shutil.copytree(folder, there)
    if not finished:
        (there / "zarr.json").unlink()
        on_disk.write_json(there / "embedding.json", {"fingerprint": "another"})
    before = bytes_of(there)
    with pytest.raises(RunError, match="embedded from other inputs"):
        embed(long_store, long_run, out=there, uncertainty=not finished, error=True, baselines=False)
    assert bytes_of(there) == before


def test_a_folder_of_something_else_is_refused(long_store: CropStore, long_run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="no embedding of ours"):
        embed(long_store, long_run, out=tmp_path / "mine.zarr")
    with pytest.raises(RunError, match=r"Name it \.zarr"):
        embed(long_store, long_run, out=tmp_path / "mine.h5ad")


def test_a_termination_signal_ends_it_and_what_is_finished_is_kept(
    long_store: CropStore, long_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = CellsOnDisk.write, []

    def write_and_be_told_to_end(cells: CellsOnDisk, chunk: int, values: dict[str, np.ndarray]) -> None:
        write(cells, chunk, values)
        written.append(chunk)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CellsOnDisk, "write", write_and_be_told_to_end)
        embed(long_store, long_run, out=tmp_path / "cells.zarr")
    assert written == [0] and not on_disk.is_filled(tmp_path / "cells.zarr")
    embed(long_store, long_run, out=tmp_path / "cells.zarr")
    assert on_disk.is_filled(tmp_path / "cells.zarr")


def test_what_lies_where_the_sums_would_go_is_left_alone(long_store: CropStore, long_run: Run, tmp_path: Path) -> None:
    (tmp_path / "cells.sums.zarr").mkdir()
    (tmp_path / "cells.sums.zarr" / "notes.txt").write_text("mine")
    with pytest.raises(SettingsError, match="holds no cells or profiles"):
        embed(long_store, long_run, out=tmp_path / "cells.zarr")
    assert (tmp_path / "cells.sums.zarr" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "cells.zarr").exists()


def test_a_crop_store_is_not_taken_for_embedded_cells(long_store: CropStore, long_run: Run, tmp_path: Path) -> None:
    shutil.copytree(long_store.path, tmp_path / "cells.zarr")
    with pytest.raises(RunError, match="holds no embedding of ours"):
        embed(long_store, long_run, out=tmp_path / "cells.zarr")
    on_disk.remove_cells(tmp_path / "cells.zarr")
    assert (tmp_path / "cells.zarr" / "zarr.json").is_file()


@pytest.mark.parametrize("damage", ["missing", "cut short", "of another store"])
def test_a_run_whose_split_is_damaged_is_told_before_the_work(
    long_store: CropStore, long_run: Run, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(long_run.path, tmp_path / "run")
    file = tmp_path / "run" / "split.parquet"
    if damage == "missing":
        file.unlink()
    elif damage == "cut short":
        file.write_bytes(file.read_bytes()[:20])
    else:
        pl.read_parquet(file).head(5).write_parquet(file)
    with pytest.raises(RunError, match=r"split of the run .*(cannot be read|is of 5 cells).* train again"):
        embed(long_store, open_run(tmp_path / "run"), out=tmp_path / "cells.zarr")
    assert not (tmp_path / "cells.zarr").exists()


def test_several_devices_need_a_folder_to_fill(long_store: CropStore, long_run: Run) -> None:
    with pytest.raises(SettingsError, match="name a folder"):
        embed(long_store, long_run, devices=2)  # type: ignore[call-overload]


def test_no_devices_at_all_are_refused(long_store: CropStore, long_run: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="numbers from 1"):
        embed(long_store, long_run, out=tmp_path / "cells.zarr", devices=0)


def test_chunks_rounded_in_two_ways_do_not_come_into_one_folder(
    folder: Path, long_store: CropStore, long_run: Run, tmp_path: Path, bytes_of: BytesOf
) -> None:
    out = tmp_path / "cells.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CellsOnDisk, "finish", killed)
        with pytest.raises(Killed):
            embed(long_store, long_run, out=out, **ALL)
    begun = json.loads((out / "embedding.json").read_text())
    assert begun["computed_in"] == "fp32"
    (out / "embedding.json").write_text(json.dumps(begun | {"computed_in": "bf16"}))
    with pytest.raises(RunError, match="begun on a machine that computes in bf16, this one does so in fp32"):
        embed(long_store, long_run, out=out, **ALL)
    (out / "embedding.json").write_text(json.dumps(begun))
    embed(long_store, long_run, out=out, **ALL)
    assert bytes_of(out) == bytes_of(folder)


def test_fewer_chunks_than_processes_leave_some_without_work(
    long_store: CropStore, long_run: Run, tmp_path: Path, bytes_of: BytesOf
) -> None:
    few = np.arange(300)
    path = tmp_path / "few.zarr"
    store = store_from_arrays(long_store.read(few), long_store.cells[few], path, channels=long_store.channels)
    one, two = (embed(store, long_run, out=tmp_path / f"{n}.zarr", devices=n) for n in (1, 2))
    assert bytes_of(two) == bytes_of(one)


@pytest.mark.slow
def test_a_script_or_a_notebook_has_processes_started_and_goes_on_after_a_kill(
    folder: Path, long_store: CropStore, long_run: Run, tmp_path: Path, bytes_of: BytesOf
) -> None:
    out, stopped, started = tmp_path / "cells.zarr", tmp_path / "stopped.zarr", []

    class Watched(Processes):
        def __init__(self, *arguments: Any):
            super().__init__(*arguments)
            started.append(self)

    def kill(*_: object) -> None:
        started[-1].processes[1].kill()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "Processes", Watched)
        with progress.listening(kill), pytest.raises(RunError, match=r"was killed \(SIGKILL\).*goes on"):
            embed(long_store, long_run, out=out, devices=2, **ALL)
        with progress.listening(stop), pytest.raises(KeyboardInterrupt):
            embed(long_store, long_run, out=stopped, devices=2, **ALL)
    assert not on_disk.is_filled(out)
    assert not on_disk.is_filled(stopped)
    assert all(process.poll() is not None for each in started for process in each.processes)
    for path in (out, stopped):
        assert embed(long_store, long_run, out=path, devices=2, **ALL) == path
        assert bytes_of(path) == bytes_of(folder)


def test_chunks_hold_full_batches_and_are_few_but_never_huge() -> None:
    for cells in (1, 1_000, 10_000, 123_456, 1_000_000, 31_000_000):
        per_chunk = cells_per_chunk(cells)
        assert per_chunk % prediction.BATCH_SIZE == 0
        assert per_chunk <= 65_536
        assert -(-cells // per_chunk) <= max(16, -(-cells // 65_536))


SBATCH = {"SLURM_JOB_ID": "51234", "SLURM_JOB_NAME": "embed", "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}
"""What a job on two nodes finds around it before any srun."""


@pytest.mark.slow
@pytest.mark.parametrize("started_by", ["the command", "the command in a job of SLURM", "torchrun"])
def test_two_processes_write_the_bytes_of_one(
    folder: Path, long_store: CropStore, long_run: Run, tmp_path: Path, bytes_of: BytesOf, started_by: str
) -> None:
    out = tmp_path / "cells.zarr"
    words = ["embed", long_store.path, long_run.path, "--out", out, "--uncertainty", "--error", "--json"]
    command = ["-m", "contrascope.cli", *map(str, words)]
    if started_by == "torchrun":
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    else:
        command += ["--devices", "2"]
    around = os.environ | (SBATCH | {"SLURM_JOB_NUM_NODES": "2"} if "SLURM" in started_by else {})
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=300, check=False, env=around
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert bytes_of(out) == bytes_of(folder)
    assert bytes_of(sums_path(out)) == bytes_of(sums_path(folder))


def test_cells_of_other_weights_of_the_same_run_are_others(
    folder: Path, long_store: CropStore, long_run: Run, tmp_path: Path
) -> None:
    """A training that was stopped and gone on with has the fingerprint that it had."""
    shutil.copytree(long_run.path, tmp_path / "run")
    shutil.copytree(folder, tmp_path / folder.name)
    weights = tmp_path / "run" / "weights.safetensors"
    save_file({name: -w if "head" in name else w for name, w in load_file(weights).items()}, weights)
    with pytest.raises(RunError, match="embedded from other inputs"):
        embed(long_store, open_run(tmp_path / "run"), out=tmp_path / folder.name, uncertainty=True, error=True)
