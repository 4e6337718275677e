"""What is measured on a tile before its cells are cut out: clip limits and shifts.

This is a pass of its own over the tiles, because a tile that does not say how its channels lie takes the
median of its plate if enough of them agree, which is known only when all tiles have been looked at. With the
measurements at hand each shard is a pure function of its tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from contrascope import vocabulary as v
from contrascope.config import ImageSettings, ScreenSettings
from contrascope.errors import TileError
from contrascope.screen.alignment import Agreed, Rounds, agreed_shifts, measured_over_rounds, measured_shifts
from contrascope.screen.screen import TILE_INDEX, Screen
from contrascope.screen.tiles import Bad, TileKey, TileReader, bad_tiles
from contrascope.store.notes import UNALIGNED
from contrascope.store.quality import FOCUS, Looks, facts_of_looks, looks_of

READABLE = "readable"
_COUNTED = 2**18
"""Pixels whose values are counted together."""
Each = Callable[[Callable[[Any], Any], Iterable[Any], int, str], Iterable[tuple[Any, Any]]]
"""Calls a function on each item, in this process or in others; gives (item, result) as they come."""


class Recipe(NamedTuple):
    """How a tile is cleaned.

    Attributes:
        reference: Index of the reference channel.
        clip_percentiles: Low and high.
        max_shift: Largest shift looked for; None leaves channels where they are.
        rounds: Which channels were imaged together; None if all were.
    """

    reference: int
    clip_percentiles: tuple[float, float]
    max_shift: int | None
    rounds: Rounds | None = None


class Measured(NamedTuple):
    """Of one tile: (C, 2) clip limits, (C, 2) shifts, (C,) quality of the shifts, and how the channels look."""

    limits: np.ndarray
    shifts: np.ndarray
    quality: np.ndarray
    looks: Looks


def recipe_of(settings: ScreenSettings) -> Recipe:
    """How the tiles of a screen are cleaned."""
    images = settings.images
    return Recipe(
        reference=images.channel_names.index(images.reference_channel),
        clip_percentiles=settings.crop.clip_percentiles,
        max_shift=images.max_shift if images.align else None,
        rounds=_rounds_of(images),
    )


def _rounds_of(images: ImageSettings) -> Rounds | None:
    if not images.rounds:
        return None
    place = images.channel_names.index
    channels = [
        [place(r.reference), *(place(name) for name in r.channels if name != r.reference)]
        for r in images.rounds.values()
    ]
    return Rounds(channels, images.max_round_shift)


def measure_tile(tile: np.ndarray, recipe: Recipe) -> Measured:
    """Clip limits of a tile's channels, how they look, and their shifts once clipped.

    Args:
        tile: (C, H, W) pixels.
        recipe: What to look for.
    """
    counts = [value_counts(channel) for channel in tile]
    limits = np.array([clip_limits(x, recipe.clip_percentiles, n) for x, n in zip(tile, counts, strict=True)])
    looks = looks_of(tile, counts)
    if recipe.max_shift is None:
        return Measured(limits, np.zeros((len(tile), 2)), np.full(len(tile), np.inf), looks)
    how = {"reference": recipe.reference, "max_shift": recipe.max_shift}
    clean = clipped(tile, limits)
    found = measured_over_rounds(clean, recipe.rounds, **how) if recipe.rounds else measured_shifts(clean, **how)
    return Measured(limits, found.shifts, found.quality, looks)


def clipped(tile: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """(C, H, W) with each channel within its limits (C, 2)."""
    low, high = limits.T[:, :, None, None].astype(tile.dtype)
    return np.clip(tile, low, high)


def value_counts(channel: np.ndarray) -> np.ndarray | None:
    """How many pixels have each value, 0 first; None where values are no whole numbers.

    Counting integers is many times faster than sorting a tile, and serves all that asks for intensities.
    """
    if channel.dtype.kind != "u":
        return None
    pixels, counts = channel.ravel(), np.zeros(np.iinfo(channel.dtype).max + 1, np.int64)
    # Counting makes eight bytes of each pixel: of a whole tile that is memory the system would have to find each time.
    for start in range(0, pixels.size, _COUNTED):
        some = np.bincount(pixels[start : start + _COUNTED])
        counts[: len(some)] += some
    return np.trim_zeros(counts, "b")


def clip_limits(
    channel: np.ndarray, percentiles: tuple[float, float], counts: np.ndarray | None
) -> tuple[float, float]:
    """Intensities at two percentiles: the smallest value that at least that share of pixels does not exceed."""
    if counts is None:
        low, high = np.percentile(channel, percentiles, method="inverted_cdf")
        return float(low), float(high)
    reached = np.cumsum(counts)
    wanted = np.maximum(np.ceil(np.asarray(percentiles) / 100 * channel.size), 1)
    low, high = np.searchsorted(reached, wanted)
    return float(low), float(high)


def measured_tiles(screen: Screen, wanted: np.ndarray, each: Each) -> pl.DataFrame:
    """The table of tiles with what was measured on them.

    Args:
        screen: The tiles.
        wanted: Indices of tiles that hold cells to be stored; the others are not read.
        each: Calls a function on each tile.

    Returns:
        A row a tile: ``tile_index plate well tile cells height width readable`` and for each channel ``clip_low
        clip_high shift_y shift_x quality fallback unaligned intensity saturated focus``; shifts are those to undo. A
        tile not read has nulls.

    Raises:
        TileError: Tiles cannot be read, and the screen does not say to skip them.
    """
    keys, found, broken = screen.keys(), {}, {}
    work = _MeasureTile(screen.reader, recipe_of(screen.settings))
    tasks = [(int(i), keys[i]) for i in wanted]
    for (index, _), outcome in each(work, tasks, len(tasks), "Measuring tiles"):
        if isinstance(outcome, Bad):
            broken[index] = outcome
        else:
            found[index] = outcome
    if broken and screen.settings.images.on_bad_tile == "fail":
        raise bad_tiles({keys[index]: broken[index] for index in sorted(broken)}, len(keys))
    facts = _agreed(screen, found) if found else []
    table = screen.tiles.with_row_index(TILE_INDEX)
    read = pl.Series(READABLE, [i not in broken for i in range(len(keys))], dtype=pl.Boolean)
    table = table.with_columns(read & table["height"].is_not_null())
    if not facts:
        return table
    maybe_nowhere = dict.fromkeys((f"{FOCUS} {name}" for name in screen.settings.images.channel_names), pl.Float64)
    measured = pl.DataFrame(facts, schema_overrides=maybe_nowhere, infer_schema_length=None)
    measured = measured.cast({TILE_INDEX: table.schema[TILE_INDEX]})
    return table.join(measured, on=TILE_INDEX, how="left", maintain_order="left")


@dataclass(frozen=True)
class _MeasureTile:
    """Reads and measures one tile; says what is wrong with one that cannot be read."""

    reader: TileReader
    recipe: Recipe

    def __call__(self, task: tuple[int, TileKey]) -> Measured | Bad:
        try:
            tile = self.reader.read(task[1])
            _refuse_unfinite(tile)
            return measure_tile(tile, self.recipe)
        except TileError as error:
            return Bad.of(error)


def _refuse_unfinite(tile: np.ndarray) -> None:
    if tile.dtype.kind == "f" and not np.isfinite(tile).all():
        raise TileError(
            "some pixels are no finite number. Fill them, with 0 for instance, where the tiles were written."
        )


def _agreed(screen: Screen, found: dict[int, Measured]) -> list[dict[str, Any]]:
    """Facts of each measured tile, in their order, whatever the order in which they came."""
    indices = sorted(found)
    shifts = np.stack([found[i].shifts for i in indices])
    quality = np.stack([found[i].quality for i in indices])
    plates, rounds = screen.tiles[v.PLATE].to_numpy()[indices], recipe_of(screen.settings).rounds
    agreed = agreed_shifts(shifts, quality, plates, rounds=rounds)
    names = screen.settings.images.channel_names
    return [
        {TILE_INDEX: i}
        | _facts(names, found[i].limits, quality[k], Agreed(*(part[k] for part in agreed)))
        | facts_of_looks(names, found[i].looks)
        for k, i in enumerate(indices)
    ]


def _facts(names: list[str], limits: np.ndarray, quality: np.ndarray, agreed: Agreed) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    shifts, fallback, unaligned = agreed
    for c, name in enumerate(names):
        facts |= {f"shift_y {name}": round(float(shifts[c, 0]), 4), f"shift_x {name}": round(float(shifts[c, 1]), 4)}
        facts[f"quality {name}"] = round(float(quality[c]), 3) if np.isfinite(quality[c]) else None
        facts |= {f"fallback {name}": bool(fallback[c]), f"{UNALIGNED} {name}": bool(unaligned[c])}
        facts |= {f"clip_low {name}": float(limits[c, 0]), f"clip_high {name}": float(limits[c, 1])}
    return facts
