"""A store behind a URL: S3, Google Cloud Storage, HTTP, whatever fsspec opens, read where it lies.

Parts of files are asked for all at once, those that lie close together as one. What else a URL needs,
credentials, the address of storage that is not Amazon's, fsspec and its clients take from the environment
(``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, ``FSSPEC_S3_ANON=true``) and from fsspec's configuration files.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from fsspec.config import conf
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from contrascope.errors import StoreError
from contrascope.store.places import Folder, Place, Wanted

Answer = TypeVar("Answer")

_AT_ONCE = 64
"""Connections to S3, unless fsspec's configuration says otherwise; its client would have 10."""
_GAP = 2**16
"""Bytes between two parts of a file that are read rather than asked around: a request costs more."""
_BLOCK = 2**23
"""Bytes of a large file that one request asks for."""
_BLOCKS = 4
"""Blocks that are on their way at once, and in memory, where a file is read from end to end."""
_WAITS = (0.5, 2.0)
"""Seconds before a server that could not be reached is asked again."""
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}


def place_behind(url: str) -> Place:
    """The place that a URL names; ``file://`` is a folder.

    Raises:
        StoreError: A package is not installed, or fsspec knows no such URL.
    """
    filesystem, path = _opened(url)
    return Folder(Path(path)) if isinstance(filesystem, LocalFileSystem) else Remote(url)


class Remote:
    """A store's place behind a URL.

    Args:
        url: Of the store.

    Raises:
        StoreError: Here and in all methods: whatever is wrong but a file that is not there, or not whole.
    """

    def __init__(self, url: str):
        self._url, self._process = url, os.getpid()
        self._filesystem, self._root = _opened(url)

    def __str__(self) -> str:
        return self._url

    def has(self, name: str) -> bool:
        """Whether a file is there; it is read, and should be a small one."""
        try:
            self.read(name)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        return self._ask(lambda fs: bytes(fs.cat_file(self._path(name))))

    def tails(self, names: Sequence[str], size: int) -> list[bytes]:
        """The last bytes of each file."""
        tails = self._ranges(names, [-size] * len(names), [None] * len(names))
        if any(len(tail) > size for tail in tails):
            raise StoreError(
                f"The server of {self} gives whole files where parts of them are asked for. Copy the store to storage "
                f"that answers range requests, or to a local folder."
            )
        return tails

    def pieces(self, wanted: Iterable[Wanted]) -> Iterator[bytes]:
        """Parts of files, all of them asked for at once."""
        parts = [_Span(name, start, start + size) for name, places in wanted for start, size in places]
        spans = _joined(parts)
        fetched = self._ranges([s.name for s in spans], [s.start for s in spans], [s.end for s in spans])
        there = iter(zip(spans, fetched, strict=True))
        span, data = _Span("", 0, 0), b""
        for part in parts:
            while part.start < part.end and not span.holds(part):
                span, data = next(there)
            yield data[part.start - span.start : part.end - span.start]

    def table(self, name: str, columns: list[str] | None) -> pl.DataFrame:
        """A Parquet file, or these columns of it."""
        with _Seekable(self._size(name), lambda start, end: self._large(name, start, end)) as file:
            return _frame(pq.ParquetFile(file, pre_buffer=True).read(columns))

    def columns(self, name: str) -> list[str]:
        """Names of the columns of a Parquet file."""
        with _Seekable(self._size(name), lambda start, end: self._large(name, start, end)) as file:
            return pq.ParquetFile(file).schema_arrow.names

    def sha256(self, name: str) -> str:
        """SHA-256 of a file, in hexadecimal."""
        size, digest = self._size(name), hashlib.sha256()
        for start in range(0, size, _BLOCKS * _BLOCK):
            digest.update(self._large(name, start, min(start + _BLOCKS * _BLOCK, size)))
        return digest.hexdigest()

    def _large(self, name: str, start: int, end: int) -> bytes:
        """Bytes of one file, in several requests at once if they are many."""
        starts = range(start, end, _BLOCK)
        return b"".join(self._ranges([name] * len(starts), list(starts), [min(s + _BLOCK, end) for s in starts]))

    def _ranges(self, names: Sequence[str], starts: list[int], ends: Sequence[int | None]) -> list[bytes]:
        if not names:
            return []
        paths = [self._path(name) for name in names]
        return self._ask(lambda fs: fs.cat_ranges(paths, starts, list(ends), on_error="raise"))

    def _size(self, name: str) -> int:
        return int(self._ask(lambda fs: fs.info(self._path(name))["size"]))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _ask(self, question: Callable[[Any], Answer], waits: tuple[float, ...] = _WAITS) -> Answer:
        """What the filesystem answers, asked again after each wait if that may help."""
        if self._process != os.getpid():
            # A forked process needs connections of its own.
            self._filesystem, self._process = _opened(self._url)[0], os.getpid()
        try:
            return question(self._filesystem)
        except Exception as error:  # every server has errors of its own
            if not (waits and _may_pass(error)):
                self._give_up(error)
        time.sleep(waits[0])
        return self._ask(question, waits[1:])

    def _give_up(self, error: Exception) -> NoReturn:
        if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise FileNotFoundError(f"a file is not there ({_said(error)})") from None
        if getattr(error, "errno", None) == errno.EINVAL or getattr(error, "status", None) == 416:
            raise OSError(f"a file ends before the part of it that was asked for ({_said(error)})") from None
        if isinstance(error, ImportError):
            raise _lacking_package(self._url, error) from None
        raise StoreError(
            f"{self} cannot be read ({type(error).__name__}: {_said(error)}). Check the address, the network and your "
            f"credentials. {ENDPOINT}"
        ) from None


