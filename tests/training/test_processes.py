"""Whatever ends processes that share some work, whoever asked is told and none is left; a shell stands for each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contrascope import progress
from contrascope.errors import LostError, RunError, SettingsError, StoreError
from contrascope.store.store import CropStore
from contrascope.training import processes as module
from contrascope.training.process import LOST
from contrascope.training.processes import Processes

Start = Callable[[str], Processes]


@pytest.fixture
def start(store: CropStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A function that starts two processes, each of which does what a script of a shell says."""

    def start(script: str) -> Processes:
        shell = tmp_path / "interpreter"
        shell.write_text(f"#!/bin/sh\ncd {tmp_path}\nread -r task\n{script}\n")
        shell.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(shell))
        return Processes("module:name", store, {"epochs": 3, "name": "ü"}, 2)

    return start


def ended(processes: Processes) -> bool:
    return all(process.poll() is not None for process in processes.processes)


def test_each_is_told_the_task_and_its_place(start: Start, store: CropStore, tmp_path: Path) -> None:
    processes = start('echo "$task" > $RANK.json; echo "$LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT" > $RANK.txt')
    processes.wait()
    assert ended(processes)
    task = {"function": "module:name", "store": str(store.path), "arguments": {"epochs": 3, "name": "ü"}}
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [task, task]
    places = [(tmp_path / f"{rank}.txt").read_text().split() for rank in (0, 1)]
    assert [place[:3] for place in places] == [["0", "2", "127.0.0.1"], ["1", "2", "127.0.0.1"]]
    assert places[0][3] == places[1][3]


def test_progress_is_passed_on_in_order(start: Start) -> None:
    heard: list[tuple[str, int, int]] = []
    with progress.listening(lambda *far: heard.append(far)):
        start(
            'if [ $RANK = 0 ]; then for i in 1 2 3; do echo "{\\"progress\\": [\\"Training\\", $i, 3]}"; done; fi'
        ).wait()
    assert heard == [("Training", 1, 3), ("Training", 2, 3), ("Training", 3, 3)]


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_finds_wrong_is_raised_and_the_other_that_waits_is_ended(rank: int, start: Start) -> None:
    answer = json.dumps({"error": "StoreError", "message": "cells.zarr is damaged."})
    processes = start(f"if [ $RANK = {rank} ]; then echo '{answer}'; exit 1; else cat; fi")
    with pytest.raises(StoreError, match=r"^cells\.zarr is damaged\.$"):
        processes.wait()
    assert ended(processes)


def test_one_that_was_killed_is_told_though_the_other_only_lost_it(start: Start) -> None:
    processes = start(f"if [ $RANK = 1 ]; then kill -9 $$; else exit {LOST}; fi")
    with pytest.raises(
        RunError, match=r"One of 2 processes was killed \(SIGKILL\).*goes on from what was kept"
    ) as told:
        processes.wait()
    assert not isinstance(told.value, LostError)
    assert ended(processes)


def test_where_each_only_lost_the_others_that_is_said(start: Start) -> None:
    with pytest.raises(LostError, match="lost one another"):
        start(f"exit {LOST}").wait()


def test_a_failure_of_ours_is_quoted(start: Start) -> None:
    with pytest.raises(RuntimeError, match=r"One of 2 processes failed:\nTraceback of 1") as told:
        start(f'if [ $RANK = 1 ]; then echo "Traceback of $RANK" >&2; exit 3; else exit {LOST}; fi').wait()
    assert not isinstance(told.value, RunError)


def test_one_that_says_nothing_is_not_waited_for_for_ever(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    processes = start("if [ $RANK = 0 ]; then exit 3; else cat; fi")
    with pytest.raises(RuntimeError, match="One of 2 processes failed"):
        processes.wait()
    assert ended(processes)


def test_on_windows_itself_one_device_is_advised(store: CropStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SettingsError, match="Use WSL, or one device"):
        Processes("module:name", store, {}, 2)
