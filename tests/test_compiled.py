"""Packages that compile find a place for what they compiled, wherever ours is installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contrascope import compiled


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "set, so that it is put back")
    monkeypatch.delenv("NUMBA_CACHE_DIR")


@pytest.mark.usefixtures("place")
def test_where_nothing_can_be_written_there_is_a_folder_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_can_be_written", lambda _: False)
    compiled.keep_compiled()
    own = Path(os.environ["NUMBA_CACHE_DIR"])
    assert own.is_dir() and own.stat().st_mode & 0o077 == 0
    compiled.keep_compiled()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) == own
    own.rmdir()


@pytest.mark.usefixtures("place")
def test_where_something_can_be_written_numba_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    compiled.keep_compiled()
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_a_folder_that_can_be_made_can_be_written(tmp_path: Path) -> None:
    assert compiled._can_be_written(tmp_path / "a" / "b")


def test_one_below_a_folder_that_cannot_be_written_cannot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path)
    assert not compiled._can_be_written(tmp_path)
    assert not compiled._can_be_written(tmp_path / "a" / "b")
    (tmp_path / "mine").mkdir()
    assert compiled._can_be_written(tmp_path / "mine")


@pytest.mark.usefixtures("place")
def test_a_user_without_a_home_has_the_packages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: Path) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "expanduser", nobody)
    assert list(compiled._of_the_user()) == []
    monkeypatch.setattr(compiled, "_can_be_written", lambda place: place.name == "site-packages")
    compiled.keep_compiled()
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_dir(), "this package is compiled too, and has no place"
    Path(os.environ["NUMBA_CACHE_DIR"]).rmdir()