ENDPOINT = (
    "Credentials for S3 are those of the AWS tools (AWS_PROFILE; FSSPEC_S3_ANON=true for what is public), and storage "
    "that is not Amazon's is named by AWS_ENDPOINT_URL."
)
"""What to do about a server that is not found, for messages."""


class _Span(NamedTuple):
    """Bytes ``start`` to ``end`` of a file."""

    name: str
    start: int
    end: int

    def holds(self, other: _Span) -> bool:
        return self.name == other.name and self.start <= other.start and other.end <= self.end


def _joined(parts: Iterable[_Span]) -> list[_Span]:
    """Spans that hold these parts, in their order: one for parts of a file that follow each other closely."""
    spans: list[_Span] = []
    for part in parts:
        last = spans[-1] if spans else _Span("", 0, 0)
        if part.start == part.end:  # there is nothing to ask for
            continue
        if part.name == last.name and last.start <= part.start <= last.end + _GAP:
            spans[-1] = last._replace(end=max(last.end, part.end))
        else:
            spans.append(part)
    return spans


class _Seekable(io.RawIOBase):
    """A file whose bytes are fetched when they are read.

    Args:
        size: In bytes.
        fetch: Bytes from the first offset to the second.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]):
        self._size, self._fetch, self._at = size, fetch, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self._fetch(self._at, min(self._at + len(view), self._size))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def _frame(table: Any) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _opened(url: str) -> tuple[Any, str]:
    """The filesystem of a URL, and the path therein."""
    scheme = url.partition("://")[0].rpartition("::")[2]
    configured = "config_kwargs" in conf.get(scheme, {})
    more = {scheme: {"config_kwargs": {"max_pool_connections": _AT_ONCE}}}
    try:
        return url_to_fs(url, **(more if _PACKAGES.get(scheme) == "s3fs" and not configured else {}))
    except ImportError as error:
        raise _lacking_package(url, error) from None
    except Exception as error:
        raise StoreError(
            f"{url} cannot be opened ({type(error).__name__}: {_said(error)}). A path, or a URL of a kind that fsspec "
            f"knows, such as s3://bucket/cells.zarr, was needed."
        ) from None


def _lacking_package(url: str, error: ImportError) -> StoreError:
    package = _PACKAGES.get(url.partition("://")[0].rpartition("::")[2])
    extra = "pip install 'contrascope[s3]'" if package == "s3fs" else f"pip install {package or 'what it names'}"
    return StoreError(f"{url} needs a package that is not installed ({_said(error)}). Install it: {extra}.")


def _may_pass(error: Exception) -> bool:
    """Whether it may go well the next time. The clients of S3 and Google ask again by themselves, that of HTTP not."""
    of_http = type(error).__module__.startswith("aiohttp.")
    return isinstance(error, ConnectionError | TimeoutError) or (of_http and getattr(error, "status", 500) >= 500)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
