"""A screen in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contrascope.notebook import screen as page
from contrascope.screen.screen import open_screen

Pictures = Callable[[str], list[str]]


def test_a_screen_shows_its_counts_and_one_tile(tiny_screen: Path, pictures_in: Pictures) -> None:
    screen = open_screen(tiny_screen)
    html = screen._repr_html_()
    assert len(pictures_in(html)) == 1
    assert f"{screen.cells.height:,}, of which" in html
    assert f"{screen.tiles.height:,} in" in html
    assert str(screen.keys()[0]) in html


def test_a_tile_that_is_large_or_gone_is_not_shown(
    tiny_screen: Path, pictures_in: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = open_screen(tiny_screen)

    def gone(key: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(screen.reader, "read", gone)
    html = screen._repr_html_()
    assert pictures_in(html) == []
    assert "The tile cannot be shown: OSError: the disk is gone" in html
    monkeypatch.setattr(page, "LARGEST", 100)
    assert "the disk is gone" not in screen._repr_html_()
