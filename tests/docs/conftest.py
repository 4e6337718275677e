"""What tests of the documentation share: the command line, quick and in this process, and a demo that is done."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from contrascope import cli

Command = Callable[[Sequence[object]], int]


@pytest.fixture(scope="session")
def quick() -> Path:
    """The command line with small things in place of large ones, as a script."""
    return Path(__file__).with_name("quick.py")


def call(words: Sequence[object]) -> int:
    """The command line in this process: the exit code of the words after ``contrascope``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["contrascope", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return int(end.value.code or 0)


@contextmanager
def small_things(quick: Path) -> Iterator[None]:
    """Small things stand in place of large ones, and no longer than for this: other tests run in the same process."""
    with pytest.MonkeyPatch.context() as patch:
        for where, name, value in runpy.run_path(str(quick))["changes"]():
            patch.setitem(where, name, value)
        yield


@pytest.fixture
def command(quick: Path) -> Iterator[Command]:
    """The command line with small things in place of large ones, which also stand there for what a test imports."""
    with small_things(quick):
        yield call


@pytest.fixture(scope="session")
def demo(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, through the whole line. Read only."""
    folder, before = tmp_path_factory.mktemp("line"), Path.cwd()
    os.chdir(folder)
    try:
        with small_things(quick):
            assert call(["demo", "--out", "demo", "--quiet"]) == 0
    finally:
        os.chdir(before)
    return folder / "demo"
