"""A setting is used as it stands or refused in one paragraph; none is ignored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contrascope.config import (
    ImageSettings,
    ScreenSettings,
    TrainingSettings,
    load_screen_settings,
    training_settings,
    validated,
)
from contrascope.errors import ContrascopeError, SettingsError

IMAGES = {"pattern": "{plate}_{well}_{tile}.tif", "channels": ["DNA", "GFP"], "reference_channel": "DNA"}
CELLS = {"table": "cells.csv", "control": "untreated"}
SCREEN = {"name": "plate", "images": IMAGES, "cells": CELLS}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def screen_file(folder: Path, values: object) -> Path:
    path = folder / "screen.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
    return path


def complaint(folder: Path, values: object, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_screen_settings(screen_file(folder, values), overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_a_screen_file_leaves_out_has_a_default(tmp_path: Path) -> None:
    settings = load_screen_settings(screen_file(tmp_path, SCREEN))
    assert (settings.crop.size, settings.crop.clip_percentiles) == (100, (0.1, 99.9))
    assert settings.images.align
    assert settings.model == "mcvae"


def test_paths_are_relative_to_the_screen_file_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    screen_file(tmp_path / "a", SCREEN | {"annotations": {"complexes": "sets.gmt"}})
    monkeypatch.chdir(tmp_path)
    settings = load_screen_settings(Path("a/screen.yaml"))
    assert settings.cells.table == tmp_path / "a/cells.csv"
    assert settings.images.pattern == str(tmp_path / "a/{plate}_{well}_{tile}.tif")
    assert settings.annotations.complexes == tmp_path / "a/sets.gmt"


def test_annotations_of_an_installed_package_are_no_path(tmp_path: Path) -> None:
    path = screen_file(tmp_path, SCREEN | {"annotations": {"complexes": "efaar:CORUM"}})
    assert str(load_screen_settings(path).annotations.complexes) == "efaar:CORUM"


@pytest.mark.parametrize(
    ("given", "found"), [("runs/a", "{folder}/runs/a"), ("~/a", "{home}/a"), ("/runs/a", "/runs/a")]
)
def test_a_run_to_start_from_is_found_beside_the_screen_file(tmp_path: Path, given: str, found: str) -> None:
    settings = load_screen_settings(screen_file(tmp_path, SCREEN), {"start_from": given})
    assert str(settings.start_from) == found.format(folder=tmp_path, home=Path.home())


def test_an_absolute_path_stays_where_it_is(tmp_path: Path) -> None:
    settings = load_screen_settings(screen_file(tmp_path, SCREEN | {"cells": CELLS | {"table": "/far/cells.csv"}}))
    assert settings.cells.table == Path("/far/cells.csv")


def test_a_variable_is_replaced_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATE_FOLDER", "/plates/one")
    values = SCREEN | {"cells": CELLS | {"table": "${PLATE_FOLDER}/cells.csv"}}
    assert load_screen_settings(screen_file(tmp_path, values)).cells.table == Path("/plates/one/cells.csv")


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLATE_FOLDER", raising=False)
    assert "PLATE_FOLDER" in complaint(tmp_path, SCREEN | {"name": "${PLATE_FOLDER}"})


def test_an_override_stands_above_the_file_and_may_spare_a_variable(tmp_path: Path) -> None:
    path = screen_file(tmp_path, SCREEN | {"name": "${NOT_SET_ANYWHERE}", "crop": {"size": 32}})
    settings = load_screen_settings(path, {"crop.size": 64, "name": "mine", "training.epochs": 3})
    assert (settings.crop.size, settings.name, settings.training) == (64, "mine", {"epochs": 3})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop": {"sise": 64}}, ("crop.sise", "size")),
        ({"colour": "red"}, ("colour", "images")),
        ({"crop": {"size": 4}}, ("crop.size",)),
        ({"crop": {"size": "big"}}, ("crop.size", "big")),
        ({"crop": {"clip_percentiles": [99, 1]}}, ("clip_percentiles",)),
        ({"crop": {"clip_percentiles": [math.nan, 99]}}, ("clip_percentiles",)),
        ({"images": IMAGES | {"reference_channel": "RFP"}}, ("RFP", "DNA, GFP")),
        ({"images": IMAGES | {"channels": ["DNA", "DNA"]}}, ("twice",)),
        ({"images": IMAGES | {"channels": []}}, ("channels",)),
        ({"images": IMAGES | {"pixel_size_um": math.inf}}, ("pixel_size_um",)),
        ({"cells": {"table": "cells.csv"}}, ("cells.control", "missing")),
        ({"cells": CELLS | {"columns": {"plate": []}}}, ("plate",)),
        ({"training": {"epoch": 3}}, ("epoch", "epochs")),
        ({"training": {"n_cells": 3}}, ("n_cells",)),
        ({"training": {"preset": "best"}}, ("best", "auto")),
        ({"training": {"preset": ["auto"]}}, ("preset",)),
        ({"training": {"split": [math.nan, 0.5, 0.5]}}, ("split",)),
        ({"training": {"split": [0.5, 0.5, 0.5]}}, ("split", "sum to 1")),
        ({"training": {"learning_rate": math.nan}}, ("learning_rate",)),
        ({"training": {"batch_size": 3}}, ("batch_size",)),
        ({"name": ""}, ("name",)),
        ({"benchmarks": ["dose"]}, ("benchmarks",)),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_was_needed(
    tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    message = complaint(tmp_path, SCREEN | changes)
    assert all(word in message for word in words), message


def test_a_misspelt_key_of_a_group_that_may_be_left_out_is_named_with_the_known(tmp_path: Path) -> None:
    message = complaint(tmp_path, SCREEN | {"features": {"featurs": "fast"}})
    assert "'features.featurs' is not a setting; known here:" in message
    assert "workers" in message or "features" in message.partition("known here:")[2]


@pytest.mark.parametrize("group", [{"cells": CELLS | {"table": "~/c.csv"}}, {"annotations": {"complexes": "~/c.csv"}}])
def test_a_tilde_is_the_home_folder_wherever_a_path_stands(tmp_path: Path, group: dict[str, Any]) -> None:
    settings = load_screen_settings(screen_file(tmp_path, SCREEN | group))
    assert Path.home() / "c.csv" in (settings.cells.table, settings.annotations.complexes)


def test_a_table_at_an_url_is_refused(tmp_path: Path) -> None:
    message = complaint(tmp_path, SCREEN | {"cells": CELLS | {"table": "s3://bucket/cells.csv"}})
    assert "s3://bucket/cells.csv is a URL" in message


def test_a_group_that_is_named_and_left_empty_is_as_if_left_out_and_can_be_overridden(tmp_path: Path) -> None:
    empty = SCREEN | {"training": None, "annotations": None}
    assert load_screen_settings(screen_file(tmp_path, empty)) == load_screen_settings(screen_file(tmp_path, SCREEN))
    changed = load_screen_settings(screen_file(tmp_path, empty), {"training.epochs": 1})
    assert changed.training == {"epochs": 1}


def test_an_override_cannot_go_through_a_value(tmp_path: Path) -> None:
    assert "name" in complaint(tmp_path, SCREEN, {"name.first": "x"})


@given(values=st.dictionaries(st.sampled_from(sorted(ScreenSettings.model_fields)), ANYTHING), images=ANYTHING)
def test_any_values_make_settings_or_a_refusal_in_one_paragraph(values: dict[str, Any], images: Any) -> None:
    try:
        validated(ScreenSettings, SCREEN | values | {"images": images}, where="a screen")
    except ContrascopeError as error:
        assert "\n\n" not in str(error)


@given(
    changes=st.dictionaries(st.sampled_from(sorted(TrainingSettings.model_fields)) | st.text(max_size=5), ANYTHING),
    cells=st.integers(1, 10**8),
)
def test_any_training_setting_is_taken_or_refused(changes: dict[str, Any], cells: int) -> None:
    try:
        settings = training_settings(cells, **changes)
    except SettingsError:
        return
    assert all(math.isfinite(share) for share in settings.split)


@pytest.mark.parametrize("preset", ["auto", "paper"])
@given(cells=st.integers(1, 10**8))
def test_a_preset_fits_a_screen_of_any_size(preset: str, cells: int) -> None:
    settings = training_settings(cells, preset=preset)
    assert settings.preset == preset
    assert settings.beta_warmup_steps <= 4500


def test_channels_of_a_mapping_keep_their_order_and_are_spelt_as_text() -> None:
    values = {"pattern": "c{channel}-{well}.tif", "channels": {"DNA": 2, "GFP": 1}, "reference_channel": "DNA"}
    settings = validated(ImageSettings, values, where="images")
    assert settings.channel_names == ["DNA", "GFP"]
    assert settings.channels == {"DNA": "2", "GFP": "1"}


def test_settings_survive_a_round_trip_through_yaml(tmp_path: Path) -> None:
    settings = load_screen_settings(screen_file(tmp_path, SCREEN | {"training": {"epochs": 3}, "crop": {"size": 32}}))
    again = load_screen_settings(screen_file(tmp_path, settings.model_dump(mode="json")))
    assert again == settings


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"channels": ["DNA2", "p53"], "reference": "p53"}, None),
        ({"channels": ["DNA2"], "reference": "DNA2"}, "each of DNA, GFP, DNA2, p53 is needed in one round"),
        ({"channels": ["DNA2", "p53", "GFP"], "reference": "DNA2"}, "is needed in one round"),
        ({"channels": ["DNA2", "p53"], "reference": "GFP"}, "the reference of round second is 'GFP'"),
        ({"channels": ["DNA2", "p53"]}, "'images.rounds.second.reference' is missing"),
    ],
)
def test_rounds_hold_each_channel_once_and_have_a_reference(second: Any, words: str | None, tmp_path: Path) -> None:
    images = IMAGES | {"channels": ["DNA", "GFP", "DNA2", "p53"]}
    rounds = {"first": {"channels": ["GFP", "DNA"], "reference": "DNA"}, "second": second}
    values = SCREEN | {"images": images | {"rounds": rounds}}
    if words is None:
        assert load_screen_settings(screen_file(tmp_path, values)).images.rounds["second"].reference == "p53"
    else:
        assert words in complaint(tmp_path, values)


def test_the_reference_channel_is_the_reference_of_its_round(tmp_path: Path) -> None:
    rounds = {"first": {"channels": ["DNA", "GFP"], "reference": "GFP"}}
    said = complaint(tmp_path, SCREEN | {"images": IMAGES | {"rounds": rounds}})
    assert "the reference of round first is 'GFP'" in said
    assert "reference_channel where that is among them" in said


@pytest.mark.parametrize(("cells", "fits"), [(10, True), (100_000, True), (100_001, False), (0, False)])
def test_a_map_has_as_many_cells_as_a_page_can_move(cells: int, fits: bool, tmp_path: Path) -> None:
    values = SCREEN | {"map_cells": cells}
    if fits:
        assert load_screen_settings(screen_file(tmp_path, values)).map_cells == cells
    else:
        assert "map_cells" in complaint(tmp_path, values)
