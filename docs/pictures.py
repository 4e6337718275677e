"""Makes docs/pictures/BENCHMARK.png from finished analyses: figures as `contrascope run` draws them, in fewer colours.

    contrascope demo --out demo
    contrascope run examples/bbbc013/screen.yaml --out bbbc013          # the plate; see there
    python docs/pictures.py demo/analysis bbbc013

A figure that several analyses have is taken from the first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from contrascope.registry import BENCHMARKS

PICTURES = Path(__file__).parent / "pictures"
COLOURS = 96
"""Enough for flat colours and their soft edges; a picture is then a quarter of its size."""


def main(analyses: list[str]) -> None:
    """One picture a benchmark."""
    for name in BENCHMARKS:
        drawn = [path for folder in analyses if (path := Path(folder) / "benchmarks" / f"{name}.png").exists()]
        if drawn:
            small = Image.open(drawn[0]).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
