"""One process of several answers in lines of JSON, and ends with whoever asked; each is started here for itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import contrascope
from contrascope.store.store import CropStore
from contrascope.training.process import LOST

WORK = """
import threading
from contrascope.errors import LostError, RunError
from contrascope.progress import track

def count(store, *, to):
    print(f"{len(store)} cells")
    assert list(track(range(to), "Counting", to)) == list(range(to))

def refuse(store):
    raise RunError("größer")

def lose(store):
    raise LostError("x")

def fail(store):
    raise ZeroDivisionError

def wait(store):
    print("waiting", flush=True)
    threading.Event().wait()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(store: CropStore, tmp_path: Path) -> Iterator[Start]:
    """A function that starts a process on one of the functions above."""
    (tmp_path / "work.py").write_text(WORK)
    path = os.pathsep.join([str(tmp_path), str(Path(contrascope.__file__).parents[1])])
    started: list[subprocess.Popen[str]] = []

    def start(function: str, *, rank: int = 0, where: str = str(store.path), **arguments: Any) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-m", "contrascope.training.process"], stdin=pipe, stdout=pipe, stderr=pipe, text=True,
            env=os.environ | {"PYTHONPATH": path, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(json.dumps({"function": f"work:{function}", "store": where, "arguments": arguments}) + "\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def answers(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """All that it says, once it is over; its standard input stays open until then."""
    assert process.stdout is not None
    said = [json.loads(line) for line in process.stdout]
    process.wait()
    return said


def told_besides(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.read()


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_tells_how_far_it_is_and_what_is_printed_is_no_answer(rank: int, start: Start) -> None:
    process = start("count", rank=rank, to=2)
    expected = [{"progress": ["Counting", done, 2]} for done in range(3)]
    assert answers(process) == (expected if rank == 0 else [])
    assert process.returncode == 0
    assert "120 cells" in told_besides(process)


def test_an_error_of_ours_is_answered_by_name_and_one_that_is_none_of_ours_is_left_to_be_quoted(start: Start) -> None:
    refused, damaged, failed = start("refuse"), start("refuse", where="nowhere.zarr"), start("fail")
    assert answers(refused) == [{"error": "RunError", "message": "größer"}]
    (said,) = answers(damaged)
    assert said["error"] == "StoreError" and "nowhere.zarr" in said["message"]
    assert answers(failed) == []
    assert (refused.returncode, damaged.returncode, failed.returncode) == (1, 1, 1)
    assert "ZeroDivisionError" in told_besides(failed)


def test_one_that_lost_another_says_nothing_as_the_other_has_the_reason(start: Start) -> None:
    process = start("lose")
    assert answers(process) == []
    assert process.returncode == LOST


def test_it_ends_with_whoever_asked(start: Start) -> None:
    process = start("wait")
    assert process.stderr is not None and process.stdin is not None
    assert process.stderr.readline() == "waiting\n"
    assert process.poll() is None
    process.stdin.close()
    assert process.wait() == 1
    process.stdin = None
