"""Cells as pictures: channel by channel, original beside reconstruction, or as colours.

Contrast is per channel and the same for all cells that stand together, so that brightness can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from contrascope.errors import FigureError
from contrascope.figures.composite import CHANNEL_COLOURS, Images, Limits, scaled
from contrascope.figures.composite import composite as composite
from contrascope.figures.composite import limits_of as limits_of
from contrascope.figures.style import PAGE, page, styled

GAP, BLOCK_GAP = 0.03, 0.12
"""White space between pictures and between blocks of them, as shares of a picture."""
ADDED, TAKEN = (0.835, 0.369, 0.0), (0.0, 0.447, 0.698)
"""Orange and blue of a difference, told apart by any eye."""
AMPLIFICATIONS = (1, 2, 5, 10, 20, 50)
_LETTER = 0.6
"""Width of a letter, as a share of its size."""
BAR_LENGTHS_UM = (1, 2, 5, 10, 20, 50, 100, 200)


@styled
def cells_by_channel(
    images: Images,
    *,
    channels: Sequence[str],
    rows: Sequence[str] | None = None,
    limits: Limits | None = None,
    pixel_size_um: float | None = None,
) -> Figure:
    """A row a cell, a column a channel, and the composite of all.

    Args:
        images: (N, C, H, W), any unit, integer or float.
        channels: C names.
        rows: N labels.
        limits: (C, 2) black and white points in the images' unit, to compare with another gallery.
        pixel_size_um: Width of a pixel in micrometres; with it there is a scale bar.
    """
    _check(images, channels, rows)
    limits = limits_of(images) if limits is None else limits
    grey = scaled(images, limits)
    columns = [as_colour(grey[:, c]) for c in range(grey.shape[1])]
    titles = list(channels)
    if len(channels) > 1:
        columns.append(composite(images, limits=limits))
        titles.append("composite")
    return _mosaic(columns, titles, rows, blocks=1, pixel_size_um=pixel_size_um)


@styled
def pairs(
    original: Images,
    reconstruction: Images,
    *,
    channels: Sequence[str],
    rows: Sequence[str] | None = None,
    pixel_size_um: float | None = None,
) -> Figure:
    """A row a cell; for each channel the original, then the reconstruction at the original's contrast.

    Args:
        original, reconstruction: (N, C, H, W), in the same unit.
        channels: C names.
        rows: N labels.
        pixel_size_um: Width of a pixel in micrometres; with it there is a scale bar.
    """
    _check(original, channels, rows)
    if original.shape != reconstruction.shape:
        raise FigureError(f"original is {original.shape}, reconstruction {reconstruction.shape}: the same was needed")
    limits = limits_of(original)
    first, second = scaled(original, limits), scaled(reconstruction, limits)
    columns = [as_colour(grey[:, c]) for c in range(len(channels)) for grey in (first, second)]
    titles = [text for name in channels for text in (name, "decoded")]
    return _mosaic(columns, titles, rows, blocks=2, pixel_size_um=pixel_size_um)


@styled
def counterfactuals(
    actual: Images,
    without: Images,
    *,
    channels: Sequence[str],
    control: Images | None = None,
    rows: Sequence[str] | None = None,
    pixel_size_um: float | None = None,
) -> Figure:
    """A row a cell; for each channel it as decoded, without what is laid to its perturbation, and the difference.

    The difference, of the first picture less the last, is orange where the perturbation adds light and blue where it
    takes some away. Its title says how many times stronger it is drawn than the pictures beside it, the same for all
    cells of a channel.

    Args:
        actual: (N, C, H, W), as decoded.
        without: Likewise, without the salient part.
        control: Likewise, also without what the perturbation shifts in the background; None leaves these out.
        channels: C names.
        rows: N labels.
        pixel_size_um: Width of a pixel in micrometres; with it there is a scale bar.
    """
    _check(actual, channels, rows)
    drawn = {"without": without} | ({} if control is None else {"as\ncontrol": control})
    for name, images in drawn.items():
        if actual.shape != images.shape:
            raise FigureError(f"actual is {actual.shape}, {name!r} {images.shape}: the same was needed")
    limits = limits_of(np.concatenate([actual, *drawn.values()]))
    width = np.where(limits[:, 1] > limits[:, 0], limits[:, 1] - limits[:, 0], 1.0)
    last = list(drawn.values())[-1]
    difference = (actual.astype(float) - last.astype(float)) / width[None, :, None, None]
    grey = [scaled(images, limits) for images in (actual, *drawn.values())]
    columns, titles = [], []
    for c, channel in enumerate(channels):
        times = amplification(difference[:, c])
        columns += [*(as_colour(images[:, c]) for images in grey), diverging(times * difference[:, c])]
        titles += [channel, *drawn, f"difference\nx{times:g}"]
    return _mosaic(columns, titles, rows, blocks=len(grey) + 1, pixel_size_um=pixel_size_um)


@styled
def composites(
    images: Images,
    labels: Sequence[str],
    *,
    channels: Sequence[str],
    limits: Limits | None = None,
    pixel_size_um: float | None = None,
) -> Figure:
    """Cells in colour, a row a label: several cells of each perturbation, say.

    Args:
        images: (N, C, H, W), any unit.
        labels: (N,), rows come in the order in which labels first appear.
        channels: C names, told by their colours under the figure.
        limits: (C, 2) black and white points.
        pixel_size_um: Width of a pixel in micrometres; with it there is a scale bar.
    """
    _check(images, channels, labels)
    colour = composite(images, limits=limits)
    names = list(dict.fromkeys(labels))
    members = [[i for i, label in enumerate(labels) if label == name] for name in names]
    width = max(len(inside) for inside in members)
    blank = np.ones(colour.shape[1:])
    columns = [np.stack([colour[inside[k]] if k < len(inside) else blank for inside in members]) for k in range(width)]
    figure = _mosaic(columns, None, names, blocks=1, pixel_size_um=pixel_size_um)
    _channel_key(figure, channels)
    return figure


def _check(images: Images, channels: Sequence[str], rows: Sequence[str] | None) -> None:
    if images.ndim != 4 or len(images) == 0 or images.shape[1] != len(channels):
        raise FigureError(f"images are {images.shape} for {len(channels)} channels; (N, C, H, W) was needed")
    if rows is not None and len(rows) != len(images):
        raise FigureError(f"{len(rows)} labels for {len(images)} cells")


def as_colour(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grey values (N, H, W) as colours (N, H, W, 3)."""
    return np.repeat(grey[..., None], 3, axis=-1)


