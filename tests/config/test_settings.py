"""Settings of any kind: each key is known, and all that is wrong with them is said in one paragraph."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from contrascope.config.settings import Settings, fingerprint, read_yaml, validated
from contrascope.errors import SettingsError


class Lamp(Settings):
    """A group of settings."""

    power: Annotated[float, Field(gt=0)] = 1.0
    colour: str | None = None


class Microscope(Settings):
    """Settings of every kind of field that ours have."""

    name: str
    stages: int = 1
    gain: Annotated[float, Field(ge=1)] | None = None
    shutter: bool = True
    either: bool | int = 0
    lamp: Lamp = Lamp()
    spare: Lamp | None = None


def refused(values: object) -> str:
    with pytest.raises(SettingsError) as caught:
        validated(Microscope, values, where="scope.yaml")
    said = str(caught.value)
    assert said.startswith("scope.yaml cannot be used: ")
    assert "\n" not in said
    return said


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(values: dict[str, Any]) -> None:
    assert fingerprint(values) == fingerprint(dict(reversed(values.items())))
    assert fingerprint(values) != fingerprint(values | {"one more key": 0})


@pytest.mark.parametrize(
    "text", ["name: a\nname: b\n", "training:\n  epochs: 3\n  seed: 4\n  epochs: 5\n", "a: {b: 1, b: 1}"]
)
def test_a_key_that_is_given_twice_is_refused_and_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "scope.yaml").write_text(text)
    with pytest.raises(SettingsError, match="given more than once"):
        read_yaml(tmp_path / "scope.yaml")


@pytest.mark.parametrize("text", ["", "- a\n- b", "name: [", "name: {a: b", "\x00", "just words"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scope.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"scope\.yaml (is not readable as YAML|holds \w+, a mapping)"):
        read_yaml(tmp_path / "scope.yaml")


def test_a_file_that_is_not_there_a_folder_and_a_picture_are_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff\xfe\x00")
    for path in (tmp_path / "nowhere.yaml", tmp_path, tmp_path / "picture.yaml"):
        with pytest.raises(SettingsError):
            read_yaml(path)


def test_what_is_left_out_has_its_default_and_nothing_changes_afterwards() -> None:
    made = validated(Microscope, {"name": "a", "lamp": {"power": 2}}, where="scope.yaml")
    assert (made.stages, made.lamp.power, made.lamp.colour, made.spare) == (1, 2.0, None, None)
    with pytest.raises(ValidationError):
        made.stages = 2


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = refused({"nmae": "a", "stages": "many", "lamp": {"power": -1}})
    for words in ("'name' is missing.", "'nmae' is not a setting", "'stages' is 'many'", "'lamp.power' is -1"):
        assert words in said


@pytest.mark.parametrize("group", ["lamp", "spare"])
def test_an_unknown_key_is_named_beside_those_of_its_group(group: str) -> None:
    said = refused({"name": "a", group: {"colr": "red"}})
    assert f"'{group}.colr' is not a setting; known here: colour, power." in said


@pytest.mark.parametrize("field", ["stages", "gain"])
@pytest.mark.parametrize("value", [True, False])
def test_a_yes_is_no_number(field: str, value: bool) -> None:
    assert f"'{field}': {str(value).lower()} was given, and a number was needed" in refused({"name": "a", field: value})


def test_a_yes_is_what_it_says_where_it_may_be_one() -> None:
    made = validated(Microscope, {"name": "a", "shutter": False, "either": True}, where="scope.yaml")
    assert (made.shutter, made.either) == (False, True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_is_finite(value: float) -> None:
    assert "finite" in refused({"name": "a", "gain": value})


@settings(max_examples=40)
@given(values=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_a_mapping_in_a_file_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "any.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert read_yaml(path) == values


@pytest.mark.parametrize(
    "text",
    ["2024-31-12", "2024-12-31 25:00:00", "0x_", "!!int x", "!!bool maybe", "!!timestamp x", "&x [*x]", "[" * 3000],
)
def test_a_value_that_yaml_cannot_make_is_one_line_and_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "scope.yaml").write_text(f"name: {text}\n")
    with pytest.raises(SettingsError, match=r"scope.yaml is not readable as YAML: .") as caught:
        read_yaml(tmp_path / "scope.yaml")
    assert "\n" not in str(caught.value)


def test_a_group_that_another_takes_over_may_change_what_it_took(tmp_path: Path) -> None:
    text = "lamp: &lamp {power: 1, colour: red}\nspare:\n  <<: *lamp\n  colour: blue\n"
    (tmp_path / "scope.yaml").write_text(text)
    assert read_yaml(tmp_path / "scope.yaml")["spare"] == {"power": 1, "colour": "blue"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(one=JSON, other=JSON)
def test_fingerprints_are_equal_where_json_is_and_nowhere_else(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint(one) == fingerprint(other)) == same
    assert len(fingerprint(one)) == 16
    assert int(fingerprint(one), 16) >= 0
