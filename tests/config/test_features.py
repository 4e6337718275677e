"""How cells are measured, and what of it is asked of the measuring alone."""

from __future__ import annotations

import pytest

from contrascope.config import validated
from contrascope.config.features import FeatureSettings, RivalSettings
from contrascope.errors import SettingsError


def test_what_follows_the_measuring_does_not_make_cells_be_measured_again() -> None:
    asked = {"nucleus": "DAPI", "features": "fast", "diameter": 14.0}
    few, many = (validated(RivalSettings, asked | {"components": n, "batch": "plate"}, where="x") for n in (8, 64))
    assert few != many
    assert few.measured == many.measured
    alone = validated(FeatureSettings, asked, where="x")
    assert validated(FeatureSettings, few.measured, where="x") == alone


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"features": "quick"}, "'features' is 'quick'"),
        ({"cell": []}, "'cell' is"),
        ({"diameter": 2}, "'diameter' is 2"),
        ({"components": 0}, "'components' is 0"),
        ({"workers": 2}, "'workers' is not a setting"),
    ],
)
def test_what_cannot_be_measured_is_named(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        validated(RivalSettings, wrong, where="features")
