"""What was planted is written down as it was planted, and can be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.screen.simulation import artifacts, truth
from contrascope.screen.simulation.cells import Cells
from contrascope.screen.simulation.design import CHANNELS, Design

Crowd = tuple[Design, Cells, np.ndarray]
NAMES = st.text(min_size=1, max_size=4)
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=8)


@settings(max_examples=50)
@given(values=st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_is_written_is_json_that_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("truth") / "truth.json"
    truth.write_json(path, values)
    assert json.loads(path.read_text(encoding="utf-8")) == values


def test_a_list_of_numbers_stays_on_its_line(tmp_path: Path) -> None:
    truth.write_json(tmp_path / "t.json", {"shift": {"tile": {"DAPI": [0.0, 1.5]}}, "n": 3})
    lines = (tmp_path / "t.json").read_text(encoding="utf-8").splitlines()
    assert '  "tile": {"DAPI": [0.0, 1.5]}' in lines


def test_the_microscope_is_told_well_by_well_and_tile_by_tile() -> None:
    rng = np.random.default_rng(0)
    camera, optics = artifacts.draw_camera(64, rng), artifacts.draw_optics(rng)
    shift = artifacts.draw_shift(rng)
    told = json.loads(json.dumps(truth.of_artifacts(camera, {"P1_A1": optics}, {"P1_A1_0": shift}, 1.3)))
    for c, channel in enumerate(CHANNELS):
        assert told["wells"]["P1_A1"]["gain"][channel] == optics.gain[c]
        assert told["shift"]["P1_A1_0"][channel] == shift[c].tolist()
        assert told["illumination"][channel]["falloff"] == camera.falloff[c]
        assert told["hot_pixels"][channel] == camera.hot[c].tolist()
    assert told["well_rim"]["density"] == 1.3


def test_each_cell_has_its_own_row(crowd: Crowd) -> None:
    cells = crowd[1].take(np.arange(50))
    table = truth.of_cells(cells, pl.Series([f"c{i}" for i in range(50)]))
    assert table.height == 50
    assert table.null_count().sum_horizontal().item() == 0
    row = table.row(17, named=True)
    assert (row["UID"], row["radius"], row["penetrant"]) == ("c17", cells.radius[17], cells.penetrant[17])
    assert row["light_Phalloidin"] == cells.light[17, CHANNELS.index("Phalloidin")]
    assert (row["phase"] == "M") == cells.mitotic[17]
    assert set(table.filter(~pl.col("penetrant"))["structure"]) == {"none"}
