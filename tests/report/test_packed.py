"""What a page is given as text comes out of it as it went in."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contrascope.report.packed import packed, packed_column, quantised, script_data


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), f"<{kind}")


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_a_position_is_off_by_half_a_step_of_the_range_at_most(values) -> None:
    steps = unpacked(packed(quantised(values), "u2"), "u2")
    low, span = values.min() / 2, values.max() / 2 - values.min() / 2
    np.testing.assert_allclose(low + span * (steps / 65_535), values / 2, rtol=1e-9, atol=span / 131_070 * (1 + 1e-6))


@given(st.lists(st.sampled_from(["a", "b", "</script>", None, "ä"]), min_size=10, max_size=60))
def test_labels_come_back_and_none_stays_none(texts) -> None:
    column = packed_column("label", pd.Series(texts, dtype=object))
    kinds = {text for text in texts if text is not None}
    if not 1 < len(kinds) <= len(texts) / 2:
        assert column is None
        return
    codes = unpacked(column["codes"], f"u{column['bytes']}")
    assert [None if code == 255 else column["categories"][code] for code in codes] == texts


def test_many_labels_take_more_bytes() -> None:
    names = [f"guide {k % 300}" for k in range(900)]
    column = packed_column("guide", pd.Series(names).astype("category"))
    assert column is not None and column["bytes"] == 2
    assert [column["categories"][code] for code in unpacked(column["codes"], "u2")] == names


def test_numbers_keep_four_bytes_and_what_is_not_finite_is_missing() -> None:
    column = packed_column("area", pd.Series([1.5, np.inf, np.nan, 7e30]))
    assert column is not None
    np.testing.assert_array_equal(unpacked(column["values"], "f4"), np.float32([1.5, np.nan, np.nan, 7e30]))


def test_columns_that_tell_nothing_are_left_out() -> None:
    assert packed_column("constant", pd.Series([1, 1, 1])) is None
    assert packed_column("empty", pd.Series([np.nan, np.nan])) is None
    assert packed_column("one", pd.Series(["a", "a", None])) is None
    assert packed_column("names", pd.Series([f"cell {k}" for k in range(10)])) is None


def test_flags_are_yes_and_no() -> None:
    column = packed_column("control", pd.Series([True, False, True]))
    assert column is not None and column["categories"] == ["no", "yes"]


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_text_can_end_the_script_it_stands_in(data) -> None:
    text = script_data(data)
    assert "<" not in text and json.loads(text) == data