def amplification(difference: NDArray[np.float64]) -> float:
    """A round number that brings all but a thousandth of the differences (N, H, W) within -1 to 1; 1 if they are 0."""
    high = float(np.percentile(np.abs(difference), 99.9))
    fitting = [n for n in AMPLIFICATIONS if n * high <= 1]
    return fitting[-1] if fitting and high > 0 else 1


def diverging(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (N, H, W) as colours: 0 white, 1 and more orange, -1 and less blue."""
    share = np.clip(np.abs(values), 0, 1)[..., None]
    tint = np.where(values[..., None] > 0, ADDED, TAKEN)
    return 1 - share * (1 - tint)


def _mosaic(
    columns: Sequence[NDArray[np.float64]],
    titles: Sequence[str] | None,
    rows: Sequence[str] | None,
    *,
    blocks: int,
    pixel_size_um: float | None,
) -> Figure:
    """One picture made of all: quicker by far than a set of axes for each.

    Args:
        columns: For each column of pictures its (N, H, W, 3).
        blocks: Columns that belong together; after each such block the gap is wider.
    """
    count, height, width, _ = columns[0].shape
    gap, wide = max(1, round(GAP * width)), max(2, round(BLOCK_GAP * width))
    left = [k * (width + gap) + (k // blocks) * (wide if blocks > 1 else 0) for k in range(len(columns))]
    top = [n * (height + gap) for n in range(count)]
    canvas = np.ones((top[-1] + height, left[-1] + width, 3))
    for x, column in zip(left, columns, strict=True):
        for y, picture in zip(top, column, strict=True):
            canvas[y : y + height, x : x + width] = picture
    labels = 0.15 + (0.075 * max(map(len, rows)) if rows else 0)  # inches
    inches = min(PAGE, 0.9 * len(columns) + labels)
    figure = page(inches, (inches - labels) * canvas.shape[0] / canvas.shape[1] + (0.3 if titles else 0.1))
    axes = figure.subplots()
    axes.imshow(canvas, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if titles is not None:
        axes.set_xticks([x + width / 2 for x in left], titles)
        size = _fitting_size(titles, room=(inches - labels) * (width + gap) / canvas.shape[1])
        axes.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0, labelsize=size)
    if rows is not None:
        axes.set_yticks([y + height / 2 for y in top], rows)
        axes.tick_params(axis="y", length=0)
    if pixel_size_um is not None:
        _scale_bar(axes, width=width, bottom=top[0] + height, pixel_size_um=pixel_size_um)
    return figure


def _fitting_size(titles: Sequence[str], *, room: float) -> float:
    """Points of letters with which the longest line of the titles fits into so many inches, at most the style's."""
    longest = max(len(line) for title in titles for line in title.split("\n"))
    return min(float(mpl.rcParams["xtick.labelsize"]), room * 72 / (_LETTER * longest))


def bar_length(width: int, pixel_size_um: float) -> float:
    """A round number of micrometres that is at most two fifths of a picture so many pixels wide."""
    fitting = [um for um in BAR_LENGTHS_UM if um / pixel_size_um <= 0.4 * width] or [BAR_LENGTHS_UM[0]]
    return fitting[-1]


def _scale_bar(axes: Axes, *, width: int, bottom: int, pixel_size_um: float) -> None:
    """A bar of about a quarter of the first picture, its length above it."""
    um = bar_length(width, pixel_size_um)
    length, margin = um / pixel_size_um, 0.06 * width
    thickness = 0.03 * width
    bar = Rectangle((margin, bottom - margin - thickness), length, thickness, color="white", linewidth=0)
    axes.add_patch(bar)
    axes.text(
        margin, bottom - margin - 1.5 * thickness, f"{um:g} µm",
        color="white", ha="left", va="bottom", fontsize=6,
    )  # fmt: skip


def _channel_key(figure: Figure, channels: Sequence[str]) -> None:
    figure.set_figheight(figure.get_figheight() + 0.25)
    tints = [CHANNEL_COLOURS[c % len(CHANNEL_COLOURS)] for c in range(len(channels))]
    keys = [Rectangle((0, 0), 1, 1, color=tint) for tint in tints]
    figure.legend(keys, channels, loc="outside lower center", ncols=len(channels), handlelength=1)
