"""However many workers cut, the store is the same, and whoever calls for none is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from dask.distributed import Client

from contrascope.errors import SettingsError
from contrascope.screen.screen import open_screen
from contrascope.store import shards
from contrascope.store.crops import extract_crops
from contrascope.store.parallel import calling, local_cluster

BytesOf = Callable[[Path], dict[str, bytes]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Dask's own processes warn of is not ours
def test_the_number_of_workers_changes_no_byte(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: BytesOf
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 2**20)
    alone = extract_crops(open_screen(tiny_screen), tmp_path / "one.zarr")
    together = extract_crops(open_screen(tiny_screen), tmp_path / "two.zarr", workers=2)
    assert bytes_of(alone.path) == bytes_of(together.path)


def test_results_come_with_their_items() -> None:
    with calling(1, None) as each:
        assert list(each(abs, [-1, 2, -3], 3, "counting")) == [(-1, 1), (2, 2), (-3, 3)]


def test_no_workers_and_no_scheduler_at_an_address_are_said() -> None:
    with pytest.raises(SettingsError, match="0 workers"), calling(0, None):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Dask's own processes warn of is not ours
def test_workers_keep_their_memory_and_nothing_of_that_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)  # a cluster that another test has started leaves Dask's own, which had the last word
    monkeypatch.setenv("MALLOC_ARENA_MAX", "3")
    before = dict(os.environ)
    with local_cluster(1) as cluster, Client(cluster) as client:
        (theirs,) = client.run(lambda: dict(os.environ)).values()
    assert {name: theirs[name] for name in theirs if name.startswith("MALLOC_")} == {
        "MALLOC_ARENA_MAX": "3",
        "MALLOC_MMAP_THRESHOLD_": str(2**29),
        "MALLOC_TRIM_THRESHOLD_": str(2**29),
    }
    assert dict(os.environ) == before
