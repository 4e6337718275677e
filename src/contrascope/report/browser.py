"""The panel of the live view that leafs through all cells of a store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import jinja2

from contrascope.figures.gallery import BAR_LENGTHS_UM, CHANNEL_COLOURS
from contrascope.report.report import script_text

WITHOUT_SCRIPTS = 12
"""As many cells are shown where the page has no scripts."""


@dataclass(frozen=True)
class Browser:
    """All cells in pages, chosen by what the cell table says of them.

    Attributes:
        cells: In the store.
        channels: C names.
        crop_size: H and W of a cell's picture, in pixels.
        pixel_size_um: Width of a pixel in micrometres; with it there is a scale bar.
    """

    cells: int
    channels: tuple[str, ...]
    crop_size: tuple[int, int]
    pixel_size_um: float | None

    scripts: ClassVar[tuple[str, ...]] = ("browse.js",)

    def html(self) -> str:
        """The panel; without scripts the first cells, and how to see others."""
        H, W = self.crop_size
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(script_text("browse.html")).render(
            style=script_text("browse.css"),
            facts=json.dumps({"channels": self.channels, "height": H, "width": W, "bar": self.scale_bar()}),
            first=range(min(WITHOUT_SCRIPTS, self.cells)),
            channels=list(zip(self.channels, map(_css, self.colours), strict=True)),
            height=H,
            width=W,
        )

    @property
    def colours(self) -> list[tuple[float, float, float]]:
        """What each channel is drawn in."""
        return [CHANNEL_COLOURS[c % len(CHANNEL_COLOURS)] for c in range(len(self.channels))]

    def scale_bar(self) -> dict[str, float] | None:
        """Length of a bar in micrometres, and as a share of the picture's width; None where pixels have no size."""
        if self.pixel_size_um is None:
            return None
        width = self.pixel_size_um * self.crop_size[1]
        length = max((um for um in BAR_LENGTHS_UM if um <= 0.4 * width), default=BAR_LENGTHS_UM[0])
        return {"um": length, "share": length / width}


def _css(colour: tuple[float, float, float]) -> str:
    return f"rgb({', '.join(str(round(255 * part)) for part in colour)})"
