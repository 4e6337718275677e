"""The parts of what a notebook shows: a heading, facts, pictures of cells, and what is folded away."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

SIDE = 96
"""Pixels of a cell's picture."""
LONGEST = 4000
"""Characters of a text that is folded away."""
_SEED = 0


def block(title: str, *parts: str) -> str:
    """The whole: a heading and what stands under it."""
    return f"<div><p><b>{escape(title)}</b></p>{''.join(parts)}</div>"


def facts_table(facts: Mapping[str, Any]) -> str:
    """Names and values, a row each; what is None is left out."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    return scrolled(f"<table>{rows}</table>")


def scrolled(table: str) -> str:
    """A table that may be wider than the page."""
    return f'<div style="overflow-x:auto">{table}</div>'


def folded(title: str, facts: Mapping[str, Any]) -> str:
    """Settings and the like, unfolded by a click."""
    text = yaml.safe_dump(dict(facts), sort_keys=False, allow_unicode=True)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}\n..."
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def chosen_rows(count: int, *, most: int) -> NDArray[np.int64]:
    """Rows of some cells, in their order: drawn at random, the same each time."""
    return np.sort(np.random.default_rng(_SEED).choice(count, min(count, most), replace=False))


def strip(colours: NDArray[np.float64], names: Sequence[str]) -> str:
    """Pictures side by side, each over its name.

    Args:
        colours: (N, H, W, 3) in 0 to 1.
        names: N.
    """
    figures = "".join(
        f'<figure style="margin:0">{picture(colour, name, side=SIDE)}'
        f'<figcaption style="font-size:small;max-width:{SIDE}px;overflow:hidden;text-overflow:ellipsis">'
        f"{escape(name)}</figcaption></figure>"
        for colour, name in zip(colours, names, strict=True)
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:4px">{figures}</div>'


def picture(colour: NDArray[np.float64], name: str, *, side: int) -> str:
    """A picture (H, W, 3), made so small that its longer side has ``side`` pixels or fewer, and shown at that size.

    What is no number is black.
    """
    image = Image.fromarray((np.clip(np.nan_to_num(colour), 0, 1) * 255).astype(np.uint8))
    image.thumbnail((side, side))
    stream = BytesIO()
    image.save(stream, "WEBP", quality=80)
    scale = side / max(image.size)
    width, height = (round(scale * length) for length in image.size)
    return _embedded(stream.getvalue(), "webp", name, f'width="{width}" height="{height}"')


def drawing(png: bytes, name: str) -> str:
    """A figure, at most as wide as the page."""
    return _embedded(png, "png", name, 'style="max-width:100%"')


def _embedded(data: bytes, kind: str, name: str, look: str) -> str:
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{escape(name, quote=True)}" {look}>'
