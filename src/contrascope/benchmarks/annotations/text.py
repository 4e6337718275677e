"""Text files of annotations, as they are or gzipped: their lines, and one paragraph where they are not text."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from contrascope.errors import BenchmarkError

_GZIP = b"\x1f\x8b"
_POINTER = "version https://git-lfs"


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number from 1; of a file as it is or gzipped.

    Raises:
        BenchmarkError: No such file, not text, or a pointer that Git LFS left in a file's place.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP
        with gzip.open(path, "rt", encoding="utf-8-sig") if zipped else path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if number == 1 and line.startswith(_POINTER):
                    raise BenchmarkError(
                        f"{path} is only the pointer that Git LFS keeps in place of a file. "
                        "Fetch the file itself with `git lfs pull`, or from where it was published."
                    )
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise BenchmarkError(f"There is no file {path}. Give the path of a file of annotations.") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BenchmarkError(
            f"{path} cannot be read as text ({error}). Give a text file of annotations, as it is or gzipped."
        ) from None


def first_line(path: Path) -> str:
    """The first line that is not blank.

    Raises:
        BenchmarkError: As of ``numbered_lines``, or the file is empty.
    """
    for _, line in numbered_lines(path):
        return line
    raise BenchmarkError(f"{path} is empty. A file of annotations was needed: sets or pairs of genes.")


def unused(name: str, taken: object) -> str:
    """The name, or the first of ``name (2)``, ``name (3)`` ... that is not taken."""
    number, candidate = 1, name
    while candidate in taken:  # type: ignore[operator]
        number += 1
        candidate = f"{name} ({number})"
    return candidate
