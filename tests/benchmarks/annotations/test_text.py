"""Lines of a text file are those that were written, gzipped or not, and each has the number it has there."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrascope.benchmarks.annotations.text import first_line, numbered_lines, unused
from contrascope.errors import BenchmarkError

LETTERS = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t", exclude_characters="\ufeff")
LINES = st.lists(st.text(LETTERS, max_size=8), max_size=8)


@given(lines=LINES, ending=st.sampled_from(["\n", "\r\n"]), zipped=st.booleans(), marked=st.booleans())
def test_lines_are_read_as_they_were_written_with_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ending: str, zipped: bool, marked: bool
) -> None:
    path = tmp_path_factory.mktemp("text") / "sets.gmt"
    content = (b"\xef\xbb\xbf" if marked else b"") + "".join(line + ending for line in lines).encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    # What Excel puts before a text is not of it.
    expected = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    assert list(numbered_lines(path)) == expected


def test_a_gzipped_file_is_known_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.gmt").write_bytes(gzip.compress(b"\n\n  \nname\tabout\tA\n"))
    (tmp_path / "b.gmt.gz").write_bytes(b"name\tabout\tA\n")
    assert list(numbered_lines(tmp_path / "a.gmt")) == [(4, "name\tabout\tA")]
    assert first_line(tmp_path / "a.gmt") == first_line(tmp_path / "b.gmt.gz") == "name\tabout\tA"


def test_a_gzipped_file_that_was_cut_short_is_refused(refuses: Callable[..., None]) -> None:
    whole = gzip.compress(b"".join(b"%d\tabout\tA\n" % i for i in range(1000)))
    refuses(lambda path: list(numbered_lines(path)), whole[: len(whole) // 2], "cannot be read as text")


def test_a_file_without_lines_is_empty(tmp_path: Path) -> None:
    (tmp_path / "none.gmt").write_text("\n \n\t\n")
    assert list(numbered_lines(tmp_path / "none.gmt")) == []
    with pytest.raises(BenchmarkError, match="is empty"):
        first_line(tmp_path / "none.gmt")


@given(names=st.lists(st.sampled_from(["a", "b", "a (2)", "a (3)"]), max_size=9))
def test_every_name_becomes_one_of_its_own(names: list[str]) -> None:
    taken: dict[str, str] = {}
    for name in names:
        taken[unused(name, taken)] = name
    assert len(taken) == len(names)
    assert all(given_ == name or given_.startswith(f"{name} (") for given_, name in taken.items())
    assert unused("new", taken) == "new"
