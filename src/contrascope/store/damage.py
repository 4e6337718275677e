"""Whether a finished store is what was written: every file against its SHA-256."""

from __future__ import annotations

import json
from pathlib import Path

from contrascope.errors import StoreError, first_few
from contrascope.progress import track
from contrascope.store.description import CHECKSUMS, GROUP, TABLES, facts, remedy
from contrascope.store.places import Folder, Place, place_of
from contrascope.store.shards import shard_name


def damaged_files(path: str | Path) -> list[str]:
    """Names of a finished store's files whose bytes are not what was written.

    Args:
        path: The store's folder or URL.

    Raises:
        StoreError: No finished store, or its description cannot be read.
    """
    return damaged_at(place_of(path))


def damaged_at(place: Place) -> list[str]:
    """The same of a place that is known already."""
    said = facts(place)
    shards = -(-said["account"]["stored"] // said["shard_cells"])
    names = {*TABLES, GROUP, *(shard_name(index) for index in range(shards))}
    try:
        sums = json.loads(place.read(CHECKSUMS))
    except (ValueError, OSError):
        return [CHECKSUMS]
    # A name that is lacking would be a file that nobody checks; how many there must be, a sound description says.
    described = isinstance(sums, dict) and is_sound(place, GROUP, sums.get(GROUP, ""))
    if not isinstance(sums, dict) or (described and sums.keys() != names):
        return [CHECKSUMS]
    files = track(sums.items(), "Checking files", len(sums))
    return [name for name, digest in files if not is_sound(place, name, digest)]


def is_sound(place: Place, name: str, digest: str) -> bool:
    """Whether a file is there, can be read and has this SHA-256."""
    try:
        return place.sha256(name) == digest
    except OSError:
        return False


def damage_report(path: str | Path) -> None:
    """Check every checksum of a finished store.

    Raises:
        StoreError: Files are damaged or missing; the message names them.
    """
    place = place_of(path)
    if damaged := damaged_at(place):
        again = "Run the same ingest again, which makes them anew, or" if isinstance(place, Folder) else "Now"
        raise StoreError(
            f"{len(damaged):,} files of the store {place} are not what was written: {first_few(damaged)}. "
            f"{again} {remedy(place)}."
        )
