"""Tables of pairs, as EFAAR's benchmarks have them: the columns ``entity1`` and ``entity2``, comma or tab separated."""

from __future__ import annotations

from pathlib import Path

from contrascope.benchmarks.annotations.known import Annotations, pairs_of
from contrascope.benchmarks.annotations.text import numbered_lines
from contrascope.errors import BenchmarkError

_COLUMNS = ("entity1", "entity2")


def is_pairs(line: str) -> bool:
    """Whether a first line is the header of a table of pairs."""
    return set(_COLUMNS) <= set(_fields(line))


def read_pairs(path: Path) -> Annotations:
    """Related genes; a pair and its mirror image are one, self-pairs fall out.

    Raises:
        BenchmarkError: The columns are not there, a row is not a pair, or there is no row.
    """
    lines = numbered_lines(path)
    header = _fields(next(lines, (0, ""))[1])
    if not set(_COLUMNS) <= set(header):
        raise BenchmarkError(f"{path} is no table of pairs: the columns entity1 and entity2 were needed in its header.")
    first, second = (header.index(column) for column in _COLUMNS)
    found = []
    for number, line in lines:
        fields = _fields(line)
        if len(fields) != len(header) or not fields[first] or not fields[second]:
            raise BenchmarkError(
                f"Line {number} of {path} is no pair: '{line[:40]}'. Needed: {len(header)} fields as in the header, "
                "with a gene in entity1 and in entity2."
            )
        found.append((fields[first], fields[second]))
    pairs = pairs_of(found)
    if not pairs:
        raise BenchmarkError(f"{path} has no pair of two genes. Needed: a pair a row under entity1 and entity2.")
    return Annotations(pairs=pairs)


def _fields(line: str) -> list[str]:
    return [field.strip().strip('"') for field in line.split("\t" if "\t" in line else ",")]
