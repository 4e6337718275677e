"""Masks in a crop: the nucleus at its centre and the cell around it, apart from its neighbours.

Nuclei are found as ``screen/find_cells.py`` finds them in a tile, then each is drawn again at half of its own
brightness: one threshold for a crop takes in the glow of bright nuclei and leaves out the rims of dim ones. Cells are
what is brighter than the ground in the channels that show them, at least a narrow ring around each nucleus; where they
touch they are parted by a watershed that grows from all nuclei of the crop at once, so each pixel goes to the nearest
nucleus that it is connected with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import expand_labels, watershed

from contrascope.screen.find_cells import NucleusSettings, nuclei_of

OK = "ok"
NO_NUCLEUS = "no nucleus at the centre"
SMALL = "the nucleus is less than a third of a typical one"
LARGE = "the nucleus is more than three typical ones"
CUT = "the cell touches the border of the crop"
UNSEEN = "no cell is seen around the nucleus"
QUALITIES = (OK, NO_NUCLEUS, SMALL, LARGE, CUT, UNSEEN)
"""What is said of a mask; the first that is true, in this order but for ``ok``."""
_TIMES = 3.0
"""How far the area of a nucleus may be from a typical one, as a factor."""
_STEPS = 100.0
"""Brightness is seen as log(1 + 100 v), v being 1 at a channel's white level."""
_FAINT = 0.2
"""Nuclei and cells less than a fifth brighter than the ground are noise."""
_ROOM = 1 / 6
"""How far from where it was found a nucleus may reach, in diameters."""
_RING = 1 / 8
"""Width of the ring around a nucleus that always belongs to its cell, in diameters."""


class Anatomy(NamedTuple):
    """Where to look.

    Attributes:
        nucleus: The channel of nuclei.
        cell: Channels of cells.
        diameter: Of a typical nucleus, in pixels.
    """

    nucleus: int
    cell: tuple[int, ...]
    diameter: float


class Mask(NamedTuple):
    """The cell at the centre of a crop.

    Attributes:
        nucleus, cell: (H, W) bool; the nucleus lies inside the cell. Both empty if there is none.
        quality: One of ``QUALITIES``.
    """

    nucleus: np.ndarray
    cell: np.ndarray
    quality: str

    @property
    def cytoplasm(self) -> np.ndarray:
        """(H, W) bool, the cell without its nucleus."""
        return self.cell & ~self.nucleus


def segment(crop: np.ndarray, where: Anatomy) -> Mask:
    """The nucleus and the cell at a crop's centre.

    Args:
        crop: (C, H, W) brightness, 0 to about 1 at each channel's white level.
        where: Which channels, and how large nuclei are.
    """
    nuclei = _nuclei(crop[where.nucleus], where.diameter)
    centre = _central(nuclei, where.diameter / 2)
    if centre == 0:
        nothing = np.zeros(nuclei.shape, bool)
        return Mask(nothing, nothing, NO_NUCLEUS)
    shown = _shown(crop[list(where.cell)].mean(axis=0), where.diameter)
    away = ndimage.distance_transform_edt(nuclei == 0)
    ring = away <= max(1, round(where.diameter * _RING))
    cells = watershed(away, nuclei, mask=shown | ring)
    nucleus, cell = nuclei == centre, ndimage.binary_fill_holes(cells == centre)
    seen = bool((cell & shown & ~ring).any())
    return Mask(nucleus, cell & ((nuclei == 0) | nucleus), _quality(nucleus, cell, where.diameter, seen=seen))


def _nuclei(image: np.ndarray, diameter: float) -> np.ndarray:
    """(H, W) int labels of nuclei of any size, each as far as half of its brightness above the ground."""
    what = NucleusSettings(diameter=diameter, min_area=max(4.0, diameter**2 / 20), max_area=image.size)
    found = nuclei_of(image * _STEPS, what)
    if not found.any():
        return found
    smooth = ndimage.gaussian_filter(image, diameter / 12)
    ground = np.median(smooth[found == 0]) if (found == 0).any() else smooth.min()
    drawn, room = np.zeros_like(found), expand_labels(found, diameter * _ROOM)
    for label, box in enumerate(ndimage.find_objects(room), start=1):
        bright = np.percentile(smooth[box][found[box] == label], 75)
        if _seen(bright) - _seen(ground) >= _FAINT:
            drawn[box][_largest((room[box] == label) & (smooth[box] >= (ground + bright) / 2))] = label
    return drawn


def _seen(brightness: Any) -> Any:
    """Brightness on the scale by which it is judged."""
    return np.log1p(np.maximum(brightness, 0) * _STEPS)


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask, its holes filled."""
    parts, n = ndimage.label(mask)
    return mask if n == 0 else ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))


def _central(labels: np.ndarray, reach: float) -> int:
    """The label at the centre, or the nearest within ``reach`` pixels; 0 if there is none."""
    y, x = (side // 2 for side in labels.shape)
    if not labels.any():
        return 0
    away, (rows, columns) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return int(labels[rows[y, x], columns[y, x]]) if away[y, x] <= reach else 0


def _shown(image: np.ndarray, diameter: float) -> np.ndarray:
    """(H, W) bool, what is brighter than the ground between cells."""
    smooth = ndimage.gaussian_filter(_seen(image), diameter / 12)
    if smooth.min() == smooth.max():
        return np.zeros(image.shape, bool)
    bright = smooth > threshold_otsu(smooth)
    if smooth[bright].mean() - smooth[~bright].mean() < _FAINT:
        return np.zeros(image.shape, bool)
    return np.asarray(ndimage.binary_fill_holes(bright))


def _quality(nucleus: np.ndarray, cell: np.ndarray, diameter: float, *, seen: bool) -> str:
    typical = np.pi * diameter**2 / 4
    border = np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])
    reasons = {
        SMALL: nucleus.sum() * _TIMES < typical,
        LARGE: nucleus.sum() > typical * _TIMES,
        CUT: border.any(),
        UNSEEN: not seen,
    }
    return next((reason for reason, holds in reasons.items() if holds), OK)
