"""What a crop store says of itself: its files by name, and the attributes of its Zarr group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contrascope.errors import StoreError, first_few
from contrascope.store.files import json_of
from contrascope.store.places import Folder, Place

FORMAT_VERSION = 2
CHECKSUMS = "checksums.json"
GROUP = "zarr.json"
TABLES = ("cells.parquet", "dropped.parquet", "tiles.parquet", "images/zarr.json")
"""Files that a store has besides its shards, its description and its checksums."""
_FACTS = {"name", "channels", "dtype", "pixel_size_um", "shard_cells", "account", "fingerprint", "provenance"}


@dataclass(frozen=True)
class Account:
    """Where every row of the cell table went.

    Attributes:
        rows: Cells in the table.
        stored: Cells in the store.
        dropped: Reason -> cells left out for it; ``rows == stored + sum(dropped.values())``.
    """

    rows: int
    stored: int
    dropped: dict[str, int]

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows == self.stored + sum(self.dropped.values())

    def __str__(self) -> str:
        reasons = "".join(f", {n:,} dropped: {reason}" for reason, n in self.dropped.items())
        return f"{self.rows:,} cells in the table = {self.stored:,} stored{reasons}"


def facts(place: Place) -> dict[str, Any]:
    """What a finished store says of itself.

    Raises:
        StoreError: Nothing is there, or nothing finished; or the description is damaged, or of another version.
    """
    if not place.has(GROUP):
        raise _nothing_there(place)
    said = json_of(f"{place}/{GROUP}", lambda: place.read(GROUP)).get("attributes", {}).get("contrascope")
    if not said:
        raise StoreError(f"{place} is a Zarr group, but no store of contrascope. Give the path of a store.")
    if "format" not in said:
        raise StoreError(f"{place} holds embedded cells or profiles, and no crops. Give the path of a store.")
    if said["format"] != FORMAT_VERSION:
        raise StoreError(
            f"{place} has store format {said['format']}, this version reads {FORMAT_VERSION}. Extract the crops again."
        )
    if lacking := _FACTS - said.keys():
        raise StoreError(f"{place}/{GROUP} is damaged: it lacks {first_few(sorted(lacking))}. Extract again.")
    account = said["account"]
    if set(account) != {"rows", "stored", "dropped"} or not Account(**account).adds_up or said["shard_cells"] < 1:
        raise StoreError(f"{place}/{GROUP} is damaged: its account does not add up: {account}. Extract again.")
    return said


def _nothing_there(place: Place) -> StoreError:
    unfinished = place.has("ingest.json")
    if place.has("run.json"):
        return StoreError(f"{place} is a run, where a store was needed. Name the store first, then the run.")
    if place.has("stages.json"):
        return StoreError(f"{place} is a folder that `contrascope run` filled. Its store is {place}/cells.zarr.")
    what = "its extraction was not finished" if unfinished else "there is no store"
    if isinstance(place, Folder):
        return StoreError(f"{place} cannot be opened: {what}. Run `contrascope ingest SCREEN.yaml --out {place}`.")
    if unfinished:
        return StoreError(f"{place} cannot be opened: {what}. Finish it where it is made, then copy it there again.")
    from contrascope.store.remote import ENDPOINT

    return StoreError(
        f"{place} cannot be opened: {what}, or no bucket of this name. Check the address, or copy a finished store "
        f"there with all its files. {ENDPOINT}"
    )


def remedy(place: Place) -> str:
    """What to do about damaged files."""
    if isinstance(place, Folder):
        return "delete them or the store and extract the crops again"
    return "copy those files there again from a store that is sound"
