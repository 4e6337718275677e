"""Killed with SIGKILL, wherever it was, and started again, ingest ends in the bytes of one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from contrascope import progress
from contrascope.screen.screen import open_screen
from contrascope.store import shards
from contrascope.store.crops import extract_crops
from contrascope.store.parallel import local_cluster

BytesOf = Callable[[Path], dict[str, bytes]]
WriteScreen = Callable[..., Path]
Ingest = Callable[[str, Path], tuple[int, float]]
KILLS = 25


@contextmanager
def mortal(screen: Path, shard_bytes: int) -> Iterator[Ingest]:
    """A function that ingests into a folder until a moment, and gives the signal it died of (0: none) and its life."""
    command = [sys.executable, str(Path(__file__).with_name("mortal_ingest.py")), str(screen), str(shard_bytes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        said, heard = process.stdin, process.stdout

        def ingest(moment: str, out: Path) -> tuple[int, float]:
            print(moment, out, file=said, flush=True)
            killed_by, seconds = heard.readline().split()
            assert killed_by in ("0", str(int(signal.SIGKILL)))
            return int(killed_by), float(seconds)

        yield ingest
        said.close()


@pytest.mark.slow
def test_ingest_killed_at_random_moments_ends_in_the_same_bytes(
    tiny_screen: Path, tmp_path: Path, bytes_of: BytesOf
) -> None:
    rng, kills, stores = np.random.default_rng(0), 0, 0
    with mortal(tiny_screen, 2**18) as ingest:
        _, life = ingest("never", tmp_path / "undisturbed.zarr")
        undisturbed = bytes_of(tmp_path / "undisturbed.zarr")
        assert sum(name.startswith("images/c/") for name in undisturbed) > 20
        while kills < KILLS:
            out = tmp_path / f"{stores}.zarr"
            while ingest(f"{rng.uniform(0, life):.4f}", out)[0]:
                kills += 1
            assert bytes_of(out) == undisturbed
            stores += 1


@pytest.mark.slow
def test_ingest_killed_at_any_change_to_its_folder_ends_in_the_same_bytes(
    write_screen: WriteScreen, tmp_path: Path, bytes_of: BytesOf
) -> None:
    """Each change in turn does not happen, and nothing after it; then whoever comes next is undisturbed."""
    screen = write_screen(tmp_path)
    with mortal(screen, 8 * 2 * 16 * 16 * 2) as ingest:
        ingest("never", tmp_path / "undisturbed.zarr")
        undisturbed, change = bytes_of(tmp_path / "undisturbed.zarr"), 1
        while ingest(f"#{change}", tmp_path / f"{change}.zarr")[0]:
            assert ingest("never", tmp_path / f"{change}.zarr")[0] == 0
            assert bytes_of(tmp_path / f"{change}.zarr") == undisturbed, change
            change += 1
    assert change > 30
    assert bytes_of(tmp_path / f"{change}.zarr") == undisturbed


@pytest.mark.slow
def test_repair_killed_at_any_change_to_its_folder_ends_in_the_same_bytes(
    write_screen: WriteScreen, tmp_path: Path, bytes_of: BytesOf
) -> None:
    screen, change = write_screen(tmp_path), 0
    with mortal(screen, 8 * 2 * 16 * 16 * 2) as ingest:
        ingest("never", tmp_path / "undisturbed.zarr")
        undisturbed, killed = bytes_of(tmp_path / "undisturbed.zarr"), True
        while killed:
            change += 1
            out = tmp_path / f"{change}.zarr"
            for name, content in undisturbed.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                harmed = name in (shards.shard_name(1), "tiles.parquet")
                (out / name).write_bytes(content[:-9] + b"Z" + content[-8:] if harmed else content)
            killed = bool(ingest(f"#{change}", out)[0])
            assert ingest("never", out)[0] == 0
            assert bytes_of(out) == undisturbed, change
    assert change > 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Dask says of workers that die
def test_ingest_goes_on_when_its_workers_are_killed(
    tiny_screen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: BytesOf
) -> None:
    """First one worker, later the other: in the end none is left of those that were given the work."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2**18)
    alone = extract_crops(open_screen(tiny_screen), tmp_path / "alone.zarr")
    with local_cluster(2) as cluster:
        first = [cluster.workers[i].pid for i in range(2)]
        moments = {("Measuring tiles", 3): first[0], ("Cutting out cells", 2): first[1]}

        def listener(label: str, done: int, total: int) -> None:
            if victim := moments.pop((label, done), None):
                os.kill(victim, signal.SIGKILL)

        with progress.listening(listener):
            store = extract_crops(open_screen(tiny_screen), tmp_path / "s.zarr", scheduler=cluster.scheduler_address)
        assert not moments
        assert not {cluster.workers[i].pid for i in range(2)} & set(first)
    assert bytes_of(store.path) == bytes_of(alone.path)
