"""Files that are whole or not there: written beside their place, flushed, then moved onto it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
from safetensors import SafetensorError

from contrascope.errors import StoreError
from contrascope.litter import HALF_WRITTEN

_ROWS = 2**18
"""Rows that stand together in a table; said, so that equal tables are equal bytes."""


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file, which is moved onto it when it is whole.

    Raises:
        StoreError: No space, no permission; what was there before is still there.
    """
    # A worker that was given up for dead may still be writing the same file: each has a place of its own.
    beside = path.with_name(f".{path.name}.{uuid4().hex}{HALF_WRITTEN}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.touch()
        mode = beside.stat().st_mode
        yield beside
        beside.chmod(mode)  # safetensors would keep others from reading, whatever the umask says
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, pl.exceptions.PolarsError, SafetensorError) as error:
        raise _cannot_be_written(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears only once it is whole.

    Raises:
        StoreError: No space, no permission.
    """
    with appearing(path) as beside:
        beside.write_bytes(data)


def write_json(path: Path, values: object) -> None:
    """Write JSON with sorted keys, so that equal values are equal bytes."""
    write_bytes(path, json_bytes(values))


def json_bytes(values: object) -> bytes:
    """What ``write_json`` writes."""
    return (json.dumps(values, indent=1, sort_keys=True) + "\n").encode()


def read_json(path: Path) -> Any:
    """A JSON file of ours.

    Raises:
        StoreError: It is damaged.
    """
    return json_of(path, path.read_bytes)


def json_of(where: object, read: Callable[[], bytes]) -> Any:
    """What is said by a JSON file of ours, wherever it lies.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return json.loads(read().decode())
    except (ValueError, OSError) as error:
        raise StoreError(f"{where} is damaged: {error}. Make the folder it is in again.") from None


def write_parquet(path: Path, table: pl.DataFrame | pl.LazyFrame) -> None:
    """Write a table, some rows at a time, that appears only once it is whole."""
    with appearing(path) as beside:
        table.lazy().sink_parquet(beside, row_group_size=_ROWS, engine="streaming")


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, on disk when this returns; a crash may leave a part of it.

    Raises:
        StoreError: No space, no permission.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_be_written(path, error) from None


def remove(path: Path) -> None:
    """Delete a file, if it is there.

    Raises:
        StoreError: No permission.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_be_written(path, error) from None


def half_written(folder: Path) -> list[Path]:
    """Files in a folder and below that somebody was writing when they were killed."""
    return list(folder.rglob(f".*{HALF_WRITTEN}"))


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cannot_be_written(path: Path, error: Exception) -> StoreError:
    why = getattr(error, "strerror", None) or " ".join(str(error).split())
    return StoreError(
        f"{path} cannot be written: {why}. Make room or choose another folder, then start again; "
        f"what is finished is kept."
    )
