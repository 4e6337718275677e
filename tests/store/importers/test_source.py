"""What importers share: axes in any named order, types and names that are never guessed, files told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.errors import SettingsError, StoreError, TableError
from contrascope.store.importers.source import (
    checked_axes,
    checked_channels,
    checked_dtype,
    in_our_order,
    needed_column,
    needed_table,
    sampled,
    shape_in_our_order,
    unreadable,
)

LENGTH = {"N": 5, "C": 2, "H": 4, "W": 3}


@given(order=st.sampled_from(["NCHW", "CHW", "NHW", "HW"]).flatmap(st.permutations).map("".join))
def test_pixels_come_in_our_order_whatever_theirs_is(order: str) -> None:
    letters = "NCHW" if "N" in order else "CHW"
    assert checked_axes(order, letters) == order
    theirs = np.arange(np.prod([LENGTH[a] for a in order])).reshape([LENGTH[a] for a in order])
    ours = in_our_order(theirs, order)
    assert ours.shape == tuple(LENGTH[a] if a in order else 1 for a in letters)
    for place in np.ndindex(ours.shape):
        at = dict(zip(letters, place, strict=True))
        assert ours[place] == theirs[tuple(at[a] for a in order)]
    if "N" not in order:
        assert shape_in_our_order(theirs.shape, order) == ours.shape


@pytest.mark.parametrize("axes", [None, "", "NCH", "NCHWW", "nchw", "NCHX", 4, ["N", "C", "H", "W"]])
def test_axes_are_named_by_their_letters_once_each(axes: object) -> None:
    with pytest.raises(SettingsError, match="It is never guessed"):
        checked_axes(axes, "NCHW")


def test_a_shape_has_its_axes_and_pixels() -> None:
    with pytest.raises(StoreError, match=r"shape \(4, 3\) do not have the 3 axes CHW"):
        shape_in_our_order((4, 3), "CHW")
    with pytest.raises(StoreError, match="hold no pixels"):
        shape_in_our_order((2, 0, 3), "CHW")


@pytest.mark.parametrize("stored", ["u1", "<u2", ">u2", "<f4", ">f4"])
def test_a_type_that_is_stored_becomes_the_machines_own(stored: str) -> None:
    ours = checked_dtype(np.dtype(stored), "Pixels")
    assert ours.isnative
    assert np.array_equal(np.array([1, 200], stored).astype(ours), [1, 200])


@pytest.mark.parametrize(
    ("other", "advice"),
    [
        ("f8", r"astype\('float32'\)"), ("i4", "no value is negative"), ("u4", "above 65,535"), ("?", "Masks are no"),
        ("U3", "plain numbers"), ("c8", "plain numbers"),
    ],
)  # fmt: skip
def test_another_type_is_refused_with_what_to_do_about_it(other: str, advice: str) -> None:
    with pytest.raises(StoreError, match=f"Pixels are .*uint8, uint16, float32 was needed.*{advice}"):
        checked_dtype(np.dtype(other), "Pixels")


def test_every_channel_has_a_name_of_its_own() -> None:
    assert checked_channels(["DNA", "GFP"], 2, "The crops") == ["DNA", "GFP"]
    assert checked_channels("DNA", 1, "The crops") == ["DNA"], "a name is no list of letters"
    for names in (None, [], ["DNA"], ["DNA", "DNA"], ["a", "b", "c"], "DNA"):
        with pytest.raises(SettingsError, match=r"The crops have 2 channels.*Name each channel once"):
            checked_channels(names, 2, "The crops")


def test_a_table_and_a_column_that_are_needed_are_asked_for() -> None:
    cells = pl.DataFrame({"path": ["a.npy"]})
    assert needed_table(cells, "") is cells
    assert needed_column(cells, "path", "path").to_list() == ["a.npy"]
    with pytest.raises(TableError, match=r"There is no cell table\. Keys are numbers\. Give one"):
        needed_table(None, "Keys are numbers.")
    with pytest.raises(TableError, match=r"no column 'file'.*It has path.*\(key=COLUMN\)"):
        needed_column(cells, "file", "key")


@given(size=st.integers(1, 9000), blocks=st.integers(1, 4), data=st.data())
def test_files_are_told_apart_by_their_size_and_small_ones_by_every_byte(
    tmp_path_factory: pytest.TempPathFactory, size: int, blocks: int, data: st.DataObject
) -> None:
    folder, content = tmp_path_factory.mktemp("sampled"), bytearray(np.random.default_rng(size).bytes(size))
    for name in ("a", "b"):
        (folder / name).write_bytes(content)
    digest = sampled(folder / "a", blocks=blocks)
    assert sampled(folder / "b", blocks=blocks) == digest, "wherever it lies"
    (folder / "b").write_bytes(content + b"\0")
    assert sampled(folder / "b", blocks=blocks) != digest
    everywhere = size <= blocks * 4096
    content[data.draw(st.integers(0, size - 1)) if everywhere else data.draw(st.sampled_from([0, size - 1]))] ^= 1
    (folder / "b").write_bytes(content)
    assert sampled(folder / "b", blocks=blocks) != digest or (not everywhere and blocks == 1)


def test_what_another_program_says_of_a_file_is_one_line(tmp_path: Path) -> None:
    said = str(unreadable(tmp_path / "a.npz", "an array", ValueError("bad\n\n  magic " + "x" * 500)))
    assert "a.npz cannot be read as an array: bad magic xxx" in said
    assert "\n" not in said
    assert len(said) < 400 + len(str(tmp_path))
