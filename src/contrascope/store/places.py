"""Where the files of a store lie, and how parts of them are read: a folder here; what is behind a URL, in ``remote``.

All that a store's bytes mean, indices, checksums and pixels, is said elsewhere and once. A place only brings bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import polars as pl

from contrascope.addresses import is_url
from contrascope.store.files import sha256

Wanted = tuple[str, Sequence[Sequence[int]]]
"""A file, and parts of it: the first byte and the number of bytes of each."""


class Place(Protocol):
    """Files by their names inside a store. Whatever reads raises ``OSError`` if a file is not there."""

    def __str__(self) -> str:
        """The path or URL."""

    def has(self, name: str) -> bool:
        """Whether a file is there."""

    def read(self, name: str) -> bytes:
        """All bytes of a small file."""

    def tails(self, names: Sequence[str], size: int) -> list[bytes]:
        """The last ``size`` bytes of each file; fewer, if it has fewer."""

    def pieces(self, wanted: Iterable[Wanted]) -> Iterator[bytes]:
        """Parts of files in the order asked for; one is shorter where its file ends before it does."""

    def table(self, name: str, columns: list[str] | None) -> pl.DataFrame:
        """A Parquet file, or these columns of it, the others unread.

        Raises:
            PolarsError, ArrowException, OSError: It is damaged or not there.
        """

    def columns(self, name: str) -> list[str]:
        """Names of the columns of a Parquet file; raises as ``table`` does."""

    def sha256(self, name: str) -> str:
        """SHA-256 of a file, in hexadecimal."""


class Folder:
    """A store's place on this machine.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        return (self.path / name).read_bytes()

    def tails(self, names: Sequence[str], size: int) -> list[bytes]:
        """The last bytes of each file."""
        return [self._tail(name, size) for name in names]

    def pieces(self, wanted: Iterable[Wanted]) -> Iterator[bytes]:
        """Parts of files, each read when its turn comes."""
        for name, parts in wanted:
            with _opened(f"{self.path}/{name}") as file:
                for start, size in parts:
                    yield _part(file, start, size)

    def table(self, name: str, columns: list[str] | None) -> pl.DataFrame:
        """A Parquet file, or these columns of it."""
        return pl.read_parquet(self.path / name, columns=columns, glob=False)

    def columns(self, name: str) -> list[str]:
        """Names of the columns of a Parquet file."""
        return pl.scan_parquet(self.path / name, glob=False).collect_schema().names()

    def sha256(self, name: str) -> str:
        """SHA-256 of a file, in hexadecimal."""
        return sha256(self.path / name)

    def _tail(self, name: str, size: int) -> bytes:
        with (self.path / name).open("rb", buffering=0) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read()


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """A file's descriptor: in a large store nearly every cell is in a file of its own, and objects are dear to open."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        yield file
    finally:
        os.close(file)


def _part(file: int, start: int, size: int) -> bytes:
    """Some bytes of an open file, in one call where the system has such a call: each lets other threads in between."""
    if hasattr(os, "pread"):
        return os.pread(file, size, start)
    os.lseek(file, start, os.SEEK_SET)
    return os.read(file, size)


def place_of(path: str | Path) -> Place:
    """The place that a path or URL names.

    Raises:
        StoreError: The URL needs a package that is not installed, or is none that fsspec knows.
    """
    if not is_url(path):
        return Folder(Path(path).absolute())  # a notebook may change its folder
    from contrascope.store.remote import place_behind  # only those who need it load what it needs

    return place_behind(str(path))
