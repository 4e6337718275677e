"""Small pictures of as many cells as a page has room for.

All channels are laid over each other at one contrast for all, that of the whole store. Cells come in turns, one of the
controls and one of each perturbation at a time, so that wherever the room ends, all have their share.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from contrascope.contrast import store_contrast
from contrascope.figures.composite import Limits, composite
from contrascope.progress import report
from contrascope.report.sheets import PER_SHEET, packed_sheet, sheet_name, write_index
from contrascope.store.store import CropStore

MOST_BYTES = 2_500_000
"""Of all sheets; base64 makes a third more of them in the page."""
SIDE = 64
"""Pixels of a picture's longer side, at most."""
_AT_ONCE = 32
"""Cells whose full crops are held as colours at a time."""


def draw_thumbnails(folder: Path, store: CropStore, rows: NDArray[np.integer], *, most_bytes: int = MOST_BYTES) -> None:
    """Sheets of pictures, and the table that says which cell lies where.

    Args:
        folder: Where they go.
        store: The cells' pixels.
        rows: Cells that may have a picture.
        most_bytes: The sheets hold so much at most; cells beyond it have no picture.
    """
    folder.mkdir(exist_ok=True)
    limits, chosen = store_contrast(store), rows[in_turns(store.labels[rows])]
    drawn, written = 0, 0
    for number, start in enumerate(range(0, len(chosen), PER_SHEET)):
        report("Drawing cells", drawn, len(chosen))
        pictures = _pictures(store, chosen[start : start + PER_SHEET], limits)
        sheet = packed_sheet(pictures)
        written += len(sheet)
        if written > most_bytes:
            break
        (folder / sheet_name(number)).write_bytes(sheet)
        drawn += len(pictures)
    report("Drawing cells", len(chosen), len(chosen))
    height, width = _size(store)
    write_index(folder, chosen[:drawn], width=width, height=height)


def in_turns(labels: NDArray[np.integer], *, seed: int = 0) -> NDArray[np.intp]:
    """An order of (N,) labels: a random one of each label, then a second of each that has two, and so on."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    turn = pd.Series(labels[shuffled]).groupby(labels[shuffled]).cumcount().to_numpy()
    return shuffled[np.argsort(turn, kind="stable")]


def _pictures(store: CropStore, rows: NDArray[np.integer], limits: Limits) -> NDArray[np.uint8]:
    """(P, height, width, 3) colours of cells."""
    height, width = _size(store)
    found = []
    for start in range(0, len(rows), _AT_ONCE):
        colours = composite(store.read(rows[start : start + _AT_ONCE]), limits=limits)
        found += [_shrunk(picture, height, width) for picture in np.rint(255 * colours).astype(np.uint8)]
    return np.stack(found)


def _size(store: CropStore) -> tuple[int, int]:
    """Height and width of a picture; small crops stay as they are."""
    H, W = store.crop_size
    shrink = min(1.0, SIDE / max(H, W))
    return max(1, round(H * shrink)), max(1, round(W * shrink))


def _shrunk(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
