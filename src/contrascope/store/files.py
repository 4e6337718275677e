"""Files that are whole or not there: written beside their place, flushed, then moved onto it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from contrascope.errors import StoreError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears only once it is whole.

    Raises:
        StoreError: No space, no permission.
    """
    beside = path.with_name(f".{path.name}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StoreError(
            f"{path} cannot be written: {error.strerror}. Make room or choose another folder, then start again; "
            f"what is finished is kept."
        ) from None


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
    try:
        return json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise StoreError(f"{path} is damaged: {error}. Make the folder it is in again.") from None


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a table that appears only once it is whole."""
    beside = path.with_name(f".{path.name}.writing")
    try:
        table.write_parquet(beside)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error}. Make room or choose another folder.") from None


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
