"""Parameters are known, given once and in range, or refused by name."""

from __future__ import annotations

import pytest

from contrascope.view.asked import nothing_asked, page_asked, picture_asked, row_asked
from contrascope.view.guard import RefusedError
from contrascope.view.table import Query

HELD, SORTABLE = ["perturbation", "well", "control"], ["y", "well"]


def page(**given: bytes) -> tuple[Query, int, int]:
    return page_asked({name: [value] for name, value in given.items()}, SORTABLE, HELD)


def test_nothing_asked_for_is_the_first_page_of_all() -> None:
    assert page() == (Query(), 0, 48)


def test_all_that_can_be_asked_is_understood() -> None:
    query, offset, limit = page(
        perturbation="GENE é&<".encode(), well=b"", control=b"false", sort=b"-y", offset=b"96", limit=b"200"
    )
    assert query == Query(frozenset({("perturbation", "GENE é&<"), ("well", ""), ("control", False)}), "y", True)
    assert (offset, limit) == (96, 200)


@pytest.mark.parametrize(
    "given",
    [
        {"colour": b"red"},
        {"guide": b"not held"},
        {"control": b"maybe"},
        {"control": b"True"},
        {"sort": b"nonsense"},
        {"sort": b""},
        {"sort": b"--y"},
        {"offset": b"-1"},
        {"offset": b"1e3"},
        {"offset": b"9" * 13},
        {"offset": "٣".encode()},
        {"limit": b"0"},
        {"limit": b"201"},
        {"limit": b""},
        {"limit": b" 48"},
        {"perturbation": b"\xff"},
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused(given) -> None:
    with pytest.raises(RefusedError) as refused:
        page(**given)
    assert refused.value.status_code == 400


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(RefusedError, match="400"):
        page_asked({"well": [b"A01", b"A02"]}, SORTABLE, HELD)


def test_pictures_have_a_channel_and_a_size() -> None:
    assert picture_asked({}, ["DNA", "GFP"]) == (None, None)
    assert picture_asked({"channel": [b"GFP"], "size": [b"128"]}, ["DNA", "GFP"]) == (1, 128)
    for wrong in ({"channel": [b"RFP"]}, {"channel": [b"1"]}, {"size": [b"15"]}, {"size": [b"1025"]}, {"x": [b""]}):
        with pytest.raises(RefusedError):
            picture_asked(wrong, ["DNA", "GFP"])


def test_where_nothing_can_be_asked_nothing_may_be() -> None:
    nothing_asked({})
    with pytest.raises(RefusedError):
        nothing_asked({"v": [b"1"]})


@pytest.mark.parametrize("text", ["10", "-1", "+1", "1.0", "", "0x1", "1" * 40, "²", "../1"])
def test_a_row_that_the_store_does_not_have_is_not_found(text) -> None:
    with pytest.raises(RefusedError) as refused:
        row_asked(text, 10)
    assert refused.value.status_code == 404
    assert row_asked("9", 10) == 9
