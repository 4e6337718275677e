"""A store behind a URL gives what the same store gives in a folder; memory stands for a server here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import StoreError
from contrascope.store import remote, shards
from contrascope.store.arrays import store_from_arrays
from contrascope.store.damage import damage_report
from contrascope.store.images import StoredImages
from contrascope.store.places import Folder
from contrascope.store.remote import Remote
from contrascope.store.shards import shard_name
from contrascope.store.store import CropStore, open_store

URL = "memory://bucket/cells.zarr"
CELLS, PER_SHARD = 40, 8


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> CropStore:
    """40 cells in 5 shards."""
    images = np.random.default_rng(0).integers(0, 999, (CELLS, 2, 8, 8), np.uint16)
    names = [("control", "B", "A")[i % 3] for i in range(CELLS)]
    cells = pl.DataFrame({"guide": names, "perturbation": names}).with_columns(
        control=pl.col("guide") == "control", y=pl.int_range(pl.len()) * 0.5, note=pl.lit("ü" * 2000)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", PER_SHARD * images[0].nbytes)
        return store_from_arrays(images, cells, tmp_path_factory.mktemp("far") / "s.zarr", channels=["a", "b"])


@pytest.fixture
def server(local: CropStore) -> Iterator[MemoryFileSystem]:
    """The store's copy on a server."""
    server = fsspec.filesystem("memory")
    server.put(str(local.path), "/bucket/cells.zarr", recursive=True)
    yield server
    server.rm("/bucket", recursive=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None, int | None]]:
    """The parts of files that the server is asked for."""
    asked: list[tuple[str, int | None, int | None]] = []
    answer = MemoryFileSystem.cat_file

    def listening(self: Any, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        asked.append((path.partition("cells.zarr/")[2], start, end))
        return answer(self, path, start, end, **more)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", listening)
    return asked


def flip(server: MemoryFileSystem, name: str, place: float = 0.5) -> None:
    content = bytearray(server.cat_file(f"/bucket/cells.zarr/{name}"))
    content[int(place * len(content))] ^= 4
    server.pipe(f"/bucket/cells.zarr/{name}", bytes(content))


def test_it_says_of_itself_what_the_folder_says(server: MemoryFileSystem, local: CropStore) -> None:
    store = open_store(URL)
    assert store.path == URL
    assert repr(store) == repr(local)
    assert (store.account, store.fingerprint, store.provenance) == (local.account, local.fingerprint, local.provenance)
    assert store.damage() == []
    damage_report(URL + "/")


def test_its_tables_and_labels_are_those_of_the_folder(server: MemoryFileSystem, local: CropStore) -> None:
    store = open_store(URL)
    for ours, theirs in ((store.cells, local.cells), (store.tiles, local.tiles), (store.dropped, local.dropped)):
        assert ours.schema == theirs.schema
        assert ours.equals(theirs)
    assert np.array_equal(store.labels, local.labels)
    assert store.column_names == local.column_names == local.cells.columns
    assert store.column("y").equals(local.column("y"))


@given(rows=st.lists(st.integers(0, CELLS - 1), max_size=150))
def test_cells_are_those_of_the_folder_in_any_order_and_as_often(rows: list[int], local: CropStore) -> None:
    fsspec.filesystem("memory").put(str(local.path), "/bucket/cells.zarr", recursive=True)
    wanted = np.array(rows, dtype=np.int64)
    np.testing.assert_array_equal(open_store(URL).read(wanted), local.read(wanted))


def test_an_index_is_read_once(server: MemoryFileSystem, asked: list[tuple[str, int | None, int | None]]) -> None:
    store = open_store(URL)
    for _ in range(3):
        waiting = [store.ask(np.arange(CELLS)) for _ in range(4)]
        for one in waiting:
            store.receive(one)
    tails = [name for name, start, end in asked if end is None and start is not None]
    assert sorted(tails) == [shard_name(i) for i in range(5)]


def test_neighbours_are_asked_for_together_and_no_part_of_a_file_twice(
    server: MemoryFileSystem, asked: list[tuple[str, int | None, int | None]]
) -> None:
    store = open_store(URL)
    store.read(np.arange(CELLS))
    parts = [name for name, start, end in asked if end is not None]
    assert sorted(parts) == [shard_name(i) for i in range(5)]


def test_cells_far_apart_are_asked_for_one_by_one(
    server: MemoryFileSystem, asked: list[tuple[str, int | None, int | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_GAP", 0)
    store = open_store(URL)
    store.read(np.array([0, 2, 4, 3, 9]))  # 2, 3 and 4 are neighbours
    parts = [(name, end - start) for name, start, end in asked if end is not None and start is not None]
    size = server.size(f"/bucket/cells.zarr/{shard_name(0)}")
    assert [name for name, _ in parts] == [shard_name(0)] * 2 + [shard_name(1)]
    assert sum(n for _, n in parts) < size


def test_a_column_costs_no_more_than_itself(
    server: MemoryFileSystem, local: CropStore, asked: list[tuple[str, int | None, int | None]]
) -> None:
    store = open_store(URL)
    asked.clear()
    frame = pl.DataFrame({"wanted": np.arange(50_000), "other": np.random.default_rng(0).random(50_000)})
    frame.write_parquet(Path(str(local.path)).parent / "wide.parquet")
    server.put(str(Path(str(local.path)).parent / "wide.parquet"), "/bucket/cells.zarr/tiles.parquet")
    whole = server.size("/bucket/cells.zarr/tiles.parquet")
    read = store._place.table("tiles.parquet", ["wanted"])
    assert read.equals(frame.select("wanted"))
    assert sum((end or whole) - (start or 0) for _, start, end in asked) < whole / 2


def test_a_large_file_comes_in_blocks(
    server: MemoryFileSystem, local: CropStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_BLOCK", 100)
    place = Remote(URL)
    assert place.sha256("cells.parquet") == Folder(Path(str(local.path))).sha256("cells.parquet")
    assert place.table("cells.parquet", None).equals(local.cells)


@pytest.mark.parametrize(
    "name", ["cells.parquet", "tiles.parquet", "dropped.parquet", "images/zarr.json", shard_name(3)]
)
def test_a_flipped_bit_is_found_by_verify(server: MemoryFileSystem, name: str) -> None:
    store = open_store(URL)
    flip(server, name)
    assert store.damage() == [name]
    with pytest.raises(StoreError, match=rf"1 files of the store {URL} .*{name}.*copy those files there again"):
        damage_report(URL)


@pytest.mark.parametrize(
    "harm",
    [
        lambda server: flip(server, shard_name(1), 0.3),
        lambda server: flip(server, shard_name(1), 0.999),
        lambda server: server.pipe(f"/bucket/cells.zarr/{shard_name(1)}", b""),
        lambda server: server.pipe(f"/bucket/cells.zarr/{shard_name(1)}", b"short"),
        lambda server: server.rm(f"/bucket/cells.zarr/{shard_name(1)}"),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_a_damaged_shard_is_an_error_of_the_store(
    harm: Callable[[MemoryFileSystem], None], known: bool, server: MemoryFileSystem, local: CropStore
) -> None:
    store = open_store(URL)
    if known:  # the index was read while all was well
        store.read(np.arange(CELLS))
    pixels = None
    harm(server)
    try:
        pixels = store.read(np.arange(CELLS))
    except StoreError as error:
        assert "is damaged" in str(error) and "copy those files there again" in str(error)
    # What is flipped is the index alone, which is known: the pixels are sound.
    assert pixels is None or (known and np.array_equal(pixels, local.read(np.arange(CELLS))))


@pytest.mark.parametrize("name", ["cells.parquet", "images/zarr.json"])
def test_a_description_that_is_cut_short_is_an_error_of_the_store(name: str, server: MemoryFileSystem) -> None:
    server.pipe(f"/bucket/cells.zarr/{name}", server.cat_file(f"/bucket/cells.zarr/{name}")[:50])
    with pytest.raises(StoreError, match="is damaged"):
        print(open_store(URL).cells)


def test_without_its_checksums_a_store_is_damaged(server: MemoryFileSystem) -> None:
    server.rm("/bucket/cells.zarr/checksums.json")
    assert open_store(URL).damage() == ["checksums.json"]


def test_where_nothing_is_there_is_no_store(server: MemoryFileSystem) -> None:
    with pytest.raises(StoreError, match=r"there is no store, or no bucket.*AWS_ENDPOINT_URL"):
        open_store("memory://bucket/nowhere")
    server.pipe("/bucket/half.zarr/ingest.json", b"{}")
    with pytest.raises(StoreError, match=r"was not finished.*copy it there again"):
        open_store("memory://bucket/half.zarr")


def test_a_url_of_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(StoreError, match=r"cannot be opened .*s3://bucket"):
        open_store("nonsense://bucket/cells.zarr")


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # importing it fails
    monkeypatch.delitem(_registry, "s3", raising=False)
    with pytest.raises(StoreError, match=r"s3://bucket/cells.zarr needs .* pip install 'contrascope\[s3\]'"):
        open_store("s3://bucket/cells.zarr")


def test_a_file_url_is_a_folder(local: CropStore) -> None:
    store = open_store(f"file://{local.path}")
    assert store.path == local.path
    assert np.array_equal(store.read(np.arange(CELLS)), local.read(np.arange(CELLS)))


@pytest.fixture
def unsteady(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """What the server fails with instead of an answer, one after the other."""
    failures: list[Exception] = []
    answer = MemoryFileSystem.cat_file

    def failing(self: Any, *where: Any, **more: Any) -> bytes:
        if failures:
            raise failures.pop()
        return answer(self, *where, **more)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", failing)
    monkeypatch.setattr(remote, "_WAITS", (0.0, 0.0))
    return failures


def test_a_server_that_stumbles_is_asked_again(
    server: MemoryFileSystem, local: CropStore, unsteady: list[Exception]
) -> None:
    store = open_store(URL)
    unsteady += [ConnectionResetError("gone"), TimeoutError("late")]
    assert np.array_equal(store.read(np.arange(9)), local.read(np.arange(9)))


@pytest.mark.parametrize("failures", [[PermissionError("Forbidden")], [ConnectionError("network is down")] * 3])
def test_a_server_that_refuses_is_no_damage(
    failures: list[Exception], server: MemoryFileSystem, unsteady: list[Exception]
) -> None:
    store = open_store(URL)
    for act in (lambda: store.read(np.arange(9)), lambda: store.cells, store.damage, lambda: open_store(URL)):
        unsteady[:] = failures
        with pytest.raises(StoreError, match=rf"{URL} cannot be read \({type(failures[0]).__name__}.*credentials"):
            act()


def test_a_server_that_gives_no_parts_of_files_is_refused(
    server: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = MemoryFileSystem.cat_file
    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda self, path, *part, **more: answer(self, path))
    with pytest.raises(StoreError, match="gives whole files"):
        open_store(URL).read(np.arange(9))


def test_it_travels_to_another_process_as_its_url(server: MemoryFileSystem, local: CropStore) -> None:
    cells = open_store(URL).to_anndata()
    images = cells.obsm["single_cell_images"]
    assert images.chunks[0] == (PER_SHARD,) * 5
    assert np.array_equal(images.compute(scheduler="synchronous"), local.read(np.arange(CELLS)))
    assert cells.obs.equals(local.to_anndata().obs)


def test_images_are_read_by_one_code_wherever_they_lie(server: MemoryFileSystem, local: CropStore) -> None:
    near, far = (StoredImages(place, local.dtype, PER_SHARD) for place in (Folder(Path(str(local.path))), Remote(URL)))
    rows = np.random.default_rng(0).permutation(CELLS)
    np.testing.assert_array_equal(near.ask(rows).result(), far.ask(rows).result())
