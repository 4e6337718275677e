"""What the report says of a screen's quality, and which figures it shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from contrascope.report.quality import Quality, judge_quality
from contrascope.report.quality_page import PLATES_SHOWN, quality_figures, quality_section
from contrascope.report.report import Picture, Section, Table, Text
from contrascope.store.store import CropStore

PLACE = ["plate", "well", "tile"]
WELLS = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)]


def quality_of(
    *, plates: int = 1, wells: list[str] = WELLS, tiles: int = 1, dropped: tuple[str, ...] = ("at the edge",)
) -> Quality:
    """A screen of good tiles of 50 cells; the first tile of the last well is blurred."""
    rng = np.random.default_rng(0)
    keys = [(f"P{p}", well, str(t)) for p in range(plates) for well in wells for t in range(tiles)]
    table = pl.DataFrame(keys, schema=PLACE, orient="row").with_columns(
        pl.Series("intensity DNA", rng.normal(200, 10, len(keys))),
        pl.Series("saturated DNA", np.zeros(len(keys))),
        pl.Series("focus DNA", [*rng.normal(0.05, 0.004, len(keys) - tiles), 0.002, *[0.05] * (tiles - 1)]),
        *[pl.Series(f"{name} GFP", rng.normal(3, 1, len(keys))) for name in ("shift_y", "shift_x")],
        *[pl.Series(f"{name} DNA", np.zeros(len(keys))) for name in ("shift_y", "shift_x")],
    )
    cells = pl.DataFrame(keys * 50, schema=PLACE, orient="row")
    lost = pl.DataFrame([(*key, why) for key in keys for why in dropped], schema=[*PLACE, "reason"], orient="row")
    return judge_quality(table, cells, lost.cast(pl.String), ["DNA"])


def written(quality: Quality, folder: Path, moved: tuple[str, ...] = ("GFP",)) -> Section:
    for name, (figure, _) in quality_figures(quality, moved).items():
        figure.savefig(folder / f"{name}.png")
    return quality_section(quality, folder)


def words(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def pictures(section: Section) -> list[str]:
    return [block.path.stem for block in section.blocks if isinstance(block, Picture)]


def test_the_section_says_what_was_found_and_names_the_tiles(tmp_path: Path) -> None:
    section = written(quality_of(), tmp_path)
    assert words(section).startswith("1 of 24 tiles sticks out: 1 blurred.")
    assert "24 of 1,224 cells (2.0%) were dropped: at the edge (24)." in words(section)
    (table,) = (block.frame for block in section.blocks if isinstance(block, Table))
    assert table[["plate", "well"]].to_numpy().tolist() == [["P0", "D06"]]
    assert pictures(section) == ["cells_per_well", "focus", "intensity", "shifts"]


def test_a_screen_without_a_fault_is_said_to_have_none(tiny_store: CropStore, tmp_path: Path) -> None:
    quality = judge_quality(tiny_store.tiles, tiny_store.cells, tiny_store.dropped, tiny_store.channels)
    section = written(quality, tmp_path, ("Tubulin",))
    assert words(section).startswith("None of 18 tiles sticks out.")
    assert "No tile has more than 0.1% saturated pixels" in words(section)
    assert not [block for block in section.blocks if isinstance(block, Table)]
    assert pictures(section) == ["cells_per_well", "cells_per_tile", "focus", "intensity", "shifts"]


def test_a_figure_is_drawn_only_where_it_shows_something() -> None:
    def drawn(quality: Quality) -> list[str]:
        return list(quality_figures(quality, []))

    assert drawn(quality_of(wells=["A01"])) == []
    assert drawn(quality_of(wells=["A01"], tiles=20)) == ["cells_per_tile", "focus", "intensity"]
    assert drawn(quality_of()) == ["cells_per_well", "focus", "intensity"]
    assert "drops" in drawn(quality_of(dropped=("at the edge", "no label")))
    quality = quality_of()
    full = quality.tiles.with_columns(pl.Series("saturated DNA", [0.02] * 24))
    assert "saturation" not in drawn(quality)
    assert "saturated" in drawn(Quality(["DNA"], full, quality.wells, quality.drops, quality.signs))


def test_a_plate_has_a_map_and_a_few_wells_have_bars() -> None:
    def panels(quality: Quality) -> list[str]:
        return [axes.get_title() for axes in quality_figures(quality, [])["cells_per_well"][0].axes]

    assert panels(quality_of())[:2] == ["stored", "dropped"]
    assert panels(quality_of(wells=["A01", "A02"])) == [""]
    assert panels(quality_of(wells=[f"slide {i}" for i in range(30)])) == [""]


def test_of_many_plates_the_worst_are_shown_and_it_is_said() -> None:
    quality = quality_of(plates=PLATES_SHOWN + 3)
    titles = [axes.get_title() for axes in quality_figures(quality, [])["focus"][0].axes if axes.images]
    assert len(titles) == PLATES_SHOWN
    assert f"P{PLATES_SHOWN + 2} · DNA" in titles  # the blurred tile lies on the last one


def test_numbers_stand_beside_each_figure() -> None:
    quality = quality_of()
    for name, (_, numbers) in quality_figures(quality, ["GFP"]).items():
        assert len(numbers) == 24, name
    assert quality_figures(quality, [])["focus"][1]["focus DNA"].tolist() == quality.tiles["focus DNA"].to_list()


@pytest.mark.parametrize("lacking", ["focus", "intensity", "shift_y"])
def test_an_older_store_is_reported_without_what_it_lacks(lacking: str, tmp_path: Path) -> None:
    whole = quality_of()
    tiles = whole.tiles.drop([name for name in whole.tiles.columns if name.startswith(lacking)])
    section = written(Quality(["DNA"], tiles, whole.wells, whole.drops, whole.signs.clear()), tmp_path)
    assert ("was not measured in this store" in words(section)) == (lacking != "shift_y")
    assert ("shifts" in pictures(section)) == (lacking != "shift_y")
    assert "cells_per_well" in pictures(section)
