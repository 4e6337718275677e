"""Options are what the signature of a benchmark says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from contrascope.benchmarks.options import check_options
from contrascope.errors import SettingsError

if TYPE_CHECKING:
    from fractions import Fraction


def asked(
    data: object, *, wanted: str, few: Sequence[str] = (), share: float = 0.5, flag: bool = False, seed: int = 0
) -> None:
    """A benchmark."""


def test_what_the_signature_says_is_taken() -> None:
    for options in (
        {},
        {"few": ("a", "b")},
        {"share": 1},
        {"share": np.float64(0.1), "seed": np.int64(3)},
        {"flag": True, "spaces": "salient"},
    ):
        check_options("asked", asked, {"wanted": "a"} | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs the option wanted"),
        ({"wanted": "a", "other": 1}, "has no option other"),
        ({"wanted": 3}, "text was needed"),
        ({"wanted": "a", "few": 3}, "a list was needed"),
        ({"wanted": "a", "few": [3]}, "text was needed"),
        ({"wanted": "a", "share": "half"}, "a number was needed"),
        ({"wanted": "a", "flag": "no"}, "true or false was needed"),
        ({"wanted": "a", "seed": True}, "a whole number was needed"),
        ({"wanted": "a", "seed": -1}, "A seed is 0 or more"),
    ],
)
def test_anything_else_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_options("asked", asked, options)


def test_an_option_is_looked_at_and_not_used_up() -> None:
    def lazy(data: object, *, few: Iterator[str]) -> None: ...

    few = iter(["a", "b"])
    check_options("lazy", lazy, {"few": few})
    assert list(few) == ["a", "b"]


def test_a_benchmark_whose_types_are_not_there_is_asked_for_names_only() -> None:
    def outside(data: object, *, part: Fraction) -> None: ...

    check_options("outside", outside, {"part": 3})
    with pytest.raises(SettingsError, match="needs the option part"):
        check_options("outside", outside, {})
