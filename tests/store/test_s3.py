"""A store in a bucket is the store in its folder: asked of a server of S3 on this machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import polars as pl
import pytest
from s3fs import S3FileSystem

from contrascope.errors import StoreError
from contrascope.store import shards
from contrascope.store.arrays import store_from_arrays
from contrascope.store.damage import damage_report
from contrascope.store.shards import shard_name
from contrascope.store.store import CropStore, open_store

S3 = Callable[[str | Path, str], str]
N, PER_SHARD = 200, 16
FILES = ["cells.parquet", "images/zarr.json", shard_name(5)]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """200 cells in 13 shards."""
    images = np.random.default_rng(0).integers(0, 9999, (N, 3, 20, 20), np.uint16)
    names = [("control", "B", "A")[i % 3] for i in range(N)]
    cells = pl.DataFrame({"guide": names, "perturbation": names}).with_columns(
        control=pl.col("guide") == "control", area=pl.int_range(pl.len()) * 1.5
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", PER_SHARD * images[0].nbytes)
        return store_from_arrays(images, cells, tmp_path_factory.mktemp("s3") / "s.zarr", channels=list("abc"))


@pytest.fixture(scope="module")
def url(s3: S3, local: CropStore) -> str:
    """Of the store's copy. Read only."""
    return s3(local.path, "screens/my cells [2] ü#.zarr")


@pytest.fixture
def copied(s3: S3, local: CropStore) -> str:
    """Of a copy that may be harmed."""
    return s3(local.path, f"harmed/{uuid4().hex}.zarr")


def test_tables_labels_and_account_are_those_of_the_folder(url: str, local: CropStore) -> None:
    store = open_store(url)
    assert repr(store) == repr(local)
    assert (store.account, store.fingerprint) == (local.account, local.fingerprint)
    for ours, theirs in ((store.cells, local.cells), (store.tiles, local.tiles), (store.dropped, local.dropped)):
        assert ours.schema == theirs.schema
        assert ours.equals(theirs)
    assert np.array_equal(store.labels, local.labels)
    assert store.column("area").equals(local.column("area"))


def test_cells_at_random_are_those_of_the_folder(url: str, local: CropStore) -> None:
    store, rng = open_store(url), np.random.default_rng(1)
    wanted = [rng.integers(0, N, n) for n in (0, 1, 3, 100, 500)] + [rng.permutation(N), np.arange(N)]
    for rows, asked in [(rows, store.ask(rows)) for rows in wanted]:
        np.testing.assert_array_equal(store.receive(asked), local.read(rows))


def test_a_sound_copy_is_sound(url: str) -> None:
    assert open_store(url).damage() == []
    damage_report(url)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["flipped", "cut", "empty", "gone"])
def test_damage_is_named_by_verify_and_noticed_when_it_is_read(name: str, harm: str, copied: str) -> None:
    bucket, store = fsspec.filesystem("s3"), open_store(copied)
    content = bytearray(bucket.cat_file(f"{copied}/{name}"))
    content[len(content) // 2] ^= 8
    if harm == "gone":
        bucket.rm(f"{copied}/{name}")
    else:
        bucket.pipe(f"{copied}/{name}", {"flipped": bytes(content), "cut": bytes(content[:-9]), "empty": b""}[harm])
    assert store.damage() == [name]
    with pytest.raises(StoreError, match=name):
        damage_report(copied)
    if (name, harm) == ("cells.parquet", "flipped"):
        return  # a table may hold any values: only its checksum in verify tells
    with pytest.raises(StoreError, match="is damaged"):
        store = open_store(copied)
        assert store.cells.height == N
        store.read(np.arange(N))


def test_a_shard_that_is_cut_while_it_is_in_use_is_noticed(copied: str) -> None:
    store = open_store(copied)
    store.read(np.arange(N))
    fsspec.filesystem("s3").pipe(f"{copied}/{shard_name(2)}", b"all that is left")
    with pytest.raises(StoreError, match=r"is damaged.*(ends before|checksum is wrong)"):
        store.read(np.arange(N))


@pytest.mark.parametrize("where", ["s3://screens/nowhere.zarr", "s3://no-such-bucket/cells.zarr"])
def test_where_there_is_no_store_or_no_bucket_is_said(where: str, url: str) -> None:
    with pytest.raises(StoreError, match=rf"{where} cannot be opened: there is no store.*AWS_ENDPOINT_URL"):
        open_store(where)


def test_without_credentials_it_is_said_where_they_come_from(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"NoCredentialsError: .*credentials.*FSSPEC_S3_ANON"):
        open_store(url)
    S3FileSystem.clear_instance_cache()


def test_a_server_that_is_not_there_is_no_damage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"cannot be read .*Could not connect.*AWS_ENDPOINT_URL"):
        open_store(url)
    S3FileSystem.clear_instance_cache()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_too(url: str, local: CropStore) -> None:
    store = open_store(url)
    store.read(np.arange(50))
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    child = fork.Process(target=lambda: theirs.send(store.read(np.arange(N))))
    child.start()
    assert ours.poll(60)
    np.testing.assert_array_equal(ours.recv(), local.read(np.arange(N)))
    child.join()


def test_its_crops_are_read_lazily_as_anndata(url: str, local: CropStore) -> None:
    images = open_store(url).to_anndata().obsm["single_cell_images"]
    chosen = images[20:60].compute(scheduler="synchronous")
    np.testing.assert_array_equal(chosen, local.read(np.arange(20, 60)))
