"""Arguments of KEY=VALUE are read as YAML would read them, or refused by name."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from contrascope.commands.arguments import number_or_name, settings_in, split
from contrascope.errors import SettingsError

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_any_change_of_a_setting_is_understood_or_refused(text: str) -> None:
    try:
        changes = settings_in([text])
    except SettingsError:
        return
    assert list(changes) == [text.partition("=")[0]]


@given(changes=st.dictionaries(st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5})?", fullmatch=True), VALUES, max_size=3))
def test_values_come_back_as_they_were_given(changes: dict[str, object]) -> None:
    given_ = [f"{key}={yaml.safe_dump(value, default_flow_style=True, width=1000)}" for key, value in changes.items()]
    assert settings_in(given_) == changes


def test_a_value_may_hold_equals_signs_lists_and_groups_and_none_is_no_change() -> None:
    assert settings_in(["cells.columns={guide: sgRNA_0}", "split=[.8, .1, .1]", "name=a=b", "training="]) == {
        "cells.columns": {"guide": "sgRNA_0"},
        "split": [0.8, 0.1, 0.1],
        "name": "a=b",
        "training": None,
    }
    assert settings_in(None) == settings_in([]) == {}


@pytest.mark.parametrize("text", ["crop.size", "=64", "", "="])
def test_what_has_no_key_or_no_equals_sign_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=f"^--column {text} is not understood.*such as guide=sgRNA_0"):
        split(text, example="--column guide=sgRNA_0")


def test_a_value_that_is_no_yaml_is_answered_with_what_helps() -> None:
    with pytest.raises(SettingsError, match=r"(?s)--set name=\[a is not understood.*Put quotes around the value"):
        settings_in(["name=[a"])


@pytest.mark.parametrize("value", ["2024-13-45", "&x [*x]", "{a: 1, a: 2}", "[1"])
def test_whatever_is_wrong_with_a_value_is_said_in_one_line(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^--set name=.* is not understood: .*Put quotes") as caught:
        settings_in([f"name={value}"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"), [("2", 2), ("04", 4), ("auto", "auto"), ("-1", "-1"), ("1.5", "1.5"), ("²", "²")]
)
def test_devices_are_a_number_or_as_they_were_written(text: str, meant: object) -> None:
    assert number_or_name(text) == meant
